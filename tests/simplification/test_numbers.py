import math

import pytest

from evolr.simplification.numbers import is_short, rounded, tidied, token_rounded, written


@pytest.mark.parametrize(
    ("value", "way"),
    [
        (0.2, (0.2, False, 1.0)),
        (1 / 0.31, (1.0, False, 0.31)),
        (1 / 0.3125, (3.2, False, 1.0)),
        (1 / 30, (1.0, False, 30.0)),
        (3 / 17, (3.0, False, 17.0)),
        (-3 / 17, (-3.0, False, 17.0)),
        (2 * math.pi, (2.0, True, 1.0)),
        (math.pi / 0.3, (1.0, True, 0.3)),
        (0.27354263, (0.27354263, False, 1.0)),
        (0.30000000000000004, (0.3, False, 1.0)),
        (1e-320, (1e-320, False, 1.0)),
        (1e300, (1e300, False, 1.0)),
        (0.0, (0.0, False, 1.0)),
    ],
)
def test_a_factor_is_written_as_briefly_as_it_can_be(value, way):
    assert written(value)[:3] == way


def test_numbers_of_few_digits_stay():
    assert all(map(is_short, (0.0, 1.0, -0.31, 117187.0, 1e-8, math.pi)))
    assert not any(map(is_short, (0.123456, 12345.6, 1e-8 + 1e-15, 123456789.0)))
    assert tidied(0.30000000000000004) == 0.3
    assert tidied(0.3000001) == 0.3000001


def test_rounding_leaves_names_and_never_overflows():
    assert token_rounded("loss", 5) == "loss"
    assert token_rounded(0.1234567, 5) == 0.12346
    assert token_rounded(math.pi, 5) == math.pi
    assert rounded(1.7976931348623157e308, 2) == 1.7976931348623157e308
