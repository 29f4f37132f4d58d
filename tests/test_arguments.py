"""Arguments of the public functions that are of another type than expected: a sentence says what was."""

from fractions import Fraction

import numpy as np
import pytest
import torch

import evolr
import evolr.keras
import evolr.optax
from evolr.errors import EvolrError
from evolr.expression import Expression
from evolr.schedule import Plateau
from evolr.torch import ExpressionLR, lr_lambda
from tests.execution import training_functions as functions

SMALL = {
    "search.population": 2,
    "search.generations": 1,
    "search.youth": 1,
    "search.seeds": 1,
    "search.finalists": 0,
    "training.epochs": 1,
}


SGD = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: evolr.resolve(settings=[1]), r"settings must map dotted names to values, got \[1\]"),
        (lambda: evolr.resolve(settings={1: 2}), "a setting is named by a text, such as search.population, got 1"),
        (lambda: evolr.resolve(5), "a preset is given by its name, got 5"),
        (lambda: evolr.resolve("memetic", "no.toml"), "cannot read the configuration no.toml"),
        (lambda: evolr.load("0.1", min_lr="a"), "min_lr must be a number, got 'a'"),
        (lambda: evolr.load("0.1", max_lr=True), "max_lr must be a number, got True"),
        (lambda: evolr.load(5), "expected a path, a formula, or a name of the gallery or of a family, got 5"),
        (
            lambda: evolr.tune(functions.descending, "cosine", trainings=4, epochs=3, settings=5),
            "settings must map dotted names to values, got 5",
        ),
        (lambda: evolr.tune(functions.descending, "cosine", trainings=4), "needs the epochs that it is called with"),
        (lambda: evolr.Schedule(expression="0.1"), "a schedule's expression is an Expression, .* got '0.1'"),
        (lambda: evolr.Schedule.load(3.5), "the file of a schedule is named by a text or a Path, got 3.5"),
        (lambda: evolr.Schedule.from_json(Text("{}")), "a schedule document is text or bytes"),
        (lambda: evolr.export(OPEN, []), r"unknown target '\[\]'; known: "),
        (lambda: OPEN.rates_by_step(5, 0), "steps_per_epoch must be at least 1, got 0"),
        (lambda: OPEN.rates_by_step(None, 1), "total_steps must be a whole number, got None"),
        (lambda: OPEN.rates_by_step(2, 10**400), "steps_per_epoch must be at most 9,007,199,254,740,992"),
        (lambda: OPEN.to_json(5), "a provenance maps names to what is said of the schedule, got 5"),
        (lambda: OPEN.to_json({"of": object}), "the provenance cannot be written as JSON"),
        (lambda: Expression(None), "an expression is made of names and of numbers"),
        (lambda: Expression((10**400,)), "an expression is made of names and of numbers"),
        (lambda: Plateau(mode=np.ones(2)), "mode is 'min' or 'max'"),
        (lambda: OPEN.plot(losses=np.array(3)), r"losses must be a sequence of numbers, got array\(3\)"),
        (lambda: evolr.Loop(None, total_steps=5), "expected a schedule, as evolr.load gives, got None"),
        (lambda: evolr.resolve(settings={"comparison.base_lr": "a"}), "comparison.base_lr: expected float, got str"),
        (lambda: evolr.Study(5), "a directory is named by a text that is not empty or a Path, got 5"),
        (lambda: evolr.Study(""), "a directory is named by a text that is not empty or a Path, got ''"),
        (lambda: evolr.Study("d", "x"), "a study's configuration must be an evolr.Config, .* or None, got 'x'"),
        (lambda: evolr.evolve(evolr.resolve(), None), "a directory is named by .* got None"),
        (lambda: evolr.prove(evolr.resolve(), 5), "a directory is named by .* got 5"),
        (lambda: evolr.report(b"run"), "a run directory is named by .* got b'run'"),
        (lambda: evolr.export(OPEN, "torch", ""), "a file is named by .* got ''"),
        (lambda: evolr.TrialSchedule("0.1", 5), "expected a Schedule, as evolr.load gives, got '0.1'"),
        (lambda: evolr.TrialSchedule(OPEN, 0), "epochs must be at least 1, got 0"),
        (lambda: evolr.TrialSchedule(OPEN, "5"), "epochs must be a whole number, got '5'"),
        (lambda: ExpressionLR(SGD, "0.1", total_steps=5), "expected a schedule, as evolr.load gives, got '0.1'"),
        (lambda: lr_lambda("0.1", 0.1, total_steps=5), "expected a schedule, as evolr.load gives, got '0.1'"),
        (lambda: evolr.optax.schedule(None, total_steps=5), "expected a schedule, as evolr.load gives, got None"),
        (lambda: evolr.optax.optimizer("0.1", total_steps=5), "expected a Schedule, as evolr.load gives, got '0.1'"),
        (lambda: evolr.keras.ExpressionCallback("0.1", total_steps=5), "expected a schedule, .* got '0.1'"),
        (lambda: evolr.keras.ExpressionSchedule(0.1, total_steps=5), "expected a schedule, .* got 0.1"),
        (lambda: evolr.compare_schedule(OPEN, functions.descending), "config must be an evolr.Config, .* trained_by="),
        (lambda: evolr.compare_schedule("0.1", evolr.resolve()), "expected a Schedule, .* got '0.1'"),
        (lambda: evolr.prove_schedule("0.1", evolr.resolve(), "d", budget=2), "expected a Schedule, .* got '0.1'"),
        (lambda: evolr.prove_schedule(OPEN, "memetic", "d", budget=2), "config must be an evolr.Config, .*'memetic'"),
        (
            lambda: evolr.tune(functions.descending, "cosine", "", trainings=4, epochs=3),
            "a directory is named by a text that is not empty or a Path, got ''",
        ),
        (
            lambda: evolr.tune(functions.descending, "cosine", trainings=4, epochs=3, on_done=3),
            "on_done must be a function, got 3",
        ),
    ],
)
def test_an_argument_of_another_type_is_refused_in_words(call, message):
    with pytest.raises(EvolrError, match=message):
        call()


class Orders:
    """What says orders to a terminal of itself, wherever it is asked."""

    def __repr__(self):
        return "\x1b[2J"

    def __float__(self):
        raise ValueError("\x1b[2J")


@pytest.mark.parametrize(
    "call",
    [
        evolr.parse,
        lambda value: OPEN.at(progress=value),
        lambda value: evolr.Schedule(expression=OPEN.expression, min_lr=value),
        lambda value: evolr.Loop(OPEN, total_steps=value),
        lambda value: Expression(("add", value, 1.0)),
        lambda value: evolr.resolve(settings={"seed": value}),
    ],
)
def test_what_an_argument_says_of_itself_is_text(call):
    with pytest.raises(EvolrError) as raised:
        call(Orders())
    assert "\x1b" not in str(raised.value)


NO_NUMBERS = [10**5000, -(10**400), "a number", 1j, object(), np.ones(2)]
READING, OPEN = evolr.load("0.1/(1 + loss)"), evolr.load("0.1*(1 - progress)")


def loop():
    return evolr.Loop(READING, total_steps=4, steps_per_epoch=2, loss=1.0)


@pytest.mark.parametrize("value", NO_NUMBERS, ids=["huge", "below all", "text", "complex", "object", "two"])
@pytest.mark.parametrize(
    "call",
    [
        lambda value: evolr.Loop(READING, total_steps=4, steps_per_epoch=2, loss=value),
        lambda value: evolr.Loop(READING, total_steps=value, loss=1.0),
        lambda value: evolr.Loop(READING, total_steps=4, steps_per_epoch=value, loss=1.0),
        lambda value: loop().step(loss=value),
        lambda value: loop().observe(val_loss=value),
        lambda value: loop().begin(loss=value),
        lambda value: loop().move_to(value),
        lambda value: loop().begin_at(value),
        lambda value: loop().load_state_dict(value),
        lambda value: loop().load_state_dict({**loop().state_dict(), "position": value}),
        lambda value: loop().load_state_dict({**loop().state_dict(), "learning_rate": value}),
        lambda value: READING(loss=value) if value is not NO_NUMBERS[-1] else READING(loss=[value, 1.0, 2.0]),
        lambda value: READING.at(loss=value),
        READING.scaled,
        lambda value: READING.plot(losses=[value, 1.0], steps_per_epoch=1),
        lambda value: READING.plot(losses=value) if value is not NO_NUMBERS[-1] else OPEN.plot(value),
        OPEN.plot,
        lambda value: OPEN.plot(4, steps_per_epoch=value),
        lambda value: lr_lambda(OPEN, value, total_steps=4),
        evolr.parse,
        evolr.Schedule.from_json,
        lambda value: evolr.Schedule(expression=OPEN.expression, transform=value),
        lambda value: evolr.Limits(target=value),
    ],
)
def test_what_is_no_number_that_a_float_holds_is_refused_in_words(call, value):
    with pytest.raises(EvolrError) as refused:
        call(value)
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize("value", ["0.5", b"0.5", np.str_("0.5"), np.array("0.5"), np.complex64(1), np.array(1j)])
@pytest.mark.parametrize(
    "call",
    [
        lambda value: READING.at(loss=value),
        lambda value: loop().step(loss=value),
        lambda value: evolr.TrialSchedule(READING, epochs=2)(loss=value),
    ],
)
def test_what_float_takes_and_is_no_real_number_is_no_signal(call, value):
    with pytest.raises(EvolrError, match="number"):
        call(value)


@pytest.mark.parametrize("value", [0.5, np.float32(0.5), np.array(0.5), torch.tensor(0.5), Fraction(1, 2), True])
def test_a_real_number_of_any_type_is_a_signal(value):
    expected = READING.at(loss=float(value))
    assert loop().step(loss=value) == READING.at(loss=value) == expected
    assert evolr.TrialSchedule(READING, epochs=2)(loss=value) == expected


def test_a_learning_rate_that_is_no_number_is_refused_by_compare(tmp_path):
    evolr.evolve(evolr.resolve("quadratic", settings=SMALL), tmp_path / "run")
    with pytest.raises(EvolrError, match=r"comparison\.base_lr must be a positive number, at most 1e\+38, got 'a'"):
        evolr.compare(tmp_path / "run", base_lr="a")


def test_a_file_in_the_place_of_a_directory_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(EvolrError, match=f"cannot create the directory {tmp_path / 'file'}: File exists$"):
        evolr.tune(functions.descending, "cosine", tmp_path / "file", trainings=4, epochs=3)
