"""A formula that a person gives is the learning rate itself."""

import numpy as np
import pytest

from evolr.errors import ExpressionError, ScheduleError
from evolr.formula import FormulaOptions, family_named, read_schedule
from evolr.schedule import GREATEST_LR, Schedule
from evolr.standard import FAMILIES
from tests.frameworks.exported import exported


@pytest.mark.parametrize(
    ("text", "signals", "right"),
    [
        ("0.01*(1 - pow(2*progress - 1, 3))/2", {"progress": 0.0}, 0.01),
        ("0.001*loss/loss_ema", {"loss": 9e-7, "loss_ema": 9e-7}, 0.001),
        ("0.001*(loss/loss_ema)", {"loss": 4.5e-7, "loss_ema": 9e-7}, 0.0005),
        ("30*pow(0.1, where(epoch - 119.5, 1, 0))", {"epoch": 0.0}, 30.0),
        ("where(200 - step, 0, 0.001)", {"step": 5.0}, 0.0),
        ("1e-9", {}, 1e-9),
        ("floor(progress/0.1)", {"progress": 3 / 10}, 3.0),
        ("100*0.1**(progress >= 0.29)", {"progress": 29 / 100}, 10.0),
        ("0.1*(1 - progress)**0.9", {"progress": 1.5}, 0.0),  # past its end, as PolynomialLR
        (
            "0.1 if step < 500 else 0.1*(total_steps - step)/(total_steps - 500)",
            {"step": 750.0, "total_steps": 1000.0},
            0.05,
        ),
    ],
)
def test_a_formula_has_the_value_that_its_author_means(tmp_path, text, signals, right):
    schedule = read_schedule(text)
    own = {name: signals[name] for name in schedule.signals}
    for found in (
        schedule.at(**own),
        float(schedule(**own)),
        exported(schedule, "python", tmp_path).learning_rate(**own),
    ):
        assert found == pytest.approx(right, rel=1e-12)


def test_it_has_the_bounds_that_were_given_or_none():
    assert read_schedule("epoch") == Schedule(
        expression=read_schedule("epoch").expression, min_lr=0.0, max_lr=GREATEST_LR
    )
    bounded = read_schedule("epoch", FormulaOptions(min_lr=1.0, max_lr=2.0))
    assert [bounded.at(epoch=epoch) for epoch in (0, 1.5, 9)] == [1.0, 1.5, 2.0]


def test_it_is_the_logarithm_where_that_is_said():
    assert read_schedule("0", FormulaOptions(transform="log")).at() == 1e-3


@pytest.mark.parametrize("options", [{"min_lr": 2.0, "max_lr": 1.0}, {"min_lr": -1.0}, {"transform": "square"}])
def test_options_that_do_not_fit_are_refused(options):
    with pytest.raises(ScheduleError):
        read_schedule("0.1", FormulaOptions(**options))


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_is_read_by_its_name(name):
    assert read_schedule(name) == FAMILIES[name].schedule()
    assert family_named(name.upper().replace(" ", "_")) == FAMILIES[name]


def test_a_family_has_no_transform():
    with pytest.raises(ScheduleError, match="leave the transform out"):
        read_schedule("cosine", FormulaOptions(transform="log"))


def test_a_family_within_a_formula_is_explained():
    with pytest.raises(ExpressionError, match="'cosine' is a standard schedule") as caught:
        read_schedule("0.1*cosine")
    assert caught.value.column == 5


def test_no_formula_is_taken_for_a_family():
    texts = ["epoch", "1 - progress", "e", "pi", "lr", "loss", "exp(progress)"]
    assert [family_named(text) for text in texts] == [None] * len(texts)


def test_a_learning_rate_is_never_minus_zero():
    rates = read_schedule("-1*epoch")(epoch=np.array([0.0, 1.0]))
    assert not np.signbit(rates).any()


@pytest.mark.parametrize(
    "text", ["-cosine", "cosine*", "(linear)", "-(REX)", "exponential**", "!constant", "linear" + " " * 100 + "+ 1", ""]
)
def test_a_familys_name_with_more_about_it_is_no_family(text):
    assert family_named(text) is None
    with pytest.raises(ExpressionError):
        read_schedule(text)
