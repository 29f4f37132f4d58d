import numpy as np

from evolr.expression import EXTENDED_SET, LANGUAGE_VERSION, ORIGINAL_SET, PRIMITIVES, UPGRADES
from tests.contracts.primitives import check_back_end


def test_the_reference_has_the_exact_meanings():
    def evaluate(name, arguments):
        with np.errstate(all="ignore"):
            return float(PRIMITIVES[name].reference(*(np.float64(a) for a in arguments)))

    check_back_end(evaluate, relative=1e-12)


def test_the_original_set_is_the_first_experiments():
    assert ORIGINAL_SET == ("add", "sub", "mul", "div", "sin", "cos", "exp", "log")


def test_the_extended_set_holds_no_function_of_an_older_language():
    assert set(PRIMITIVES) - set(EXTENDED_SET) == {"div", "floor_v1", "sqrt_v1", "pow_v1"}


def test_every_upgrade_leads_to_a_function():
    assert UPGRADES.keys() == set(range(1, LANGUAGE_VERSION))
    assert {new for names in UPGRADES.values() for new in names.values()} <= set(PRIMITIVES)
