"""Searches in several threads of one process."""

from concurrent.futures import ThreadPoolExecutor

import evolr
from tests.execution import training_functions as functions


def test_searches_in_threads_start_workers_side_by_side(tmp_path):
    def search(number):
        options = {"epochs": 2, "trainings": 12, "signals": ("progress",), "workers": 1, "progress": False}
        return evolr.evolve(functions.descending, tmp_path / str(number), **options).trainings

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(search, range(6))) == [12] * 6
