import numpy as np
import pytest
from evolr.expression.simplify import latex, simplified

from evolr.expression import parse


@pytest.mark.parametrize(
    ("text", "simple"),
    [
        ("(((epoch mul -0.001537) mul -0.75568) sub -0.001537)", "0.00116148016*epoch + 0.001537"),
        ("epoch - epoch", "0"),
        ("loss/loss", "1"),
        ("3/0", "5.54062238e+34"),
        ("div(3, 0)", "1.0"),
        ("log(0)", "-27.6310211"),
        ("exp(exp(exp(exp(5))))", "5.54062238e+34"),
        ("div(1, log(0) - log(0))", "1.0"),
        ("epoch/cos(log(0))", "-1.24982348*epoch"),
        ("log(epoch - epoch)", "-27.6310211"),
        ("2*3 + epoch", "epoch + 6.0"),
        ("floor(epoch/10)", "floor(0.1*epoch)"),
    ],
)
def test_simplified(text, simple):
    assert simplified(parse(text)) == simple


def test_simplified_text_has_the_same_values_away_from_the_protections():
    tree = parse("(1 + cos(pi*progress))*0.5*exp(loss - val_loss)/(loss + 2)")
    again = parse(simplified(tree))
    rng = np.random.default_rng(0)
    trace = {name: rng.uniform(0.1, 2.0, 50) for name in ("progress", "loss", "val_loss")}
    np.testing.assert_allclose(again(trace), tree(trace), rtol=1e-6)


def test_latex_sets_signals_upright():
    assert latex(parse("2*val_loss")) == r"2.0 \mathrm{val\_loss}"


def test_a_large_formula_is_shown_without_waiting_for_sympy():
    text = "+".join(f"sin({k}*epoch)*exp(loss/{k + 1})" for k in range(1, 20))
    assert "exp" in simplified(parse(text))
