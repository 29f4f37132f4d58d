import pytest
from hypothesis import given

from evolr.expression import PRIMITIVES, Expression, parse
from evolr.expression.latex import latex

from .strategies import expressions


@pytest.mark.parametrize(
    ("text", "set_"),
    [
        ("2*val_loss", r"2 \mathrm{val\_loss}"),
        ("-1*loss", r"-\mathrm{loss}"),
        ("0.1*2", r"0.1 \cdot 2"),
        ("loss*2", r"\mathrm{loss} \cdot 2"),
        ("loss*(-2)", r"\mathrm{loss} \left(-2\right)"),
        ("loss - (epoch - 1)", r"\mathrm{loss} - \left(\mathrm{epoch} - 1\right)"),
        ("loss + -2", r"\mathrm{loss} + \left(-2\right)"),
        ("1e-8*loss", r"10^{-8} \mathrm{loss}"),
        ("1.5e-8*loss", r"1.5 \cdot 10^{-8} \mathrm{loss}"),
        ("(1 - progress)/0.3", r"\frac{1 - \mathrm{progress}}{0.3}"),
        ("(loss/2)**2", r"\left(\frac{\mathrm{loss}}{2}\right)^{2}"),
        ("(loss**2)**0.5", r"\left(\mathrm{loss}^{2}\right)^{0.5}"),
        ("(-2)**epoch", r"\left(-2\right)^{\mathrm{epoch}}"),
        ("cos(pi*progress)", r"\cos\left(\pi \mathrm{progress}\right)"),
        ("log(loss)", r"\log\left|\mathrm{loss}\right|"),
        ("min(1, min(loss, epoch))", r"\min\left(1, \mathrm{loss}, \mathrm{epoch}\right)"),
        ("min(1, max(loss, epoch))", r"\min\left(1, \max\left(\mathrm{loss}, \mathrm{epoch}\right)\right)"),
        ("epoch // 30", r"\left\lfloor \frac{\mathrm{epoch}}{30} \right\rfloor"),
        ("epoch < 5", r"\left[\mathrm{epoch} < 5\right]"),
        (
            "1 if epoch < 5 else 2",
            r"\begin{cases} 1 & \text{if } \mathrm{epoch} < 5 \\ 2 & \text{otherwise} \end{cases}",
        ),
        ("where(loss, 1, 2)", r"\begin{cases} 1 & \text{if } \mathrm{loss} > 0 \\ 2 & \text{otherwise} \end{cases}"),
        ("pow_v1(loss, 2)", r"\left|\mathrm{loss}\right|^{2}"),
    ],
)
def test_a_formula_in_latex(text, set_):
    assert latex(parse(text)) == set_


@pytest.mark.parametrize("name", PRIMITIVES)
def test_every_primitive_is_set(name):
    arguments = ["loss", "epoch", "step"][: PRIMITIVES[name].arity]
    text = latex(Expression((name, *arguments)))
    assert all(rf"\mathrm{{{argument}}}" in text for argument in arguments)


@given(expressions)
def test_braces_and_delimiters_close(tree):
    text = latex(tree)
    assert text.count("{") == text.count("}")
    assert text.count(r"\left") - text.count(r"\left\lfloor") >= 0
    assert text.count(r"\left") == text.count(r"\right")
