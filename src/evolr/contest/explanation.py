"""The explanation of a champion: what its learning rate does, and which of its signals matter.

Each signal that the formula reads is frozen in turn at its median over the champion's own trainings, and the champion is
trained again so, from the same seeds. A signal whose freezing changes nothing is one that the formula does not need.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from evolr.config import Config
from evolr.contest.contender import Contender, contender, rows_document
from evolr.contest.record import encoded
from evolr.contest.showing import OnDone, OnTotal, seconds_of, shown
from evolr.contest.statistics import corrected
from evolr.contest.trainings import Request, Trainings
from evolr.errors import StudyError
from evolr.execution.processes import require_memory
from evolr.expression import Expression
from evolr.randomness import seed_from
from evolr.ranges import SEEDS
from evolr.run_files import EXPLANATION_FILES
from evolr.schedule import Schedule
from evolr.signals.own import token_of
from evolr.simplification import simplified
from evolr.standard import frozen
from evolr.study.run_directory import RunDirectory
from evolr.study.summary import summarise
from evolr.study.trained_by import executor_for, of_run
from evolr.study.watching import ShowProgress
from evolr.training.task import Outcome, Trial

POOL = "selection"


@dataclass(frozen=True, slots=True)
class Explanation:
    """A champion explained. simplified: its learning rate in short. learning_rates: (seeds, steps). frozen: by signal, its median and the champion without it. knows_pools: of what trained, see Executor."""

    config: Config
    schedule: Schedule
    simplified: str
    epochs: int
    champion: Contender
    learning_rates: NDArray[np.float32]
    frozen: dict[str, tuple[float, Contender]]
    knows_pools: bool = True

    def _repr_html_(self) -> str | None:
        """What a notebook shows."""
        from evolr.views.html import explanation_html

        return explanation_html(self)

    def document(self) -> dict[str, Any]:
        """Everything, to the single run, as JSON takes it."""
        return {
            "simplified": self.simplified,
            "epochs": self.epochs,
            "pool": POOL,
            "knows_pools": self.knows_pools,
            "study": msgspec.to_builtins(self.config),
            "champion": self.champion.document(),
            "learning_rates": rows_document(self.learning_rates),
            "frozen": [
                {"signal": name, "median": median, **frozen.document()}
                for name, (median, frozen) in self.frozen.items()
            ],
        }


def explain(
    what: object,
    directory: Path | str | None = None,
    *,
    seeds: int = 16,
    on_total: OnTotal = None,
    on_done: OnDone = None,
    progress: ShowProgress = None,
    **options: Any,
) -> Explanation:
    """Explains the champion of a study, by trainings on the selection pool.

        evolr.explain("runs/memetic-1")
        evolr.explain(train, "runs/mine", seeds=8)

    what, directory, on_total, on_done, progress, options: as of `prove`.
    seeds: trainings of the champion, and of it with each of its signals frozen; they are drawn from the study's.
    Writes explanation.json and explanation.png beside the study.
    Raises StudyError where there is no champion, ConfigError for another problem than the study's.
    """
    trained_by, path, config, champion = _champion(what, directory)
    epochs, names = config.training.epochs, sorted(champion.signals)
    drawn = _seeds(config, seeds)
    RunDirectory(path).require_replaceable(EXPLANATION_FILES)
    seconds = seconds_of(path, config, epochs)
    with (
        closing(executor_for(config, trained_by, options)) as executor,
        shown(progress, "explaining", on_total, on_done, seconds) as (total, done),
    ):
        executor.prepare(POOL)
        total((1 + len(names)) * seeds)
        with closing(Trainings(executor, epochs, path, on_done=done)) as trainings:
            own = trainings.outcomes(_wanted(champion, drawn), POOL, keep_steps=True)
            if all(outcome.learning_rates is None for outcome in own):
                raise StudyError(
                    f"no training of {executor.identity} has asked its schedule for a learning rate in its own process, so that "
                    "there is nothing to explain"
                )
            medians = {name: _median(name, own) for name in names}
            others = {name: _frozen(champion, name, median) for name, median in medians.items()}
            wanted = [w for schedule in others.values() for w in _wanted(schedule, drawn)]
            outcomes = trainings.outcomes(wanted, POOL)
    metric = config.problem.metric
    whole = contender("as it is", champion, own, None, metric)
    found = [
        contender(f"{name} frozen", schedule, outcomes[k * seeds : (k + 1) * seeds], whole, metric)
        for k, (name, schedule) in enumerate(others.items())
    ]
    pairs = corrected([f.pairs for f in found if f.pairs is not None])
    without = {name: (medians[name], replace(f, pairs=p)) for name, f, p in zip(others, found, pairs, strict=True)}
    rates = _by_progress([o.learning_rates for o in own if o.learning_rates is not None])
    explanation = Explanation(
        config, champion, simplified(champion).text, epochs, whole, rates, without, executor.knows_pools
    )
    save(RunDirectory(path), explanation)
    return explanation


def _champion(what: object, directory: Path | str | None) -> tuple[object, Path, Config, Schedule]:
    """Who trained a study, its directory, its configuration and its champion. Raises StudyError where there is none."""
    trained_by, directory = of_run(what, directory)
    path = RunDirectory.open(directory).path
    summary = summarise(path)
    if summary.champion is None:
        raise StudyError(f"{path} {summary.why_no_champion}")
    return trained_by, path, summary.config, summary.champion


def save(directory: RunDirectory, explanation: Explanation) -> None:
    """Writes the explanation's files when both are made: everything to the single run, and the picture."""
    from evolr.views.explanation_picture import explanation_picture

    contents = explanation_picture(explanation), encoded("explanation", explanation.document())
    directory.write_all(dict(zip(EXPLANATION_FILES, contents, strict=True)))


def typical_curve(schedule: Schedule, seeds: Sequence[int], trainings: Trainings) -> Schedule | None:
    """A schedule frozen: the median of its learning rates over trainings from these seeds, as a curve of its own.

    None where a training diverged, failed or asked for no learning rate: the median of those that did not would not be the schedule's.
    """
    outcomes = trainings.outcomes(_wanted(schedule, seeds), POOL, keep_steps=True)
    rates = [outcome.learning_rates for outcome in outcomes if outcome.learning_rates is not None]
    if len(rates) < len(outcomes) or any(outcome.diverged for outcome in outcomes):
        return None
    return frozen(np.median(_by_progress(rates), axis=0).tolist())


def _by_progress(rates: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """(trainings, steps): the learning rates of each; where kinds of task take different numbers of steps, a shorter training's
    are drawn out to the longest.
    """
    steps = max(map(len, rates))
    return np.array([own[np.arange(steps) * len(own) // steps] for own in rates])


def freeze(
    what: object,
    directory: Path | str | None = None,
    *,
    seeds: int = 16,
    **options: Any,
) -> Schedule:
    """The champion of a study as the curve that it typically follows, for where nobody can tell it the loss.

        curve = evolr.freeze("runs/memetic-1")
        evolr.export(curve, "keras", "champion.py")

    seeds: trainings of the champion; they are drawn from the study's. what, directory, options: as of `prove`.
    Raises StudyError where there is no champion, where it reads no live signal, and where it has no typical curve, since a
    training of it diverges, fails or asks for no learning rate;
    ConfigError for another problem than the study's.
    """
    trained_by, path, config, champion = _champion(what, directory)
    drawn = _seeds(config, seeds)
    if champion.expression.is_open_loop:
        raise StudyError(f"the champion of {path} reads nothing of the training: it is its own curve, not to be frozen")
    with closing(executor_for(config, trained_by, options)) as executor:
        executor.prepare(POOL)
        with closing(Trainings(executor, config.training.epochs, path)) as trainings:
            curve = typical_curve(champion, drawn, trainings)
    if curve is None:
        raise StudyError(
            f"a training under the champion of {path} diverges, fails or asks its schedule for no learning rate: it has no "
            "typical curve"
        )
    return curve


def _seeds(config: Config, count: int) -> list[int]:
    """The seeds of the trainings of an explanation. Raises ConfigError for a number of them out of range, or that memory has no room for."""
    epochs, seeds = config.training.epochs, SEEDS.of("seeds", count)
    require_memory(seeds, epochs, epochs * config.problem.steps_per_epoch)
    return [seed_from(config.seed, k, "explanation") for k in range(seeds)]


def _wanted(schedule: Schedule, seeds: Sequence[int]) -> list[Request]:
    return [Request(Trial(schedule, seed), is_shared=False) for seed in seeds]


def _frozen(schedule: Schedule, name: str, value: float) -> Schedule:
    """The schedule that takes a signal to be what it is at its median."""
    tokens = tuple(value if token == token_of(name) else token for token in schedule.expression.tokens)
    return msgspec.structs.replace(schedule, expression=Expression(tokens))


def _median(name: str, outcomes: list[Outcome]) -> float:
    """The median of a signal over trainings and epochs, of its mean over an epoch's steps."""
    values = np.array([o.signals[name] for o in outcomes if o.signals is not None], np.float64)
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else 0.0
