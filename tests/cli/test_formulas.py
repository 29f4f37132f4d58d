"""Formulas on the command line, in every command that takes one."""

import json
from pathlib import Path

import pytest

from evolr.expression import parse
from evolr.schedule import Schedule
from evolr.signals import SIGNALS

QUADRATIC = ("--preset", "quadratic", "--epochs", "1", "--seeds", "2", "--json", "-q")


@pytest.mark.parametrize(
    ("arguments", "formula"),
    [
        (("-0.05 + progress",), "-0.05 + progress"),
        (("-epoch*-0.1",), "-epoch*-0.1"),
        (("-(progress - 1)",), "-(progress - 1)"),
        (("--max-lr", "0.5", "-0.05 + progress"), "-0.05 + progress"),
        (("-0.05 + progress", "--epochs", "3"), "-0.05 + progress"),
        (("-.5",), "-0.5"),
        (("--", "-0.05 + progress"), "-0.05 + progress"),
        (("--progress",), "-(-progress)"),
    ],
)
def test_a_formula_may_begin_with_a_minus(evolr, arguments, formula):
    code, out, err = evolr("show", "--json", *arguments)
    assert (code, json.loads(out)["expression"]) == (0, formula), err
    code, out, err = evolr("export", "--to", "python", *[a for a in arguments if a not in ("--epochs", "3")])
    assert code == 0, err
    assert formula in out


def test_the_value_of_an_option_may_begin_with_a_minus(evolr):
    for given in (("--expression", "-0.1*progress + 0.2"), ("--expression=-0.1*progress + 0.2",)):
        code, out, _ = evolr("compare", *given, *QUADRATIC)
        assert (code, json.loads(out)["contenders"][0]["expression"]) == (0, "-0.1*progress + 0.2")


def test_what_is_no_formula_and_no_option_is_refused(evolr):
    for argument, part in (
        ("-0.05 + prog", "did you mean 'progress'"),
        ("-0.05 +", "got the end"),
        ("--unknown", "No such option"),
        ("-epoc", "No such option"),
    ):
        code, _, err = evolr("show", argument)
        assert code == 2
        assert part in err


def test_a_formula_is_the_learning_rate_whatever_the_preset(evolr):
    """The quadratic's preset searches in logarithms of 0.01, and up to 10."""
    for preset in ("original", "quadratic"):
        settings = ("--set", "problem.name=quadratic", "--set", "training.optimizer.name=sgd")
        settings += ("--set", 'search.terminals=["progress", "constant"]')
        code, out, err = evolr(
            "compare", "--expression", "30*pow(0.1, progress*2 + 2)", "--preset", preset, *settings, *QUADRATIC[2:]
        )
        assert code == 0, err
        rates = json.loads(out)["contenders"][0]["learning_rate"]
        assert 0.03 < rates[0][0] < 0.3


def test_bounds_are_those_that_were_given(evolr):
    document = json.loads(evolr("show", "30*pow(0.1, epoch)", "--json")[1])
    assert document["curve"][0] == 30.0
    document = json.loads(evolr("show", "30*pow(0.1, epoch)", "--min-lr", "0.1", "--max-lr", "3", "--json")[1])
    assert (document["curve"][0], document["curve"][-1]) == (3.0, 0.1)
    assert (document["min_lr"], document["max_lr"]) == (0.1, 3.0)


def test_a_bound_that_cuts_is_said_in_every_command(evolr):
    sentence = "no learning rate is negative: the formula goes down to"
    assert sentence in evolr("show", "0.1 - progress")[1]
    assert sentence in json.loads(evolr("show", "0.1 - progress", "--json")[1])["warnings"][0]
    assert f"warning: {sentence}" in evolr("export", "0.1 - progress", "--to", "python")[2]
    assert f"warning: {sentence}" in evolr("compare", "--expression", "0.1 - progress", *QUADRATIC)[2]
    code, _, err = evolr(
        "prove", "--expression", "0.1 - progress", "--preset", "quadratic", "--budget", "1", "-o", "x", "--epochs", "1"
    )
    assert code == 2  # the budget is below the seeds of a candidate
    assert f"warning: {sentence}" in err


def test_a_saved_schedule_takes_no_options_of_a_formula(evolr):
    Path("good.json").write_bytes(Schedule(expression=parse("0.1")).to_json())
    for option in (("--transform", "log"), ("--min-lr", "0.1"), ("--max-lr", "0.1"), ("--plateau", "patience=3")):
        for command in (("show",), ("export", "--to", "python")):
            code, _, err = evolr(*command, "good.json", *option)
            assert code == 2
            assert "belong to a formula" in err


def test_a_family_is_shown_by_its_name(evolr):
    code, out, _ = evolr("show", "one_cycle")
    assert code == 0
    assert "one-cycle" in out
    assert "Smith and Topin 2018" in out
    assert "peak 0.01, rise 0.3" in out
    code, out, _ = evolr("export", "cosine", "--to", "python")
    assert code == 0
    assert "family: cosine" in out


def test_wrong_options_of_a_formula_are_refused(evolr):
    for options, part in (
        (("--min-lr", "1", "--max-lr", "0.1"), "min_lr"),
        (("--transform", "square"), "square"),
        (("--max-lr", "much"), "'--max-lr'"),
    ):
        code, _, err = evolr("show", "0.1", *options)
        assert code == 2
        assert part in err


def test_a_plateau_is_said_beside_a_formula(evolr):
    formula, plateau = "0.1*0.5**plateaus", "patience=3,cooldown=2,threshold_mode=abs"
    code, out, err = evolr("show", formula, "--plateau", plateau, "--json")
    expected = {"patience": 3, "threshold": 0.0001, "threshold_mode": "abs", "mode": "min", "cooldown": 2}
    assert (code, json.loads(out)["plateau"]) == (0, expected), err
    code, out, _ = evolr("show", formula, "--plateau", plateau)
    assert "plateau        patience=3,threshold=0.0001,threshold_mode=abs,mode=min,cooldown=2\n" in out
    code, out, _ = evolr("export", formula, "--plateau", plateau, "--to", "torch")
    assert "plateau_rule = PlateauRule(patience=3, threshold=0.0001, is_relative=False, sign=1, cooldown=2)" in out
    code, out, err = evolr("compare", "--expression", formula, "--plateau", plateau, *QUADRATIC)
    assert code == 0, err
    assert json.loads(evolr("show", "cosine", "--json")[1])["plateau"] is None


def test_a_plateau_that_says_nothing_is_refused(evolr):
    for arguments, part in (
        (("0.1*progress", "--plateau", "patience=3"), "this one reads neither"),
        (("cosine", "--plateau", "patience=3"), "this one reads neither"),
        (("plateaus", "--plateau", "patients=3"), "did you mean 'patience'"),
        (("plateaus", "--plateau", "patience=-3"), "patience is a whole number"),
        (("plateaus", "--plateau", "3"), "patience=3,cooldown=2"),
    ):
        for command in (("show",), ("export", "--to", "torch")):
            code, _, err = evolr(*command, *arguments)
            assert code == 2
            assert part in err


@pytest.mark.parametrize("name", SIGNALS)
def test_a_formula_of_any_signal_is_shown_and_says_what_its_curve_assumes(evolr, name):
    code, out, err = evolr("show", "--json", f"0.01*(1 + abs({name}))")
    assert code == 0, err
    shown = json.loads(out)
    assert len(shown["curve"]) == 1200
    assert min(shown["curve"]) > 0
    made_up = SIGNALS[name].live and SIGNALS[name].of not in ("loss", "val_loss", "lr")
    assert ("made-up" in shown["curve_assumes"]) == made_up


def test_a_formula_that_reads_the_gradient_is_trained_and_compared(evolr):
    code, out, err = evolr("compare", "--expression", "0.1*(1 - progress)/grad_norm_rss", *QUADRATIC)
    assert code == 0, err
    assert json.loads(out)["contenders"][0]["expression"] == "0.1*(1 - progress)/grad_norm_rss"
