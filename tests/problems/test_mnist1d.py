import logging
import random

import numpy as np
import platformdirs
import pytest

from evolr.problems import Mnist1dMlp, mnist1d_data
from evolr.problems.mnist1d_data import fresh, published


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return platformdirs.user_cache_path("evolr")


def test_the_published_samples_are_the_packages_own():
    from mnist1d.data import get_dataset_args, make_dataset

    state = np.random.get_state()  # noqa: NPY002
    data = make_dataset(get_dataset_args())
    np.random.set_state(state)  # noqa: NPY002
    train, test = published()
    assert (train.inputs.shape, test.inputs.shape) == ((4_000, 40), (1_000, 40))
    np.testing.assert_array_equal(train.inputs, data["x"].astype(np.float32))
    np.testing.assert_array_equal(train.labels, data["y"])
    np.testing.assert_array_equal(test.inputs, data["x_test"].astype(np.float32))
    np.testing.assert_array_equal(test.labels, data["y_test"])


def test_building_leaves_the_global_random_state_alone(empty_cache):
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    before = np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    fresh(20, seed=9)
    assert np.array_equal(np.random.get_state()[1], before[0])  # noqa: NPY002
    assert random.getstate() == before[1]


def test_a_fresh_draw_is_cached_and_the_same_again(empty_cache, monkeypatch):
    first = fresh(20, seed=9)
    monkeypatch.setattr(mnist1d_data, "_build", None)  # not to be called again
    again = fresh(20, seed=9)
    assert np.array_equal(first.inputs, again.inputs)
    assert np.array_equal(first.labels, again.labels)


def cached_file(cache):
    (path,) = cache.glob("*.npz")
    return path


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "foreign", "other shape", "objects"])
def test_a_damaged_cache_is_built_anew_and_said_so(empty_cache, damage, caplog):
    first = fresh(20, seed=9)
    path = cached_file(empty_cache)
    content = path.read_bytes()
    if damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "foreign":
        path.write_bytes(b"not an archive at all")
    elif damage == "other shape":
        np.savez(path, inputs=first.inputs[:3], labels=first.labels[:3])
    else:
        np.savez(path, inputs=np.array([{}], object), labels=first.labels)
    with caplog.at_level(logging.WARNING):
        again = fresh(20, seed=9)
    assert "damaged" in caplog.text
    assert np.array_equal(first.inputs, again.inputs)
    assert path.read_bytes() == content  # mended
    assert len(list(empty_cache.iterdir())) == 1  # nothing half-written left


def test_a_cache_that_cannot_be_written_costs_only_time(empty_cache, caplog):
    empty_cache.parent.mkdir(parents=True)
    empty_cache.write_text("a file where the directory should be")
    with caplog.at_level(logging.WARNING):
        samples = fresh(20, seed=9)
    assert "cannot write" in caplog.text
    assert samples.inputs.shape == (20, 40)


def test_the_pools_are_disjoint_and_the_original_is_not():
    original, disjoint = Mnist1dMlp(pools="original"), Mnist1dMlp()
    assert original.task("fitness").judge is None
    assert "monitor = fitness" in original.notes[0]
    task = disjoint.task("fitness")
    rows = {row.tobytes() for row in task.judge.inputs}
    assert len(rows) == 10_000
    assert not rows & {row.tobytes() for row in task.monitor.inputs}
    assert not disjoint.notes


def test_batches_are_the_whole_training_set_in_an_order_of_seed_and_epoch():
    task = Mnist1dMlp(pools="original").task("fitness")
    batches = task.batches(1, 0)
    assert batches.inputs.shape == (40, 100, 40)
    train, _ = published()
    assert sorted(map(bytes, batches.inputs.reshape(-1, 40))) == sorted(map(bytes, train.inputs))
    assert np.array_equal(batches.labels, task.batches(1, 0).labels)
    assert not np.array_equal(batches.labels, task.batches(1, 1).labels)
    assert not np.array_equal(batches.labels, task.batches(2, 0).labels)


def test_what_does_not_fill_a_batch_is_left_out():
    task = Mnist1dMlp(pools="original", batch_size=128).task("fitness")
    assert task.steps_per_epoch == 31
    assert task.batches(0, 0).inputs.shape == (31, 128, 40)
