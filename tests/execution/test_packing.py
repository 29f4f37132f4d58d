"""Functions that no worker can import by a name: of a prompt, of another function, lambdas."""

import functools
import io
import math
import os
import subprocess
import sys
import threading
from contextlib import closing
from importlib import import_module
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from evolr.errors import ConfigError, MissingExtraError
from evolr.execution.packing import packed, unpacked
from evolr.execution.training_function import name_of, sendable
from evolr.execution.workers import Workers
from evolr.standard import constant
from evolr.training.task import Trial
from tests.execution import training_functions as functions

ROOT = Path(__file__).parents[2]


def scores(train, trials=2):
    with closing(Workers(train, count=1)) as workers:
        outcomes = workers.run([Trial(constant(0.1), seed) for seed in range(trials)], 2, "fitness")
    assert [outcome.failure for outcome in outcomes] == [None] * trials
    return [outcome.score for outcome in outcomes]


def made(factor):
    def train(schedule, seed, epochs):
        return factor * math.fsum([schedule(progress=0.5), seed])

    return train


class Trainer:
    def __init__(self, factor):
        self.factor = factor

    def train(self, schedule, seed, epochs):
        return self.factor * epochs


def test_closures_lambdas_and_what_is_made_of_them_are_trained_in_workers():
    assert scores(made(2.0)) == [0.2, 2.2]
    assert scores(functools.partial(lambda schedule, seed, epochs, factor: factor * seed, factor=3)) == [0.0, 3.0]
    local = type("Local", (Trainer,), {"__module__": "__main__"})
    assert scores(local(5.0).train) == [10.0, 10.0]


def test_a_function_with_a_cache_has_an_empty_one_of_its_own_in_the_worker():
    @functools.cache
    def power(n):
        return 1 if n == 0 else 2 * power(n - 1)

    assert power(3) == 8
    there = unpacked(packed(power, "powers"))
    assert there.cache_info().currsize == 0
    assert there(3) == 8
    assert there.cache_info().hits == 0
    assert there(4) == 16
    assert there.cache_info().hits == 1
    assert scores(lambda schedule, seed, epochs: power(epochs)) == [4.0, 4.0]


def test_what_functools_makes_with_a_lock_or_a_weak_cache_is_made_anew_in_the_worker():
    class Data:
        reads = 0

        @functools.cached_property
        def size(self):
            type(self).reads += 1
            return 5

        @functools.singledispatchmethod
        def kind(self, what):
            return "any"

        @kind.register
        def _(self, what: int):
            return "int"

    class More(Data):
        @functools.cached_property
        def size(self):
            return super().size + 1

    @functools.singledispatch
    def kind(what):
        return "any" if what is None else kind(None)

    @kind.register
    def _(what: int):
        return "int"

    def train(schedule, seed, epochs):
        made = More()
        sizes = [made.size, made.size]
        kinds = [made.kind("a"), made.kind(1), kind("a"), kind(1)]
        return float(sizes == [6, 6] and More.reads == 1 and kinds == ["any", "int", "any", "int"])

    assert scores(train, 1) == [1.0]
    assert Data.reads == 0


def test_what_can_be_imported_travels_by_its_name_whether_cloudpickle_is_there_or_not(monkeypatch):
    for train in (functions.falling, functools.partial(functions.falling), Trainer(1.0).train):
        assert b"cloudpickle" not in sendable(train)
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    assert b"falling" in sendable(functions.falling)


def test_a_function_whose_module_was_edited_and_loaded_again_is_trained_as_it_is_given(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "edited.py").write_text("def train(schedule, seed, epochs):\n    return 1.0\n")
    module = import_module("edited")
    older = module.train
    (tmp_path / "edited.py").write_text("def train(schedule, seed, epochs):\n    return 2.0\n")
    assert scores(older) == [2.0, 2.0]  # by its name: what the file says now
    exec((tmp_path / "edited.py").read_text(), vars(module))  # noqa: S102
    assert scores(older) == [1.0, 1.0]  # the module has another one of that name: what is given
    monkeypatch.delitem(sys.modules, "edited")


LOCK, GENERATOR = threading.Lock(), (n for n in range(3))


def helper(lock):
    def used():
        return lock

    return lambda schedule, seed, epochs: float(used() is None)


def shared_by_a_class():
    class Model:
        guard = LOCK

        def fit(self):
            return 0.0

    return lambda schedule, seed, epochs: Model().fit()


def defaulted():
    def train(schedule, seed, epochs, values=GENERATOR):
        return 0.0

    return train


@pytest.mark.parametrize(
    ("train", "named"),
    [
        (made(LOCK), r"it holds factor, an object of type _thread\.lock \(TypeError: cannot pickle"),
        (helper(LOCK), r"it holds used → lock, an object of type _thread\.lock"),
        (made({"runs": [1, GENERATOR]}), r"it holds factor\['runs'\]\[1\], an object of type generator"),
        (shared_by_a_class(), r"it holds Model\.guard, an object of type _thread\.lock"),
        (defaulted(), "it holds values, an object of type generator"),
        (functools.partial(functions.judging, pool=LOCK), r"it holds pool, an object of type _thread\.lock"),
        (Trainer(LOCK).train, r"it holds self\.factor, an object of type _thread\.lock"),
    ],
    ids=[
        "closed over",
        "of a helper",
        "within others",
        "of a class",
        "a default",
        "bound by a partial",
        "of the method's object",
    ],
)
def test_what_cannot_be_packed_is_named_in_one_sentence(train, named):
    with pytest.raises(
        ConfigError, match=rf"cannot be sent to a worker: {named}.*; make such a thing inside"
    ) as caught:
        Workers(train)
    assert "\n" not in str(caught.value)


def test_an_open_file_is_refused_even_one_that_is_only_read_and_what_is_none_is_not(tmp_path):
    (tmp_path / "log.txt").write_text("a line")
    for mode in ("r", "rb", "a"):
        with (
            open(tmp_path / "log.txt", mode) as file,
            pytest.raises(
                ConfigError, match=r"factor, an object of type _io\..* \(TypeError: an open file belongs to this"
            ),
        ):
            Workers(made(file))
    assert unpacked(packed(io.StringIO("text"), "a text")).read() == "text"
    assert unpacked(packed(sys.stdout, "the output")) is sys.stdout


def test_an_object_that_is_wrong_all_through_is_told_with_the_reason_alone():
    class Wrong:
        def __call__(self, schedule, seed, epochs):
            return 0.0

        def __reduce__(self):
            raise OSError("not on\nthis disk")

    with pytest.raises(ConfigError, match=r"Wrong cannot be sent to a worker: OSError: not on this disk; make such"):
        Workers(Wrong())


def test_without_cloudpickle_the_error_says_what_to_install_or_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    packing = sys.modules["evolr.execution.packing"]
    packing._pickler.cache_clear()
    with pytest.raises(
        MissingExtraError, match=r"made\.<locals>\.train, .* top level .*pip install 'evolr\[notebook\]'"
    ):
        Workers(made(1.0))


def test_the_function_of_a_prompt_is_named_main_and_is_sent_by_value(monkeypatch):
    main, prompt = sys.modules["__main__"], made(1.0)
    prompt.__module__, prompt.__qualname__ = "__main__", "train"
    monkeypatch.setattr(main, "train", prompt, raising=False)
    monkeypatch.setattr(main, "__spec__", None)
    for file in (None, "<stdin>"):
        monkeypatch.setattr(main, "__file__", file, raising=False)
        assert name_of(prompt) == "__main__:train"
        assert b"cloudpickle" in sendable(prompt)
        assert b"cloudpickle" in sendable(functools.partial(functions.with_grandchild, prompt))
    monkeypatch.setattr(main, "__file__", __file__)
    assert b"cloudpickle" not in sendable(prompt)
    monkeypatch.setattr(main, "__spec__", ModuleSpec("mine.__main__", None))
    assert name_of(prompt) == "mine.__main__:train"
    assert b"cloudpickle" in sendable(prompt)


AT_A_PROMPT = """
import evolr

OFFSET = 0.25

def {name}(schedule, seed, epochs):
    return OFFSET + schedule(progress=0.5)

limits = evolr.Limits(trainings={trainings})
result = evolr.evolve({name}, "run", limits, epochs=2, signals=["progress"], workers=1)
print(result.trainings)
"""


def at_a_prompt(**words):
    """What Python says to a program from its standard input, which is in no file."""
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(ROOT / "src")]))
    return subprocess.run(
        [sys.executable, "-"],
        check=False,
        input=AT_A_PROMPT.format(**words),
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )


def test_a_study_of_a_prompt_goes_on_in_another_session_by_the_same_name_and_no_file_holds_the_function(tmp_path):
    begun, more = at_a_prompt(name="train", trainings=4), at_a_prompt(name="train", trainings=8)
    assert (begun.stdout, begun.stderr) == ("4\n", "")
    assert (more.stdout, more.stderr) == ("8\n", "")
    assert 'trainer = "__main__:train"' in (tmp_path / "run" / "config.toml").read_text()
    kept = b"".join(path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file())
    assert b"cloudpickle" not in kept
    assert b"OFFSET" not in kept
    another = at_a_prompt(name="other", trainings=9)
    assert "problem.trainer is __main__:train, was asked to be __main__:other" in another.stderr
