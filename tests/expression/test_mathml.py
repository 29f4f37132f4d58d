import xml.etree.ElementTree as ET

import pytest
from hypothesis import given

from evolr.expression import PRIMITIVES, Expression, parse
from evolr.expression.mathml import mathml

from .strategies import expressions

GAP = '<mspace width="0.2em"/>'


@pytest.mark.parametrize(
    ("text", "set_"),
    [
        ("2*val_loss", f"<mrow><mn>2</mn>{GAP}<mi>val_loss</mi></mrow>"),
        ("-1*loss", "<mrow><mo>−</mo><mi>loss</mi></mrow>"),
        ("0.1*2", "<mrow><mn>0.1</mn><mo>⋅</mo><mn>2</mn></mrow>"),
        ("1e-8*loss", f"<mrow><msup><mn>10</mn><mrow><mo>−</mo><mn>8</mn></mrow></msup>{GAP}<mi>loss</mi></mrow>"),
        ("(1 - progress)/0.3", "<mfrac><mrow><mn>1</mn><mo>−</mo><mi>progress</mi></mrow><mn>0.3</mn></mfrac>"),
        ("cos(pi)", "<mrow><mi>cos</mi><mrow><mo>(</mo><mi>π</mi><mo>)</mo></mrow></mrow>"),
        ("epoch < 5", "<mrow><mo>[</mo><mrow><mi>epoch</mi><mo>&lt;</mo><mn>5</mn></mrow><mo>]</mo></mrow>"),
        ("@a_b**2", "<msup><mi>a_b</mi><mn>2</mn></msup>"),
    ],
)
def test_a_formula_in_mathml(text, set_):
    assert mathml(parse(text)) == f"<math>{set_}</math>"


def test_cases_are_rows_of_a_table():
    root = ET.fromstring(mathml(parse("1 if epoch < 5 else 2")))  # noqa: S314
    rows = [["".join(cell.itertext()).strip() for cell in row] for row in root.iter("mtr")]
    assert rows == [["1", "if epoch<5"], ["2", "otherwise"]]


@pytest.mark.parametrize("name", PRIMITIVES)
def test_every_primitive_is_set(name):
    arguments = ["loss", "epoch", "step"][: PRIMITIVES[name].arity]
    text = mathml(Expression((name, *arguments)))
    assert all(f"<mi>{argument}</mi>" in text for argument in arguments)
    assert "\\" not in text


@given(expressions)
def test_it_is_well_formed_and_holds_every_signal(tree):
    words = "".join(ET.fromstring(mathml(tree)).itertext())  # noqa: S314
    assert all(signal in words for signal in tree.signals)
    assert "\\" not in words
