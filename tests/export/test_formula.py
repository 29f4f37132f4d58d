import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings

from evolr.exports.formula import JAX, PYTHON, code
from evolr.exports.targets import source
from evolr.expression import PRIMITIVES, SIGNALS, Expression, parse
from evolr.schedule import Schedule
from evolr.training import primitives
from tests.contracts.primitives import check_back_end
from tests.expression.strategies import expressions

NAMES = list(SIGNALS)


def run(text):
    """What a file defines."""
    defined = {"__name__": "exported"}
    exec(compile(text, "exported.py", "exec"), defined)  # noqa: S102
    return defined


def python_value(expression):
    """The formula's value by the code of an export, before transform and bounds."""
    names = sorted(expression.signals)
    schedule = Schedule(expression=expression, min_lr=0.0)
    defined = run(source(schedule, "python"))
    written = code(expression, PYTHON)
    lines = [
        f"def value({', '.join(names)}):",
        *(f"    {part}" for part in written.parts),
        f"    return {written.value}",
    ]
    exec("\n".join(lines), defined)  # noqa: S102
    return lambda signals: defined["value"](**{name: signals[name] for name in names})


def test_the_exported_python_has_the_exact_meanings():
    def evaluate(name, arguments):
        value = python_value(Expression((name, *NAMES[: len(arguments)])))
        return value(dict(zip(NAMES, arguments, strict=False)))

    check_back_end(evaluate, relative=1e-12)


def test_the_exported_jax_has_the_exact_meanings():
    compiled = {}
    for name, primitive in PRIMITIVES.items():
        names = NAMES[: primitive.arity]
        written = code(Expression((name, *names)), JAX)
        defined = {"jnp": jnp, **{f: getattr(primitives, f) for f in written.functions}}
        compiled[name] = jax.jit(eval(f"lambda {', '.join(names)}: {written.value}", defined))  # noqa: S307

    check_back_end(lambda name, arguments: float(compiled[name](*map(jnp.float32, arguments))), relative=2e-6)


@given(expressions)
@settings(max_examples=100, deadline=None)
def test_every_exported_formula_is_the_reference(expression):
    for transform in ("linear", "log"):
        schedule = Schedule(expression=expression, transform=transform, max_lr=10.0)
        learning_rate = run(source(schedule, "python"))["learning_rate"]
        for scale in (0.5, -3.0, math.inf, math.nan):
            trace = {name: scale * (1 + 0.3 * number) for number, name in enumerate(NAMES)}
            found = learning_rate(**{name: trace[name] for name in schedule.signals})
            assert math.isclose(found, float(schedule(**trace)), rel_tol=1e-9)


def test_long_parts_and_parts_that_stand_twice_get_a_name():
    text = "exp(loss - 3*progress)*sin(exp(loss - 3*progress)) + max(0.123456789, progress*0.987654321)*cos(loss*1.23456789)"
    written = code(parse(text), PYTHON)
    assert written.parts == [
        "part_1 = _exp(loss - 3.0 * progress)",
        "part_2 = _max(0.123456789, progress * 0.987654321) * _cos(loss * 1.23456789)",
    ]
    assert written.value == "part_1 * _sin(part_1) + part_2"


def test_a_choice_is_bracketed_in_a_choice_and_a_sum():
    assert code(parse("where(lr, where(lr, 2, 3), 4)"), PYTHON).value == "(2.0 if lr > 0 else 3.0) if lr > 0 else 4.0"
    assert code(parse("1 + where(lr, 2, 3)"), PYTHON).value == "1.0 + (2.0 if lr > 0 else 3.0)"


@pytest.mark.parametrize(("text", "expected"), [("loss/2", "loss / 2.0"), ("div(loss, 1e-7)", "_div(loss, 1e-07)")])
def test_a_division_by_a_constant_is_plain_where_it_is_not_nearly_zero(text, expected):
    assert code(parse(text), PYTHON).value == expected


def test_the_deepest_formula_that_can_be_read_is_written():
    deep = parse("sin(" * 199 + "loss" + ")" * 199)
    assert np.isfinite(python_value(deep)({"loss": 1.0}))
