"""What there is to say of a study without writing it, in a few quick queries; while a search is running too."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from evolr.config import Config
from evolr.errors import EvolrError, RunDirectoryError, count, printable, shortened
from evolr.expression import Expression, original_text
from evolr.problems import External, Pool
from evolr.run_files import DATABASE
from evolr.schedule import Schedule
from evolr.search.archive import fingerprint, hall_of_fame
from evolr.search.evaluation import is_race, race_trainings, trainings_ahead
from evolr.search.individual import Evaluation
from evolr.study import stored_values as stored
from evolr.study.counts import GenerationCounts, Totals
from evolr.study.database import Database
from evolr.study.generation import evaluated_so_far
from evolr.study.lock import is_held
from evolr.study.records import Best, Records
from evolr.study.remembered import Success
from evolr.training.optimizers import Optimizer
from evolr.training.task import Trial

_MESSAGE = 300  # characters of a failure
_ALIKE = 4  # formulas that are looked at for each that is wanted: some have the same values


@dataclass(frozen=True, slots=True)
class Summary:
    """A study at a glance.

    state: `running`, `done`, or `stopped`: it can go on. front: size, score and formula of the fittest of each size, by
    size; the last one is the champion: of the finished generations, or while there is none, by the trials there are.
    is_raced: whether that champion won the race of the finalists, as of SearchResult. active_at: the latest write, ISO 8601,
        UTC. failed, last_failure: trainings that failed, and what was said of the latest. whole_trainings: the epochs of all trainings by
        those of a whole one, rounded up; expected: what these will be at its end, about. champion_epochs: of the champion's trainings. asked: what
        it was asked for, if a budget has shortened its search.
    """

    directory: Path
    state: str
    config: Config
    generations_done: int
    front: list[tuple[int, float, Expression]]
    is_raced: bool
    trainings: int
    active_at: str
    failed: int
    last_failure: str | None
    expected: int = 0
    whole_trainings: int = 0
    champion_epochs: int = 0
    asked: Config | None = None

    @property
    def optimizer(self) -> Optimizer | None:
        """That of its trainings; None if they ran elsewhere, by whoever trained them."""
        return optimizer_of(self.config)

    @property
    def bred(self) -> int:
        """The generations that are finished, without the race, which is none of them."""
        return min(self.generations_done, self.config.search.race_generation)

    @property
    def bred_text(self) -> str:
        """How many generations that is, and of how many."""
        return f"{self.bred} of {self.config.search.race_generation}"

    @property
    def is_race_next(self) -> bool:
        """Whether all generations are bred, and the race of the finalists is not over."""
        return self.config.search.race_generation <= self.generations_done < self.config.search.generations_in_all

    @property
    def generations_text(self) -> str:
        """How far it has come: the generations that breed, and the race."""
        search = self.config.search
        bred, has_race = search.race_generation, search.finalists > 0
        finalists = count(search.finalists, "finalist")
        said = self.bred_text
        if self.generations_done >= search.generations_in_all:
            said += ", and the race" if has_race else ""
        elif self.is_race_next:
            said += f"; the race of {finalists} is next"
        elif has_race:
            said += f", then a race of {search.finalists}"
        if self.asked is not None and self.asked.search.race_generation > bred:
            said += f"; a budget left no room for {self.asked.search.race_generation - bred} more"
        return said

    @property
    def best(self) -> float | None:
        """The champion's score; None where there is none, or it diverged."""
        return self.front[-1][1] if self.front else None

    @property
    def state_word(self) -> str:
        """The state as people are told it: `running`, `finished` or `stopped`."""
        return "finished" if self.state == "done" else self.state

    @property
    def state_text(self) -> str:
        """The same, and what can be done about it."""
        return f"{self.state_word} before its end; it can go on" if self.state == "stopped" else self.state_word

    @property
    def last_failure_text(self) -> str:
        """What was said of the latest training that failed, as `failure_text` has it."""
        return failure_text(self.last_failure)

    @property
    def standing(self) -> str:
        """What its champion is where the search has not said its last word on it; empty where it has."""
        is_done = self.generations_done >= self.config.search.generations_in_all
        return standing_text(self.config, is_raced=self.is_raced, is_done=is_done)

    @property
    def why_no_champion(self) -> str:
        """What to say where there is none, and what to do."""
        if not self.generations_done:
            so_far = "every training so far diverged or failed" if self.trainings else "nothing was trained so far"
            return f"has no champion yet: {so_far}; go on with its search first"
        what = "diverged or failed" if self.failed else "diverged"
        what += (
            " or ended with the worst score there is" if self.config.problem.metric.least_fitness > -math.inf else ""
        )
        return (
            f"has no champion: every training of its {count(self.bred, 'generation')} {what}; look at the training "
            "itself, or begin another study with a lower search.max_lr"
        )

    @property
    def champion(self) -> Schedule | None:
        return self.config.search.schedule(self.front[-1][2]) if self.front else None


def optimizer_of(config: Config) -> Optimizer | None:
    """The optimiser that a study trains by; None if whoever trains it has one of its own, which no setting says."""
    problem = config.problem
    return None if isinstance(problem, External) and not problem.is_trained_here else config.training.optimizer


def failure_text(message: str | None) -> str:
    """What was said of a training that failed, in one line and cut where it is long; empty if it did not."""
    return shortened(" ".join(printable(message or "").split()), _MESSAGE)


def standing_text(config: Config, *, is_raced: bool, is_done: bool) -> str:
    """What a champion is where its search has not said its last word on it; empty where it has."""
    if is_raced or (is_done and not config.search.finalists):
        return ""
    if not config.search.finalists:
        return "the best so far: the search is not at its end"
    if is_done:
        return "not raced: every training of the race diverged or failed"
    return "the best so far, not raced: the search has not come to its race on fresh seeds"


def summarise(directory: Path) -> Summary:
    """The summary of a study. Raises StudyError where there is none, or it cannot be read."""
    with Database.read(directory) as database:
        return summary_in(directory, Records(database))


def summary_in(directory: Path, records: Records) -> Summary:
    """The same of a study that is open."""
    counts, front = records.counts, summarised_front(records)
    return summary_of(directory, records, counts.generations(), counts.totals(), front, is_running=is_held(directory))


def summary_of(
    directory: Path,
    records: Records,
    generations: GenerationCounts,
    totals: Totals,
    front: Sequence[Best],
    *,
    is_running: bool,
) -> Summary:
    """The summary of a study that is open, of which this is known: its generations, its trials and its front."""
    config = records.config()
    whole = totals.epochs / config.training.epochs
    ended = "done" if generations.finished >= config.search.generations_in_all else "stopped"
    return Summary(
        directory=directory,
        state="running" if is_running else ended,
        config=config,
        generations_done=generations.finished,
        front=[(e.expression.size, e.score, e.expression) for e in front],
        is_raced=bool(front) and is_race(config, front[-1].generation),
        trainings=totals.trainings,
        active_at=records.active_at(),
        failed=totals.failed,
        last_failure=totals.last_failure,
        expected=math.ceil(whole + (0 if ended == "done" else _ahead(config, generations))),
        asked=records.asked(),
        whole_trainings=math.ceil(whole),
        champion_epochs=_epochs_of(front, config),
    )


def pace(directory: Path) -> float | None:
    """Seconds that a study's search took for a whole training, with all that trained at once: see `pace_of`. Errors as of `summarise`."""
    with Database.read(directory) as database:
        return pace_in(Records(database))


def pace_in(records: Records) -> float | None:
    """The same of a study that is open. It counts every training of it, which takes a tenth of a second for a million."""
    finished = records.counts.finished()
    return pace_of(
        [generation.finished_at for generation in finished],
        records.counts.epochs_of_finished(),
        records.session_starts(),
        records.config().training.epochs,
    )


def pace_of(ends: Sequence[datetime], epochs: Sequence[int], sessions: Sequence[datetime], whole: int) -> float | None:
    """Seconds that a whole training took, the median over successive generations, by when each was finished, how many epochs were
    trained in each, and when sessions began.

    The first is left out, and one in which a session began: it may have a night in it. None where no other is there.
    """
    paces = [
        (end - begin).total_seconds() * whole / trained
        for (begin, end), trained in zip(pairwise(ends), epochs[1:], strict=True)
        if trained and begin < end and not any(begin < start < end for start in sessions)
    ]
    return median(paces) if paces else None


_ahead_from = lru_cache(maxsize=64)(trainings_ahead)
"""Whoever follows a study asks it of the same generation again and again, and there may be many of them."""


def _ahead(config: Config, generations: GenerationCounts) -> float:
    """The trainings that a search still takes, about, shorter ones counted by their part."""
    latest = generations.made - 1
    if latest < 0:
        return 0
    if generations.finished == generations.made:
        return _ahead_from(config, latest + 1, generations.first)
    if is_race(config, latest):
        return race_trainings(config.search, generations.latest) - generations.latest_trials
    landed = config.part_at(latest) * generations.latest_trials
    later = _ahead_from(config, latest + 1, generations.first)
    return max(later, _ahead_from(config, latest, generations.first) - landed)


def summarised_front(records: Records) -> list[Best]:
    """The fittest of each size, by size; see Summary."""
    return records.hall_of_fame() or [
        Best(e.individual.place.generation, e.score, original_text(e.individual.expression), e.individual.expression)
        for e in hall_of_fame(_evaluated_so_far(records), records.config().problem.metric.least_fitness)
    ]


def _evaluated_so_far(records: Records) -> list[Evaluation]:
    """The evaluations of the latest generation by the trials there are."""
    numbers = records.generations()
    if not numbers:
        return []
    return evaluated_so_far(records.config(), records.population(numbers[-1]), records.scores(numbers[-1]))


class RecordedTrainings(NamedTuple):
    """A champion's trainings: for losses and learning rate, (places,), the medians over so many trainings of so many epochs, NaN where
    a training told nothing.

    A place is an epoch; for a function of the user's see Outcome.
    """

    train_loss: NDArray[np.float64]
    val_loss: NDArray[np.float64]
    learning_rate: NDArray[np.float64]
    trainings: int
    epochs: int


def recorded_trainings(directory: Path) -> RecordedTrainings | None:
    """What a study has recorded of its champion's trainings; None where it has nothing. Errors as of `summarise`."""
    with Database.read(directory) as database:
        records = Records(database)
        return recorded_of(records, summarised_front(records))


def recorded_of(records: Records, front: Sequence[Best]) -> RecordedTrainings | None:
    """The same of a study that is open, by its front."""
    curves = _champion_curves(records, front)
    if curves is None:
        return None
    train_loss, val_loss, _, learning_rate = np.median(curves, axis=0).astype(np.float64)
    return RecordedTrainings(train_loss, val_loss, learning_rate, len(curves), _epochs_of(front, records.config()))


def recorded_curves(directory: Path) -> NDArray[np.float32] | None:
    """The same, training by training: (trainings, 4, places), in the order of curves.CURVES."""
    with Database.read(directory) as database:
        records = Records(database)
        return _champion_curves(records, summarised_front(records))


def _champion_curves(records: Records, front: Sequence[Best]) -> NDArray[np.float32] | None:
    """The curves of a champion's trainings, None where nothing is recorded."""
    curves = records.recorded(front[-1].text) if front else np.empty((0, 4, 0), np.float32)
    return curves if curves.size else None


def _epochs_of(front: Sequence[Best], config: Config) -> int:
    """The epochs of the champion's trainings, the last of a front; of whole ones without a champion."""
    return config.epochs_at(front[-1].generation) if front else config.training.epochs


def success(directory: Path) -> Success | None:
    """A trial that the study in a directory trained to a score, its epochs and pool; None where there is no such trial, or no study."""
    if not os.path.isfile(directory / DATABASE):
        return None
    with Database.read(directory) as database:
        records = Records(database)
        if (found := records.success()) is None:
            return None
        formula, seed, epochs, pool = found
        schedule = records.config().search.schedule(formula)
        return Trial(schedule, seed), epochs, cast("Pool", pool)


def best_schedules(directory: Path, count: int) -> list[tuple[Schedule, float]]:
    """The study's fittest schedules that differ by their values, with their scores, the fittest first.

    Where its finalists have raced, theirs are the scores; where each seed is another task, those of the latest generation; otherwise those of the
    longest trainings so far; while no generation is finished, those of the trials there are.
    Errors as of `summarise`.
    """
    with Database.read(directory) as database:
        records = Records(database)
        config = records.config()
        search = config.search
        query = "SELECT max(number) FROM generation WHERE finished_at IS NOT NULL"
        latest = database.value("generation", query, number=stored.optional(stored.whole))
        first = 0
        if latest is not None:
            is_raced = search.finalists > 0 and latest == search.race_generation
            alike = (g for g in range(latest) if config.epochs_at(g) == config.epochs_at(latest))
            first = latest if is_raced or config.problem.draws_tasks else next(alike, latest)
        values = partial(fingerprint, own=search.own_signals)
        found: dict[bytes, tuple[Schedule, float]] = {}
        for expression, score in records.best_trained(_ALIKE * count, first):
            found.setdefault(values(expression), (search.schedule(expression), score))
        if not found:
            for evaluation in sorted(_evaluated_so_far(records), key=lambda e: -e.fitness):
                expression = evaluation.individual.expression
                found.setdefault(values(expression), (search.schedule(expression), evaluation.score))
        return list(found.values())[:count]


def studies_in(folder: Path) -> list[Path]:
    """The directories of the studies in a folder, by name, those that cannot be read too. Raises RunDirectoryError where nobody can look."""
    try:
        paths = sorted(folder.iterdir()) if os.path.isdir(folder) else []
    except OSError as error:
        raise RunDirectoryError(f"cannot look into {folder}: {error.strerror}") from error
    return [path for path in paths if os.path.lexists(path / DATABASE)]  # Path.exists raises where one may not look


def deeper_folders(folder: Path, most: int) -> list[Path]:
    """The folders in a folder that hold studies and are none themselves, by name: what `studies_in` leaves out, one level down; the first ones,
    and none where nobody can look.
    """
    found: list[Path] = []
    with suppress(OSError):
        for path in sorted(entry for entry in folder.iterdir() if entry.is_dir()):
            if not os.path.lexists(path / DATABASE) and _holds_a_study(path):
                found.append(path)
            if len(found) == most:
                break
    return found


def _holds_a_study(folder: Path) -> bool:
    with suppress(OSError), os.scandir(folder) as entries:
        return any(entry.is_dir() and os.path.lexists(os.path.join(entry.path, DATABASE)) for entry in entries)
    return False


def summaries(folder: Path) -> Iterator[tuple[Path, Summary | EvolrError]]:
    """The summaries of the studies in a folder, by name; for one that cannot be read, the error that says why."""
    for path in studies_in(folder):
        try:
            yield path, summarise(path)
        except EvolrError as error:
            yield path, error
