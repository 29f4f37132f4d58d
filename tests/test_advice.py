"""What is likely not meant is said, and nothing is said of what is."""

import numpy as np
import pytest

from evolr.advice import advice, made_up_trace
from evolr.expression import SIGNALS
from evolr.formula import FormulaOptions, read_schedule
from evolr.standard import FAMILIES

TRACE = made_up_trace(10, 10)


def said(text, **options):
    return advice(read_schedule(text, FormulaOptions(**options)), TRACE)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "0.05*(512**-0.5*min(step**-0.5, step*4000**-1.5))",
            "step**-0.5 divides by 0, taken as 5.54e+34, at step 0; if the formula counts from 1, write step + 1 for step and "
            "epoch + 1 for epoch",
        ),
        (
            "0.1/epoch",
            "0.1/epoch divides by 0, taken as ±5.54e+34, at 10% of the steps, first at step 0",
        ),
        (
            "0.1 - 0.2*progress",
            "no learning rate is negative: the formula goes down to -0.098, and is cut at 49% of the steps, first at step 51",
        ),
        (
            "0.1*(1 - 2*progress)**0.9",
            "(1 - 2*progress)**0.9 is a power of a negative number with an exponent that is not whole, taken as 0, at 49% of "
            "the steps, first at step 51",
        ),
        (
            "0.1 + 0.1*log(0.5 - progress)",
            "log(0.5 - progress) is the logarithm of a negative number, taken of its magnitude, at 49% of the steps, first at "
            "step 51",
        ),
        (
            "sqrt(progress - 0.985)",
            "sqrt(progress - 0.985) is the root of a negative number, taken as 0, at 99% of the steps",
        ),
        (
            "div(0.1, progress - 0.5)",
            "div(0.1, progress - 0.5) divides by nearly 0 (below 1e-06), taken as 1, at step 50",
        ),
        (
            "lr*0.1**(epoch//30)",
            "the formula is 0 from the first step on: lr is the learning rate of the previous step",
        ),
        ("0.1*0.5**(e//10)", "e is the number 2.71828…; write epoch"),
        ("0.1*(1 - progress)*0.95**e", "e is the number 2.71828…; write epoch"),
        ("e", "e is the number 2.71828…; write epoch"),
        ("1-e-3", "e is the number 2.71828…; write epoch"),
        ("1e40", "the greatest learning rate is 1e+38: the formula goes up to 1e+40, and is cut at every step"),
        ("1e300*1e300*epoch", "the formula has no finite value at every step; the learning rate is 0 there"),
    ],
)
def test_what_is_likely_not_meant_is_said(text, sentence):
    assert any(sentence in found for found in said(text)), said(text)


def test_a_bound_that_cuts_is_said():
    assert said("0.1*(1 - progress)", max_lr=0.05, min_lr=0.01) == [
        "min_lr is 0.01: the formula goes down to 0.001, and is cut at 9% of the steps, first at step 91",
        "max_lr is 0.05: the formula goes up to 0.1, and is cut at 50% of the steps, first at step 0",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "0.1*(1 - progress)",
        "0.1/step if step > 0 else 0.1",  # the branch that divides by zero is not taken there
        "0.1*min((step + 1)**-0.5, (step + 1)*400**-1.5)",
        "0.1*exp(-200*progress)",
        "0.001*loss/loss_ema",
        "sqrt(max(0, progress - 0.5))",
        "0.1*e**(-5*progress)",
        "0.1*math.e**(-progress)",
        "0.1 if progress < 1/e else 0.01",
        "0.1*e**-epoch/e",
        "0.1 if step < 5 else lr*0.99",
        "max(lr*0.99, 0.001)",
        *(name for name in FAMILIES if name != "inverse square root"),
    ],
)
def test_nothing_is_said_of_what_is_meant(text):
    assert said(text) == []


def test_a_made_up_trace_holds_every_signal_and_is_never_long():
    trace = made_up_trace(1_000_000, 1_000)
    assert list(trace) == list(SIGNALS)
    assert all(len(values) == 10_000 and np.isfinite(values).all() for values in trace.values())
    assert trace["step"][0] == 0
    assert trace["step"][-1] == 1_000_000 * 1_000 - 1
