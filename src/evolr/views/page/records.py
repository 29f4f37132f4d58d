"""Everything that a run's directory says, read once: the study, and what was judged of its champion."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from evolr.contest.comparison import ComparisonResult
from evolr.contest.explanation import Explanation
from evolr.contest.reading import read_comparison, read_contest, read_explanation
from evolr.contest.results import ContestResult
from evolr.errors import EvolrError
from evolr.problems import Metric
from evolr.schedule import Schedule
from evolr.study.course import Course, course
from evolr.study.lineage import Lineage, lineage
from evolr.study.summary import Summary, recorded_curves, summarise
from evolr.views.shown import Shown, describe

_Record = TypeVar("_Record")


@dataclass(frozen=True, slots=True)
class Run:
    """A run's records. path: as it was named. shown: of its champion, what `evolr show` says; lineage: of it; recorded: its
    trainings in the search, (trainings, 4, places), as of `recorded_curves`; all three None without a champion.
    contest: the contest, or its rehearsal where no contest was held; comparison, explanation: None where there is none.
    faults: a sentence for each record that is there and cannot be read.
    """

    path: Path
    summary: Summary
    course: Course
    shown: Shown | None = None
    lineage: Lineage | None = None
    recorded: NDArray[np.float32] | None = None
    contest: ContestResult | None = None
    comparison: ComparisonResult | None = None
    explanation: Explanation | None = None
    faults: tuple[str, ...] = ()

    @property
    def champion(self) -> Schedule | None:
        return None if self.shown is None else self.shown.schedule

    @property
    def metric(self) -> Metric:
        return self.summary.config.problem.metric

    @property
    def is_of_champion(self) -> bool:
        """Whether the contest was about this champion."""
        return self.contest is not None and self.contest.champion.result.schedule == self.champion


def read_run(path: Path) -> Run:
    """The records of a run. Raises StudyError where there is no study, or it cannot be read; what cannot be read of the rest is
    among its faults.
    """
    summary = summarise(path)
    shown = describe(str(path), None, None, None) if summary.champion is not None else None
    if shown is not None and shown.summary is not None:
        summary = shown.summary  # a search may have gone on since
    faults: list[str] = []

    def read(name: str, reader: Callable[[Path], _Record]) -> _Record | None:
        if not os.path.lexists(path / name):
            return None
        try:
            return reader(path)
        except EvolrError as error:
            faults.append(str(error))
            return None

    contest = read("contest.json", read_contest)
    if contest is None:
        contest = read("rehearsal.json", lambda where: read_contest(where, is_quick=True))
    return Run(
        path,
        summary,
        course(path),
        shown,
        lineage(path) if shown else None,
        recorded_curves(path) if shown else None,
        contest,
        read("comparison.json", read_comparison),
        read("explanation.json", read_explanation),
        tuple(faults),
    )
