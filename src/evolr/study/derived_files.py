"""The files of a study that are derived from what it remembers: configuration, champion, front, history."""

from __future__ import annotations

from evolr.search.individual import Evaluation
from evolr.study.run_directory import RunDirectory
from evolr.study.state import SearchState


class DerivedFiles:
    """Writes the files of a search in its run directory, those that lag behind its state alone."""

    def __init__(self, directory: RunDirectory, state: SearchState) -> None:
        """Writes the configuration; the other files of an earlier session are taken to lag behind."""
        self._directory = directory
        self._state = state
        self._champion: Evaluation | None = None  # whose files are written
        self._front: list[Evaluation] = []
        self._generations = 0  # whose history is written
        directory.save_config(state.config)

    def write_best(self) -> None:
        """Writes the champion of the finished generations, and their front."""
        state = self._state
        if (winner := state.winner) is not None and winner != self._champion:
            self._directory.save_champion(state.config, winner, is_raced=state.is_raced(winner))
            self._champion = winner
        if (front := state.hall_of_fame) != self._front:
            self._directory.save_front(front)
            self._front = front

    def write(self) -> None:
        """Writes all of them.

        While there is no winner yet, the best by the trials there are is written in its place; nothing of that is recorded.
        """
        state = self._state
        if state.generation != self._generations:
            self.write_best()
            self._directory.save_history(state.history)
            self._generations = state.generation
        if state.winner is None and (best := state.best_so_far) is not None:
            self._directory.save_champion(state.config, best, is_raced=False)
            self._directory.save_front(state.front)
        elif state.winner is None:
            self._directory.remove_champion()  # of an earlier session: its other trials have diverged since
