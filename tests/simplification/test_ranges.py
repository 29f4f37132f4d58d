import math

import numpy as np
import pytest
from hypothesis import example, given, settings

from evolr.expression import Expression, parse
from evolr.signal_bank import signal_bank
from evolr.simplification.ranges import EVERYTHING, POSITIVE, power_of, product_of, sum_of
from evolr.simplification.rules import Rules
from evolr.simplification.writing import expression_of
from tests.expression.strategies import expressions


def test_ranges_of_sums_products_and_powers():
    assert sum_of((0.0, 1.0), (2.0, 3.0)) == (2.0, 4.0)
    assert sum_of((-math.inf, math.inf), (math.inf, math.inf)) == EVERYTHING
    assert product_of((-1.0, 2.0), (0.0, math.inf)) == EVERYTHING
    assert product_of((0.0, 0.0), EVERYTHING) == (0.0, 0.0)
    assert power_of((-2.0, 1.0), 2.0) == (0.0, 4.0)
    assert power_of((-2.0, 1.0), 3.0) == (-8.0, 1.0)
    assert power_of((-2.0, 1.0), 0.5) == EVERYTHING
    assert power_of(POSITIVE, -1.0) == POSITIVE
    assert power_of((1e200, 1e300), 2.0) == (math.inf, math.inf)


@pytest.mark.parametrize(
    ("text", "range_"),
    [
        ("1 - progress", (0.0, 1.0)),
        ("1 + cos(epoch)", (0.0, 2.0)),
        ("min(1, max(0, loss - 2))", (0.0, 1.0)),
        ("where(loss - 1, 2, progress)", (0.0, 2.0)),
        ("abs(progress - 3)", (2.0, 3.0)),
        ("sqrt(progress)", (0.0, 1.0)),
        ("loss - val_loss", EVERYTHING),
        ("(0 < progress) + (epoch == 2)", (0.0, 2.0)),
    ],
)
def test_the_range_of_a_formula(text, range_):
    assert Rules(is_bold=False, is_flat=True).form(parse(text)).range == range_


@given(expressions)
@example(Expression((2.0**-1023,)))  # π divided by it is beyond the greatest number
@settings(deadline=None)
def test_the_values_on_the_bank_lie_in_the_range(tree):
    try:
        form = Rules(is_bold=False, is_flat=False).form(tree)
        values = expression_of(form)(signal_bank())
    except ArithmeticError:
        return
    low, high = form.range
    values = values[np.isfinite(values)]
    with np.errstate(over="ignore"):  # of the greatest float and its slack
        slack = 1e-9 * np.abs(values)
        assert np.all(values >= low - slack)
        assert np.all(values <= high + slack)
