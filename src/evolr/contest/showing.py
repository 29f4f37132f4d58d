"""What a judgement shows of itself while it trains: a bar, beside whatever its caller listens to.

The bars are imported in functions here and nowhere else in this package: they show what is told, with rich.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from evolr.config import Config
from evolr.study.summary import pace
from evolr.study.watching import ShowProgress, require_functions

OnTotal = Callable[[int], object] | None
"""Is told how many trainings there will be at most, once."""

OnDone = Callable[[int, int], object] | None
"""Is told how many trainings were just done, and how many just looked up."""


@contextmanager
def shown(
    progress: ShowProgress, doing: str, on_total: OnTotal, on_done: OnDone, seconds: float | None = None
) -> Generator[tuple[Callable[[int], None], Callable[[int, int], None]]]:
    """Shows trainings while they are done; whom to tell of them.

    doing: what is done, `proving`. on_total, on_done: of the caller, told too. seconds: of a training, where that is known: what all of
    them take is said before the first.
    """
    from evolr.views.progress import display, proving

    require_functions(on_total=on_total, on_done=on_done)
    with proving(display(progress), doing, seconds) as (show_total, show_done):
        yield _both(show_total, on_total), _both(show_done, on_done)


@contextmanager
def shown_comparison(
    progress: ShowProgress, on_total: OnTotal, on_trained: Callable[[int], object] | None
) -> Generator[tuple[Callable[[int], None], Callable[[int], None]]]:
    """The same of a comparison, which knows how many trainings it takes, and looks none up."""
    from evolr.views.progress import comparing, display

    require_functions(on_total=on_total, on_trained=on_trained)
    with comparing(display(progress)) as (show_total, show_trained):
        yield _both(show_total, on_total), _both(show_trained, on_trained)


def _both(show: Callable[..., object], caller: Callable[..., object] | None) -> Callable[..., None]:
    """Tells the bar, and then the caller, if that listens."""

    def told(*counts: int) -> None:
        show(*counts)
        if caller:
            caller(*counts)

    return told


def seconds_of(directory: Path, config: Config, epochs: int) -> float | None:
    """Seconds that a training of so many epochs takes, by those of a study's search; None where nobody knows."""
    seconds = pace(directory)
    return None if seconds is None else seconds * epochs / config.training.epochs
