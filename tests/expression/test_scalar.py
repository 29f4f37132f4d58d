import math

from hypothesis import given, settings

from evolr.expression import PRIMITIVES, SIGNALS, scalar
from evolr.schedule import Schedule
from tests.contracts.primitives import check_back_end
from tests.expression.strategies import expressions


def test_the_scalar_back_end_has_the_exact_meanings():
    assert set(scalar.FUNCTIONS) == set(PRIMITIVES)
    check_back_end(lambda name, arguments: scalar.FUNCTIONS[name](*arguments), relative=1e-12)


@given(expressions)
@settings(max_examples=300)
def test_every_formula_has_the_value_of_the_reference(expression):
    trace = {name: 0.3 + 0.2 * number for number, name in enumerate(SIGNALS)}
    expected, value = float(expression(trace)), scalar.value(expression, trace)
    assert math.isclose(value, expected, rel_tol=1e-9, abs_tol=1e-9) or (math.isnan(value) and math.isnan(expected))


@given(expressions)
@settings(max_examples=100)
def test_a_schedule_at_a_point_is_the_schedule(expression):
    for transform in ("linear", "log"):
        one = Schedule(expression=expression, transform=transform)
        for value in (0.5, -3.0, math.inf, math.nan):
            given = dict.fromkeys(SIGNALS, value)
            assert math.isclose(one.at(**given), float(one(**given)), rel_tol=1e-9)
