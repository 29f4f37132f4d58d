"""The golden table of the primitives, and the check that every back end runs.

The inputs are exact in float32, so that a back end of either precision sees the same numbers.
"""

import itertools
import math

import numpy as np

from evolr.expression import PRIMITIVES
from evolr.expression.primitives import POLE

TINY = 2.0**-40  # ≈ 9·10⁻¹³: below div's threshold and the floor of log, at the edge of what rounding is
INPUTS = (0.0, TINY, -TINY, 0.5, -0.5, 1.0, -1.0, 3.25, -3.25, 100.0, -100.0, 1e6, -1e6, math.inf, -math.inf, math.nan)

NAN, INF = math.nan, math.inf

GOLDEN = [
    ("add", (1.0, 2.0), 3.0),
    ("add", (INF, -INF), NAN),
    ("sub", (1.0, 2.0), -1.0),
    ("sub", (INF, INF), NAN),
    ("mul", (3.0, -2.0), -6.0),
    ("mul", (0.0, INF), NAN),
    ("div", (3.0, 2.0), 1.5),
    ("div", (3.0, 0.0), 1.0),
    ("div", (3.0, TINY), 1.0),
    ("div", (3.0, -TINY), 1.0),
    ("div", (0.0, 0.0), 1.0),
    ("div", (3.0, 2.0**-19), 3.0 * 2**19),
    ("div", (INF, INF), NAN),
    ("div", (1.0, INF), 0.0),
    ("div", (NAN, 0.0), 1.0),
    ("div", (1.0, NAN), NAN),
    ("sin", (0.0,), 0.0),
    ("sin", (1.0,), math.sin(1.0)),
    ("sin", (INF,), NAN),
    ("cos", (0.0,), 1.0),
    ("cos", (-1.0,), math.cos(1.0)),
    ("cos", (-INF,), NAN),
    ("exp", (0.0,), 1.0),
    ("exp", (1.0,), math.e),
    ("exp", (1e6,), math.exp(80.0)),
    ("exp", (INF,), math.exp(80.0)),
    ("exp", (-INF,), math.exp(-80.0)),
    ("exp", (NAN,), NAN),
    ("log", (1.0,), 0.0),
    ("log", (-2.0,), math.log(2.0)),
    ("log", (0.0,), math.log(1e-12)),
    ("log", (TINY,), math.log(1e-12)),
    ("log", (INF,), INF),
    ("log", (-INF,), INF),
    ("log", (NAN,), NAN),
    ("quotient", (3.0, 2.0), 1.5),
    ("quotient", (0.0, 0.0), 1.0),
    ("quotient", (3.0, 0.0), POLE),
    ("quotient", (-3.0, -0.0), -POLE),
    ("quotient", (3.0, TINY), 3.0 * 2**40),
    ("quotient", (2 * TINY, TINY), 2.0),
    ("quotient", (-TINY, 3.0), -TINY / 3.0),
    ("quotient", (1.0, INF), 0.0),
    ("quotient", (INF, INF), NAN),
    ("quotient", (NAN, 0.0), NAN),
    ("quotient", (1.0, NAN), NAN),
    ("mod", (7.0, 3.0), 1.0),
    ("mod", (-7.0, 3.0), 2.0),
    ("mod", (7.0, -3.0), -2.0),
    ("mod", (6.0, 3.0), 0.0),
    ("mod", (0.3, 0.1), 0.0),
    ("mod", (0.25, 1.0), 0.25),
    ("mod", (3.0, 0.0), 0.0),
    ("mod", (3.0, INF), 3.0),
    ("mod", (INF, 3.0), NAN),
    ("mod", (NAN, 3.0), NAN),
    ("pow", (2.0, 3.0), 8.0),
    ("pow", (-2.0, 3.0), -8.0),
    ("pow", (-2.0, 2.0), 4.0),
    ("pow", (-2.0, -1.0), -0.5),
    ("pow", (-4.0, 0.5), 0.0),
    ("pow", (4.0, 0.5), 2.0),
    ("pow", (0.0, 1.0), 0.0),
    ("pow", (0.0, 0.0), 1.0),
    ("pow", (0.0, -2.0), POLE),
    ("pow", (TINY, 1.0), TINY),
    ("pow", (INF, -1.0), 0.0),
    ("pow", (NAN, 1.0), NAN),
    ("pow", (2.0, NAN), NAN),
    ("less", (1.0, 2.0), 1.0),
    ("less", (2.0, 1.0), 0.0),
    ("less", (1.0, 1.0), 0.0),
    ("less", (1.0, 1.0 + TINY / 2), 0.0),
    ("less", (0.0, TINY), 1.0),
    ("less", (-INF, INF), 1.0),
    ("less", (1.0, INF), 1.0),
    ("less", (INF, INF), 0.0),
    ("less", (NAN, 1.0), 0.0),
    ("less_equal", (1.0, 2.0), 1.0),
    ("less_equal", (2.0, 1.0), 0.0),
    ("less_equal", (1.0, 1.0), 1.0),
    ("less_equal", (1.0 + TINY / 2, 1.0), 1.0),
    ("less_equal", (TINY, 0.0), 0.0),
    ("less_equal", (INF, INF), 1.0),
    ("less_equal", (NAN, 1.0), 0.0),
    ("less_equal", (1.0, NAN), 0.0),
    ("equal", (1.0, 1.0), 1.0),
    ("equal", (1.0, 1.0 + TINY / 2), 1.0),
    ("equal", (1.0, 1.0 + 2.0**-10), 0.0),
    ("equal", (0.0, TINY), 0.0),
    ("equal", (INF, INF), 1.0),
    ("equal", (1.0, INF), 0.0),
    ("equal", (NAN, NAN), 0.0),
    ("round", (0.5,), 0.0),
    ("round", (1.5,), 2.0),
    ("round", (-2.6,), -3.0),
    ("round", (INF,), INF),
    ("round", (NAN,), NAN),
    ("abs", (-3.0,), 3.0),
    ("abs", (NAN,), NAN),
    ("sign", (-3.0,), -1.0),
    ("sign", (0.0,), 0.0),
    ("sign", (INF,), 1.0),
    ("sign", (NAN,), NAN),
    ("tanh", (0.5,), math.tanh(0.5)),
    ("tanh", (-INF,), -1.0),
    ("tanh", (NAN,), NAN),
    ("floor", (1.5,), 1.0),
    ("floor", (3.0 - TINY,), 3.0),
    ("floor", (-TINY / 2,), 0.0),
    ("floor", (3.0 - 2.0**-16,), 2.0),
    ("floor", (-1.5,), -2.0),
    ("floor", (2.0,), 2.0),
    ("floor", (INF,), INF),
    ("floor", (NAN,), NAN),
    ("min", (1.0, -2.0), -2.0),
    ("min", (INF, 3.0), 3.0),
    ("min", (NAN, 3.0), NAN),
    ("max", (1.0, -2.0), 1.0),
    ("max", (-INF, 3.0), 3.0),
    ("max", (3.0, NAN), NAN),
    ("where", (0.5, 1.0, 2.0), 1.0),
    ("where", (0.0, 1.0, 2.0), 2.0),
    ("where", (-0.5, 1.0, 2.0), 2.0),
    ("where", (TINY, 1.0, NAN), 1.0),
    ("where", (NAN, 1.0, 2.0), 2.0),
    ("sqrt", (9.0,), 3.0),
    ("sqrt", (-9.0,), 0.0),
    ("sqrt", (0.0,), 0.0),
    ("sqrt", (-INF,), 0.0),
    ("sqrt", (NAN,), NAN),
    ("floor_v1", (1.5,), 1.0),
    ("floor_v1", (3.0 - 2.0**-20,), 2.0),
    ("floor_v1", (-INF,), -INF),
    ("sqrt_v1", (-9.0,), 3.0),
    ("sqrt_v1", (-INF,), INF),
    ("pow_v1", (2.0, 3.0), 8.0),
    ("pow_v1", (-4.0, 0.5), 2.0),
    ("pow_v1", (0.0, 1.0), 1e-12),
    ("pow_v1", (0.0, -100.0), math.exp(80.0)),
    ("pow_v1", (10.0, -1e6), math.exp(-80.0)),
    ("pow_v1", (INF, 1.0), math.exp(80.0)),
    ("pow_v1", (NAN, 1.0), NAN),
]


def check_back_end(evaluate, relative: float) -> None:
    """Holds a back end to the golden table and, on all inputs, to the reference.

    evaluate: (primitive's name, arguments as floats) → float.
    """
    assert {name for name, _, _ in GOLDEN} == set(PRIMITIVES)
    is_single = relative > 1e-8  # a back end in float32
    for name, arguments, expected in GOLDEN:
        np.testing.assert_allclose(
            evaluate(name, arguments), expected, rtol=relative, atol=relative, err_msg=f"{name}{arguments}"
        )
    for primitive in PRIMITIVES.values():
        for arguments in itertools.product(INPUTS, repeat=primitive.arity):
            with np.errstate(all="ignore"):
                expected = float(primitive.reference(*(np.float64(a) for a in arguments)))
            value, slack = evaluate(primitive.name, arguments), relative
            if primitive.name in ("sin", "cos"):  # which move by as much as the rounding of a large argument
                slack *= max(1.0, *(abs(a) for a in arguments if math.isfinite(a)), 1.0)
            if primitive.name == "mod" and abs(value - expected) > abs(arguments[1]) / 2:
                value += math.copysign(arguments[1], expected)  # just below a multiple, or just at it
            if is_single and abs(expected) > float(np.finfo(np.float32).max):
                expected = math.copysign(math.inf, expected)
            np.testing.assert_allclose(
                value, expected, rtol=relative, atol=slack, err_msg=f"{primitive.name}{arguments}"
            )
