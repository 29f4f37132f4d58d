import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolr.expression import parse
from evolr.schedule import Schedule
from evolr.signal_bank import signal_bank
from evolr.simplification import choice, simplified
from evolr.simplification.differences import rates
from evolr.standard import FAMILIES
from tests.expression.strategies import expressions

CASES = {
    # what evolution and people write: the learning rate in short
    "(((epoch mul -0.001537) mul -0.75568) sub -0.001537)": "0.001537 + 0.0011615*epoch",
    "epoch - epoch": "0",
    "loss/loss": "1",
    "3/0": "5.5406e+34",
    "div(3, 0)": "1",
    "log(0)": "-27.631",
    "exp(exp(exp(exp(5))))": "5.5406e+34",
    "div(1, log(0) - log(0))": "1",
    "2*3 + epoch": "6 + epoch",
    "-0.05 + progress": "progress - 0.05",
    "progress*2 + progress - 3*progress": "0",
    "exp(log(exp(log(0.1) - loss - loss)))": "0.1*exp(-2*loss)",
    "log(exp(loss))": "loss",
    "sqrt(progress)*sqrt(progress)": "progress",
    "abs(loss - val_loss)": "abs(loss - val_loss)",
    "abs(-2*progress)": "2*progress",
    "max(0, progress)": "progress",
    "max(progress, progress)": "progress",
    "min(3, min(2, epoch))": "min(2, epoch)",
    "0.1*(0.01 if epoch >= 5 else 1)": "0.1*where(5 <= epoch, 0.01, 1)",
    "where(progress + 1, loss, epoch)": "loss",
    "cos(-1*epoch)": "cos(epoch)",
    "sin(-2*epoch) + 1": "1 - sin(2*epoch)",
    "floor(floor(epoch/10))": "floor(0.1*epoch)",
    "progress/0.3125": "3.2*progress",
    "progress/0.31": "progress/0.31",
    "2/3*progress": "progress/1.5",
    "0.3 - 0.3*progress": "0.3*(1 - progress)",
    "0.1/(1 - progress/2)": "0.2/(2 - progress)",
    "0.5*(1 + cos(2*3.141592653589793*epoch_progress))": "0.5*(1 + cos(2*pi*epoch_progress))",
    "0.123456789*epoch": "0.12346*epoch",
    "floor(3*epoch/17)": "floor(3*epoch/17)",
    "1e-3/sqrt(step)": "0.001/sqrt(step)",
    "exp(-1000)*loss": "1.8049e-35*loss",
}


def linear(text, **bounds):
    return Schedule(expression=parse(text), **bounds)


def log(text, **bounds):
    return Schedule(expression=parse(text), transform="log", **bounds)


def bank_rates(schedule):
    bank = signal_bank()
    return np.broadcast_to(schedule(**{name: bank[name] for name in schedule.signals}), bank["step"].shape)


@pytest.mark.parametrize(("text", "short"), CASES.items())
def test_a_formula_in_short(text, short):
    assert simplified(linear(text)).text == short


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("3.28 + log(abs(min(1, min(progress/0.3125, (1 - progress)/0.36))))", "0.026576*min(1, 3.2*progress, (1 - progress)/0.36)"),
        ("0.79*(5.67 + log(1 - progress)) - 0.82*log(loss_ema)", "0.088173*(1 - progress)**0.79/loss_ema**0.82"),
        ("3.1 - 2*max(0, loss_ema - 0.9) + log(min(1, (1 - progress)/0.25))", "0.022198*min(1, 4*(1 - progress))*exp(-2*max(0, loss_ema - 0.9))"),
        ("min(2, 1.5 + 0.5*log(grad_norm + 1))", "0.0073891*min(1, 0.60653*sqrt(1 + grad_norm))"),
        ("7.66 - 1.62*cos(progress) - 7.81*sin(progress)", "2.1218*exp(-1.62*cos(progress) - 7.81*sin(progress))"),
        ("0", "0.001"),
    ],
)  # fmt: skip
def test_of_a_log_transform_it_is_the_learning_rate_that_is_said(text, short):
    assert simplified(log(text)).text == short


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("cosine", "0.005*(1 + cos(pi*progress))"),
        ("cosine with floor", "0.0055 + 0.0045*cos(pi*progress)"),
        ("step decay", "0.01*0.1**floor(3*progress)"),
        ("polynomial", "0.01*(1 - progress)**2"),
        ("WSD (linear)", "0.01*min(1, 20*progress, 5*(1 - progress))"),
        ("REX", "0.02*(1 - progress)/(2 - progress)"),
        ("inverse square root", "0.01*min(20*progress, sqrt(0.05/progress))"),
        ("free curve", "0.01"),
    ],
)
def test_a_family_in_short(name, short):
    assert simplified(FAMILIES[name].schedule()).text == short


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_is_shortened_without_a_difference_on_the_bank(name):
    schedule = FAMILIES[name].schedule()
    short = simplified(schedule)
    assert parse(short.text) == short.expression
    assert not [sentence for sentence in short.differs if " if " not in sentence]
    np.testing.assert_allclose(bank_rates(short.schedule), bank_rates(schedule), rtol=1e-3, atol=1e-17)


def test_where_a_log_is_cut_is_said():
    (sentence,) = simplified(linear("exp(log(progress))")).differs
    assert sentence == (
        "differs at 4 of 91 points of made-up trainings, most at epoch 0, step 0: the formula gives 1e-12 (its log is cut at "
        "1e-12), this 0"
    )


def test_what_the_bounds_hide_is_no_difference():
    assert simplified(linear("exp(log(progress))", min_lr=1e-8)).differs == ()


def test_a_negative_loss_is_looked_at_too():
    short = simplified(linear("exp(0.5*log(loss))"))
    assert short.text == "sqrt(loss)"
    assert any(
        "if loss is negative" in sentence and "the magnitude of a negative number" in sentence
        for sentence in short.differs
    )


def test_a_form_that_is_another_function_is_not_taken():
    # in the first epoch, more than a tenth of the bank, the divisor is below the threshold
    short = simplified(linear("div(1e-9, 1e-6*epoch)"))
    assert short.text == "div(1e-09, 1e-06*epoch)"
    assert short.differs == ()


def test_a_protection_at_a_round_value_of_progress_is_seen():
    # no point of the bank has this progress: there the formula is 1e-12, its log cut
    short = simplified(linear("exp(log(progress - 0.3))"))
    assert short.text == "abs(0.3 - progress)"
    assert any("steps of a training" in sentence for sentence in short.differs)


def test_constants_that_cancel_keep_the_digits_that_matter():
    schedule = linear("1000.12345678 - 1000.12345*(1 - 1e-9*epoch)")
    short = simplified(schedule)
    np.testing.assert_allclose(bank_rates(short.schedule), bank_rates(schedule), rtol=1e-3)


def test_stairs_stay_where_they_are():
    schedule = linear("floor(epoch*0.176470588235294)")  # 3/17 but for the last digits
    short = simplified(schedule)
    epochs = np.arange(0.0, 100.0)
    np.testing.assert_array_equal(short.schedule(epoch=epochs), schedule(epoch=epochs))


def test_bounds_are_the_schedules_own():
    short = simplified(log("progress", min_lr=1e-5, max_lr=0.1)).schedule
    assert (short.min_lr, short.max_lr, short.transform) == (1e-5, 0.1, "linear")


def test_a_formula_of_the_greatest_size_is_answered():
    text = " + ".join(f"sin({k + 1}.5*epoch)*exp(loss/{k + 2})" for k in range(100))
    short = simplified(linear(text))
    assert parse(short.text) == short.expression


@given(expressions, st.sampled_from(["linear", "log"]), st.sampled_from([(0.0, 1e38), (1e-8, 1.0)]))
@settings(deadline=None)
def test_any_formula_is_shortened_read_back_and_honest(tree, transform, bounds):
    schedule = Schedule(expression=tree, transform=transform, min_lr=bounds[0], max_lr=bounds[1])
    short = simplified(schedule)
    assert parse(short.text) == short.expression
    assert short.latex
    own, other = bank_rates(schedule), bank_rates(short.schedule)
    gap = np.abs(own - other) > 1.1e-3 * np.abs(own) + 1e-14 * np.max(own)
    assert not gap.any() or short.differs


def test_a_number_too_small_for_a_float_is_no_error():
    schedule = linear("log((1e-200*loss)*(1e-200*epoch))")
    assert np.allclose(bank_rates(simplified(schedule).schedule), bank_rates(schedule))


def long_constants(terms):
    """A sum of waves, of whose constants each digit matters."""
    return " + ".join(f"0.{1234567 + 89 * n}*sin({7654.321 + 1.23456 * n}*step)" for n in range(terms))


@pytest.mark.parametrize("terms", [28, 100])
def test_the_work_is_bounded_whatever_the_formula(terms, monkeypatch):
    """28 terms are simplified, of 100 the constants are rounded alone; the digits of none are looked for one by one."""
    evaluated = []
    monkeypatch.setattr(
        choice, "rates", lambda schedule, place: evaluated.append(schedule.expression.size) or rates(schedule, place)
    )
    schedule = linear(long_constants(terms))
    assert simplified(schedule).text
    assert sum(evaluated) < 40 * 3 * schedule.expression.size


def test_a_formula_too_long_to_be_simplified_is_shown_as_it_is_written_and_that_is_said():
    short = simplified(linear(long_constants(30)))
    assert [remark for remark in short.remarks if "is the formula as it is written" in remark]
    assert not [remark for remark in simplified(linear(long_constants(28))).remarks if "as it is written" in remark]
