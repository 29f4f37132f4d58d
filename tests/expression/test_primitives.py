import numpy as np

from evolr.expression import ORIGINAL_SET, PRIMITIVES
from tests.contracts.primitives import check_back_end


def test_the_reference_has_the_exact_meanings():
    def evaluate(name, arguments):
        with np.errstate(all="ignore"):
            return float(PRIMITIVES[name].reference(*(np.float64(a) for a in arguments)))

    check_back_end(evaluate, relative=1e-12)


def test_the_original_set_is_the_first_experiments():
    assert ORIGINAL_SET == ("add", "sub", "mul", "div", "sin", "cos", "exp", "log")


def test_the_order_of_the_table_only_grows():
    """Packed programs and stored studies number the primitives by it."""
    names = ["add", "sub", "mul", "div", "sin", "cos", "exp", "log", "floor", "min", "max", "where", "sqrt", "pow"]
    assert list(PRIMITIVES)[: len(names)] == names
