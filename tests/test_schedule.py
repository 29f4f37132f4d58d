import functools
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import astuple

import evolr
from evolr.errors import ScheduleError
from evolr.expression import Expression, parse
from evolr.schedule import Plateau, Schedule
from tests.expression.strategies import expressions

positive = st.floats(1e-12, 1e12)


def schedule(text="0.1 - 0.01*epoch", **settings):
    return Schedule(expression=parse(text), **settings)


class Own(float):
    def __repr__(self):
        return "__import__('os').abort()"


def test_linear_is_the_value_between_the_bounds():
    rates = schedule(min_lr=0.02, max_lr=0.08)(epoch=[0, 3, 20])
    assert rates.tolist() == pytest.approx([0.08, 0.07, 0.02])


def test_log_is_the_reference_times_the_exponential():
    rates = schedule("-epoch", transform="log", reference_lr=0.5, min_lr=0.0)(epoch=[0, 1, 1e9])
    assert rates.tolist() == pytest.approx([0.5, 0.5 / np.e, 0.0])


@pytest.mark.parametrize("text", ["loss", "loss - loss", "0*loss", "cos(loss)"])
@pytest.mark.parametrize("transform", ["linear", "log"])
def test_a_value_that_is_not_finite_gives_the_least_learning_rate(text, transform):
    rates = schedule(text, transform=transform, min_lr=1e-5)(loss=[np.nan, np.inf, -np.inf])
    assert rates.tolist() == [1e-5] * 3


def test_a_curve_has_one_learning_rate_a_step():
    curve = schedule("epoch + progress + step", max_lr=100.0).curve(2, 2)
    assert curve.tolist() == [0, 0 + 0.25 + 1, 1 + 0.5 + 2, 1 + 0.75 + 3]


@given(expressions, st.sampled_from(["linear", "log"]), positive, st.floats(0, 1e-9), st.floats(1e-9, 1e12))
def test_the_document_loads_back_to_the_same_bits(expression, transform, reference, least, most):
    one = Schedule(expression=expression, transform=transform, reference_lr=reference, min_lr=least, max_lr=most)
    two = Schedule.from_json(one.to_json({"seed": 3}))
    assert two == one
    assert repr(astuple(two)) == repr(astuple(one))  # −0.0 is not 0.0
    assert two.to_json({"seed": 3}) == one.to_json({"seed": 3})


def test_a_schedule_prints_as_the_learning_rate_that_it_is():
    assert str(schedule("0.1*(1 - progress)", min_lr=0.01)) == "0.1*(1 - progress), at least 0.01"
    logarithmic = schedule("1 - loss/3", transform="log", reference_lr=0.02, min_lr=1e-8, max_lr=10.0)
    assert str(logarithmic) == "0.02*exp(1 - loss/3), at least 1e-08, at most 10"
    assert repr(logarithmic) == f"<Schedule: {logarithmic}>"
    rate = schedule(str(logarithmic).split(",")[0])
    assert rate.at(loss=3.0) == pytest.approx(logarithmic.at(loss=3.0))
    assert len(repr(schedule("+".join(["progress"] * 200)))) < 400


def test_the_document_keeps_its_provenance():
    assert Schedule.provenance(schedule().to_json({"seed": 3})) == {"seed": 3}


DOCUMENT = schedule().to_json()


def changed(**changes):
    document = json.loads(DOCUMENT)
    document.update(changes)
    return json.dumps({k: v for k, v in document.items() if v != "gone"})


@pytest.mark.parametrize(
    ("document", "part"),
    [
        ("", "not a schedule document"),
        ("[]", "not a schedule document"),
        ("{", "not a schedule document"),
        (b"\xff\xfe", "not a schedule document"),
        ("[" * 100_000, "not a schedule document"),
        ("0" * 2_000_000, "1,000,000 bytes"),
        ('{"format": "\ud800"}', "not a schedule document"),
        (changed(format="x" * 500_000), "format"),
        (changed(**{"x" * 500_000: 1}), "unknown field"),
        (changed(schema_version=10**4_000), "update evolr"),
        (changed(**{"\x1b[31m": 1}), "unknown field"),
        (changed(format="other"), "format"),
        (changed(schema_version=2), "update evolr"),
        (changed(schema_version=0), "schema version 1"),
        (changed(language_version=99), "update evolr"),
        (changed(surprise=1), "surprise"),
        (changed(min_lr="gone"), "min_lr"),
        (changed(min_lr="0.1"), "min_lr"),
        (changed(transform="square"), "square"),
        (changed(expression="epoch +"), "got the end"),
        (changed(expression="__import__('os')"), "unknown function"),
        (changed(min_lr=2.0, max_lr=1.0), "min_lr"),
        (changed(reference_lr=-1.0), "reference_lr"),
        (DOCUMENT.replace(b'"min_lr"', b'"min_lr": 0.5, "min_lr"'), "says 'min_lr' twice"),
        (DOCUMENT.replace(b'"provenance": {', b'"provenance": {"a": 1, "a": 2'), "says 'a' twice"),
        (DOCUMENT.replace(b'"provenance": {', b'"provenance": {"a": ' + b"[" * 10**5 + b"]" * 10**5), "lists in lists"),
    ],
)
def test_a_document_that_is_not_understood_is_refused(document, part):
    with pytest.raises(ScheduleError, match=part) as caught:
        Schedule.from_json(document)
    assert len(str(caught.value)) < 600
    assert str(caught.value).replace("\n", "").isprintable()


@pytest.mark.parametrize(
    ("provenance", "part"),
    [
        ({"a": object()}, "cannot be written as JSON"),
        ({"a": "\ud800"}, "cannot be written as JSON"),
        ({"a": functools.reduce(lambda inner, _: [inner], range(100_000), [])}, "cannot be written as JSON"),
        ({"a": "x" * 1_000_000}, "1,000,000 bytes"),
    ],
)
def test_a_provenance_that_no_document_could_give_back_is_refused(provenance, part):
    with pytest.raises(ScheduleError, match=part):
        schedule().to_json(provenance)


def test_the_deepest_formula_that_is_read_has_a_document():
    deep = schedule("sin(" * 200 + "epoch" + ")" * 200)
    assert Schedule.from_json(deep.to_json()) == deep


def test_a_formula_that_no_document_could_give_back_is_refused():
    deep = Expression(("sin",) * 400 + ("epoch",))
    with pytest.raises(ScheduleError, match="201 levels"):
        Schedule(expression=deep).to_json()


@pytest.mark.parametrize("number", [np.float64(0.05), np.float32(0.05), Fraction(1, 20), Own(0.05)], ids=str)
def test_numbers_of_other_kinds_are_kept_as_floats(number):
    one = schedule(
        min_lr=number, max_lr=number, reference_lr=number, transform="log", plateau=Plateau(threshold=number)
    )
    same = float(number)
    assert [type(value) for value in (one.min_lr, one.max_lr, one.reference_lr, one.plateau.threshold)] == [float] * 4
    assert one == schedule(
        min_lr=same, max_lr=same, reference_lr=same, transform="log", plateau=Plateau(threshold=same)
    )
    assert Schedule.from_json(one.to_json()) == one
    exported = {}
    exec(evolr.export(one, "python"), exported)  # noqa: S102
    assert exported["learning_rate"](**dict.fromkeys(one.signals, 0.3)) == one.at(**dict.fromkeys(one.signals, 0.3))
    assert Plateau(patience=np.int64(3)) == Plateau(patience=3)


@pytest.mark.parametrize(
    "settings",
    [
        {"min_lr": -1.0},
        {"min_lr": 2.0, "max_lr": 1.0},
        {"max_lr": float("inf")},
        {"min_lr": float("nan")},
        {"reference_lr": 0.0},
        {"reference_lr": float("nan")},
        {"reference_lr": 1e39},
        {"reference_lr": 1e-38},
        {"transform": "square"},
        {"max_lr": 1e39},
    ],
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ScheduleError):
        schedule(**settings)


def test_documents_of_language_1_mean_what_they_meant():
    """documents/language1.json was written by the evolr of language 1: schedules, and their values on a trace."""
    kept = json.loads((Path(__file__).parent / "documents" / "language1.json").read_text())
    trace = {name: np.array(values) for name, values in kept["trace"].items()}
    for one in kept["schedules"]:
        schedule = Schedule.from_json(one["document"])
        # The last bits of NumPy's sin, exp and log are the processor's.
        np.testing.assert_array_max_ulp(schedule(**trace), np.array(one["values"]), maxulp=8)
        again = Schedule.from_json(schedule.to_json())  # in this language
        assert again == schedule
        for number, value in enumerate(one["values"][:8]):
            found = schedule.at(**{name: values[number] for name, values in kept["trace"].items()})
            assert found == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("transform", ["linear", "log"])
@pytest.mark.parametrize(
    "text", ["0.3*(1 - progress)", "2*progress - 0.5", "progress + loss", "log(progress)/(loss - loss)"]
)
def test_a_scaled_schedule_has_the_learning_rates_and_the_bounds_times_the_factor(text, transform):
    schedule = Schedule(expression=parse(text), transform=transform, min_lr=1e-3, max_lr=0.4, reference_lr=0.2)
    for factor in (1e-3, 0.5, 1, 2, 300.0):
        scaled = schedule.scaled(factor)
        assert (scaled.min_lr, scaled.max_lr) == pytest.approx((1e-3 * factor, 0.4 * factor))
        for progress in (0.0, 0.3, 0.9):
            signals = {"progress": progress, "loss": 1.5}
            assert scaled.at(**signals) == pytest.approx(factor * schedule.at(**signals), rel=1e-12)
    assert schedule.scaled(1) is schedule
    assert schedule.scaled(2).scaled(0.25).expression.size <= schedule.expression.size + 2


def test_a_schedule_without_bounds_has_none_when_it_is_scaled():
    free = Schedule(expression=parse("0.1"))
    assert (free.scaled(0.01).max_lr, free.scaled(100).max_lr) == (free.max_lr, free.max_lr)
    assert free.scaled(100).min_lr == 0


@pytest.mark.parametrize("factor", [0, -1.0, float("nan"), float("inf"), 10**400, "2", None, True, [2.0]])
def test_a_factor_that_is_not_positive_is_refused(factor):
    with pytest.raises(ScheduleError, match="positive factor"):
        Schedule(expression=parse("0.1")).scaled(factor)
