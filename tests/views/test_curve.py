"""Curves over horizons short and long, exact where they are drawn; nothing that hands a schedule over draws one."""

import json

import numpy as np
import pytest

from evolr.config import changed
from evolr.errors import ScheduleError
from evolr.expression import parse
from evolr.loop import follow
from evolr.schedule import Schedule
from evolr.views import curve as curves
from evolr.views.curve import MOST_DRAWN, MOST_FOLLOWED, Curve, Losses, curve, falling_losses, recorded_losses
from evolr.views.pictures import run_picture, schedule_picture
from tests.study.small import small

PNG = b"\x89PNG"


def schedule(text):
    return Schedule(expression=parse(text), min_lr=0.0, max_lr=10.0)


def test_a_short_horizon_is_drawn_step_by_step():
    drawn = curve(schedule("0.1*(1 - progress)"), 40, 4)
    assert drawn.is_whole
    assert drawn.note == ""
    np.testing.assert_array_equal(drawn.steps, np.arange(40))
    np.testing.assert_allclose(drawn.rates, 0.1 * (1 - np.arange(40) / 40))
    np.testing.assert_array_equal(drawn.epochs, np.arange(40) / 4)


@pytest.mark.parametrize("total", [MOST_DRAWN, MOST_DRAWN + 1, 30 * 40_000, 40 * 10**11, 2**53])
@pytest.mark.parametrize(
    "text", ["0.1*(1 - progress)", "0.1*0.5^floor(epoch/10)", "0.1*epoch_progress", "step/total_steps"]
)
def test_a_long_horizon_is_drawn_at_some_thousands_of_its_steps_and_exactly_there(text, total):
    one, per_epoch = schedule(text), 40_000
    drawn = curve(one, total, per_epoch)
    assert len(drawn.steps) <= MOST_DRAWN
    assert (drawn.steps[0], drawn.steps[-1]) == (0, total - 1)
    assert np.all(np.diff(drawn.steps) > 0)
    for place in (0, 1, len(drawn.steps) // 3, -2, -1):
        step = int(drawn.steps[place])
        clock = {
            "step": step,
            "epoch": step // per_epoch,
            "progress": step / total,
            "epoch_progress": step % per_epoch / per_epoch,
            "total_steps": total,
        }
        assert drawn.rates[place] == pytest.approx(one.at(**{name: clock[name] for name in one.signals}), rel=1e-12)
    assert drawn.note == ("" if total == MOST_DRAWN else f"5,000 of its {total:,} steps, evenly spaced")


def test_a_horizon_too_long_to_count_is_refused():
    with pytest.raises(ScheduleError, match="steps at most; total_steps is beyond that"):
        curve(schedule("progress"), 2**53 + 1, 1)


@pytest.mark.parametrize("text", ["0.1*loss", "0.1*val_loss", "0.1*loss/val_loss*(1 - progress)"])
def test_a_schedule_without_a_memory_is_drawn_over_a_long_horizon_as_it_is_followed(text):
    """At the steps that are drawn: what a Loop says there that is told of every step."""
    one, total, per_epoch = schedule(text), MOST_DRAWN + 1_000, 300
    losses = falling_losses(total, per_epoch)
    drawn = curve(one, total, per_epoch, losses)
    every = losses.loss(np.arange(total))
    ends = losses.val_loss(np.arange(-(-total // per_epoch)))
    followed = np.array(follow(one, every.tolist(), ends.tolist(), steps_per_epoch=per_epoch))
    np.testing.assert_allclose(drawn.rates, followed[drawn.steps], rtol=1e-12)
    assert not drawn.is_whole


@pytest.mark.parametrize("text", ["0.1*loss_ema", "where(lr, 0.999*lr, 0.1)*loss/loss", "0.1*0.5^stale_epochs"])
def test_a_schedule_with_a_memory_is_followed_from_its_first_step_as_far_as_is_quick(text, monkeypatch):
    monkeypatch.setattr(curves, "MOST_FOLLOWED", 500)
    one = schedule(text)
    losses = falling_losses(2_000, 50)
    drawn = curve(one, 2_000, 50, losses)
    np.testing.assert_array_equal(drawn.steps, np.arange(500))
    assert drawn.note == "its first 500 of 2,000 steps"
    every, ends = losses.loss(np.arange(2_000)).tolist(), losses.val_loss(np.arange(40)).tolist()
    np.testing.assert_allclose(drawn.rates, follow(one, every, ends, steps_per_epoch=50)[:500])


def test_recorded_losses_are_stretched_over_other_epochs():
    train, val = np.array([2.0, 1.0, 0.5]), np.array([2.2, 1.1, 0.6])
    own = recorded_losses(train, val, 3, 10, "")
    np.testing.assert_allclose(own.loss(np.array([0, 5, 15, 25, 29])), [2.0, 2.0, 1.0, 0.5, 0.5])
    np.testing.assert_allclose(own.loss(np.array([10])), [1.5])
    np.testing.assert_allclose(own.val_loss(np.arange(3)), [2.0, 2.2, 1.1])
    longer = recorded_losses(train, val, 5, 10, "")
    np.testing.assert_allclose(longer.val_loss(np.arange(5)), [2.0, 2.2, 1.65, 1.1, 0.85])
    one = recorded_losses(train, val, 1, 4, "")
    np.testing.assert_allclose(one.loss(np.arange(4)), [2.0] * 4)


def test_pictures_of_long_curves_say_which_steps_they_show():
    long = curve(schedule("0.1*(1 - progress)"), 10**9, 1000)
    assert schedule_picture("curve", long).startswith(PNG)
    from matplotlib.figure import Figure

    from evolr.problems import Metric
    from evolr.views.pictures import _rates

    axes = Figure().add_subplot()
    _rates(axes, "curve", long)
    assert axes.get_title() == "curve\n5,000 of its 1,000,000,000 steps, evenly spaced"
    assert axes.get_lines()[0].get_xdata()[-1] == pytest.approx(10**6, rel=1e-6)
    assert run_picture(long, "curve", [(1, 0.5)], Metric("accuracy", True)).startswith(PNG)


@pytest.mark.parametrize("text", ["0.1*(1 - progress)", "0.1*val_loss", "0.1*loss", "0.1*loss_ema"])
def test_a_huge_horizon_is_shown(evolr, text):
    code, out, err = evolr("show", text, "--epochs", str(10**11), "--json", "-o", "curve.png")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert len(document["curve"]) == len(document["curve_steps"])
    assert len(document["curve"]) in (MOST_DRAWN, MOST_FOLLOWED)
    out = evolr("show", text, "--epochs", str(10**11))[1]
    assert ("its first 20,000 of 4,000,000,000,000 steps" if "ema" in text else "5,000 of its") in out


def test_the_steps_are_told_where_not_all_are_drawn(evolr):
    assert json.loads(evolr("show", "0.1", "--json")[1])["curve_steps"] is None


class DrawnError(Exception):
    pass


@pytest.mark.parametrize("formula", ["0.1*(1 - progress)", "0.1*loss_ema"])
def test_a_run_with_long_trainings_is_shown_and_exported_without_a_curve(evolr, monkeypatch, tmp_path, formula):
    """30 × 40,000 steps; told from outside, since nobody trains them here."""
    from evolr.study.study import Study

    config = changed(
        small(),
        {
            "problem": {"name": "external", "steps_per_epoch": 40_000},
            "training.epochs": 30,
            "comparison.epochs": 30,
            "training.optimizer": {"name": "adam"},
        },
    )
    with Study("run", config) as study:
        for individual in study.ask():
            study.tell(individual, 1.0)
    assert evolr("show", "run")[0] == 0
    assert "5,000 of its 1,200,000 steps" in evolr("show", "run")[1]

    def refuse(*arguments, **options):
        raise DrawnError

    for name in ("curve", "_followed", "_curve_of"):
        monkeypatch.setattr(curves, name, refuse)
    monkeypatch.setattr("evolr.views.shown.curve", refuse)
    with pytest.raises(DrawnError):
        evolr("show", "run")
    assert evolr("export", "run", "--to", "python", "-o", "champion.py")[0] == 0
    assert evolr("export", formula, "--to", "torch")[0] == 0


def test_a_curve_of_losses_of_its_own():
    losses = Losses(lambda steps: 1.0 + 0 * steps, lambda epochs: 2.0 + 0 * epochs, "")
    drawn = curve(schedule("loss + val_loss"), 8, 2, losses)
    assert isinstance(drawn, Curve)
    assert drawn.rates.tolist() == [3.0] * 8
