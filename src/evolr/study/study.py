"""The study: a search that remembers everything, and goes on from what it remembers.

It is what its parts do: ask_tell.py, running.py, replay.py where it is opened, derived_files.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import NoneType, TracebackType
from typing import Any, Self

from evolr.config import Config
from evolr.errors import EvolrError, StudyError, printable, require_type, whole_number
from evolr.execution.executor import ExecutorMaker
from evolr.reading import path_of
from evolr.schedule import Schedule
from evolr.search.individual import Evaluation
from evolr.study import ask_tell, running
from evolr.study.ask_tell import Asked
from evolr.study.open_study import OpenStudy
from evolr.study.results import GenerationReport, Limits, SearchResult, TrialReport
from evolr.study.run_directory import RunDirectory
from evolr.study.trained_by import executor_for
from evolr.study.watching import Callbacks, Log, ShouldStop, ShowProgress, Watcher, Watchers, bar, require_functions


class Study:
    """A study in a directory: created with a configuration, or opened where it exists.

    >>> from tempfile import mkdtemp
    >>> from evolr.config import resolve
    >>> study = Study(Path(mkdtemp()) / "mine", resolve("original", settings={"search.generations": 2}))
    >>> for asked in study.ask():
    ...     study.tell(asked, 1 / asked.expression.size)  # train under asked.schedule for asked.epochs, then tell what it scored
    >>> len(study.history())
    20

    Raises StudyError where the directory holds no study and no configuration is given, or a configuration other than
    the stored one; StudyLockedError where another process writes it. `search.generations` alone may grow.

    The right to write is taken at once and given back by `close`, or by the end of the process. It is that process's, whose threads
    may all ask, tell and close, one after another; a process that it forks may not. To look at a study that another process writes,
    use `evolr show` and `evolr runs`, or its files.
    """

    def __init__(self, directory: Path | str, config: Config | None = None) -> None:
        self.directory = path_of("directory", directory)
        require_type(
            "a study's configuration", config, (Config, NoneType), "an evolr.Config, as evolr.resolve makes, or None"
        )
        self._open = OpenStudy(self.directory, config)

    @property
    def config(self) -> Config:
        """Its configuration; one whose search a budget has shortened has the generations that it had, and its smaller race."""
        return self._open.config

    def ask(self) -> list[Asked]:
        """The trainings of the current generation that are wanted, one for each formula whose score is; none when the search is over.

        What was asked and not told is asked again, by another process too. Formulas that are known, by their text or
        their values, are not asked.
        """
        return ask_tell.ask(self._open)

    def tell(self, asked: Asked, score: float) -> None:
        """Records the score of a training that was asked, in the problem's own metric. It counts as a training of its epochs.

        A score that is not finite is recorded as that of a diverged training, the worst. The same score told again
        changes nothing. Raises StudyError for another score, and for an training that was not asked.
        """
        ask_tell.tell(self._open, asked, score)

    def run(
        self,
        limits: Limits | None = None,
        *,
        executor: ExecutorMaker | None = None,
        should_stop: ShouldStop = lambda: None,
        on_trial: Callable[[TrialReport], object] | None = None,
        on_generation: Callable[[GenerationReport], object] | None = None,
        progress: ShowProgress | Watcher = None,
        begun: float | None = None,
    ) -> SearchResult:
        """Trains and breeds until the last generation, a limit, or until `should_stop` gives a reason to stop, or True.

        executor: where trials run, or what trains; this machine, on all its devices, where None. should_stop: asked whenever trainings have finished, and, while a
        function trains, a few times a second; so a limit of seconds is kept, and trainings under way then are dropped.
        on_trial: called with a TrialReport for each training that has landed. on_generation: called with a GenerationReport after each
        generation, and after the race. What they raise ends the search, and is raised; what has landed is stored.
        progress: a bar with the time left, on stderr: None, if that is a terminal or a notebook; True, by plain lines if it is
        neither; False, nothing; a Watcher of your own is told in its place. The logger `evolr` is told too, each generation at INFO and each training at DEBUG.
        begun: when that began of which limits.seconds are, by time.perf_counter; this call where None.

        Raises StudyError where every training of the first generation fails, or each of the first 12.
        """
        begun = time.perf_counter() if begun is None else begun
        self._open.require_open()
        require_functions(should_stop=should_stop, on_trial=on_trial, on_generation=on_generation)
        trainer = executor_for(self.config, options={"executor": executor})
        metric = self.config.problem.metric
        try:
            with bar(progress, metric) as shown:
                watchers = Watchers([Log(metric), shown, Callbacks(on_trial, on_generation)])
                return running.run(
                    self._open, trainer, limits or Limits(), should_stop=should_stop, watcher=watchers, begun=begun
                )
        finally:
            if trainer is not executor:
                trainer.close()

    @property
    def is_finished(self) -> bool:
        """Whether all generations have been evaluated."""
        return self._open.state.is_finished

    @property
    def champion(self) -> Schedule | None:
        """The fittest schedule so far; None where nothing was trained yet, and where every training diverged.

        Of the finished generations; while there is none with a training that finished, of the trials there are.
        """
        return self._open.state.schedule

    @property
    def front(self) -> list[Evaluation]:
        """The fittest of each size that is fitter than everything smaller; of what `champion` is the best of."""
        return self._open.state.front

    def promising(self, count: int) -> list[Evaluation]:
        """The most promising individuals of the finished generations, the best first; those that would race now."""
        return self._open.state.finalists(whole_number("count", count))

    def history(self) -> list[Evaluation]:
        """The evaluations of all finished generations, in order."""
        return list(self._open.state.history)

    def frame(self) -> Any:
        """The history as a pandas DataFrame, with the columns of history.csv. Raises StudyError without pandas."""
        try:
            import pandas as pd  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise StudyError("a DataFrame needs pandas: pip install pandas") from error
        return pd.DataFrame(RunDirectory.history_rows(self._open.state.history))

    def __repr__(self) -> str:
        return printable(f"<Study in {self.directory}>")

    def _repr_html_(self) -> str | None:
        """What a notebook shows."""
        from evolr.views.html import study_html

        return study_html(self.directory)

    def close(self) -> None:
        """Writes the files and gives back the right to write. Closing twice is closing once."""
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
            return
        with suppress(EvolrError):  # the error on its way is the one to tell of
            self.close()
