"""What pictures show: their structure, on matplotlib's figures. Their bits are another version's matter."""

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

import evolr
from evolr.contest.statistics import Pairs
from evolr.problems import Metric
from evolr.views import pictures
from evolr.views.curve import curve
from evolr.views.differences import draw_differences
from evolr.views.pictures import BETTER, COLOURS, EVOLVED, LEVEL, OTHER, WORSE, axis_of, label, run_picture, wrapped

ACCURACY, LOSS = Metric("accuracy", True), Metric("loss", False)
MEANINGS = ("better", "level", "worse")


def pairs(difference, direction=1, p_value=1e-4):
    return Pairs(difference, difference - 0.01, difference + 0.01, direction, 0.5, None, p_value)


def drawn(all_pairs, metric=ACCURACY):
    axes = Figure().add_subplot()
    draw_differences(axes, all_pairs, metric, MEANINGS)
    return axes


def dots(axes):
    """The differences that are drawn, with their colours."""
    found = [line for line in axes.get_lines() if line.get_marker() == "o" and len(line.get_xdata())]
    return [(float(line.get_xdata()[0]), line.get_color()) for line in found]


def figures(monkeypatch):
    """The figures that are made from now on, in the place of their PNGs."""
    made = []
    monkeypatch.setattr(pictures, "png", lambda figure: made.append(figure) or b"")
    return made


def texts_outside(figure):
    """The titles, labels and notes of a figure that its edge cuts."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    width, height = canvas.get_width_height()
    texts = [t for axes in figure.axes for t in (axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts)]
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts if text.get_text()]
    return [said for said, box in boxes if min(box.x0, box.y0) < 0 or box.x1 > width or box.y1 > height]


def test_a_colour_has_one_meaning():
    assert len({EVOLVED, OTHER, BETTER, WORSE, LEVEL}) == 5
    assert {EVOLVED, OTHER, BETTER, WORSE} <= set(COLOURS)


def test_differences_say_by_their_colour_what_they_mean_in_the_unit_of_the_score():
    axes = drawn([pairs(0.02), pairs(-0.03, direction=-1), pairs(0.0, p_value=0.5), None])
    assert dots(axes) == [(pytest.approx(2.0), BETTER), (pytest.approx(-3.0), WORSE), (0.0, LEVEL)]
    assert [text.get_text() for text in axes.legend().get_texts()] == list(MEANINGS)
    assert dots(drawn([pairs(0.02)], LOSS)) == [(0.02, BETTER)]


def test_what_is_far_is_a_number_at_the_edge_and_the_others_are_told_apart():
    axes = drawn([pairs(0.02), pairs(0.03), pairs(0.04), pairs(0.05), pairs(3.0), pairs(-9.0, direction=-1)])
    assert [x for x, _ in dots(axes)] == pytest.approx([2, 3, 4, 5])
    assert [text.get_text() for text in axes.texts] == ["300 ▸", "◂ -900"]
    left, right = axes.get_xlim()
    assert -30 < left < 0
    assert 5 < right < 30
    assert all(left <= text.xy[0] <= right for text in axes.texts)


@pytest.mark.parametrize("all_pairs", [[], [None], [pairs(0.0)], [Pairs(None, None, None, 0, 0.5, None, None)]])
def test_few_differences_or_none_leave_room(all_pairs):
    axes = drawn(all_pairs)
    low, high = axes.get_ylim()
    assert high - low >= 5
    assert np.isfinite(axes.get_xlim()).all()


def test_a_front_has_whole_sizes_and_says_which_way_is_better(monkeypatch):
    made = figures(monkeypatch)
    formula = "learning rate: " + " + ".join(f"0.{n}*progress" for n in range(1, 30))
    run_picture(curve(evolr.load("0.1*(1 - progress)"), 10, 5), formula, [(3, 0.5), (4, 0.6), (6, 0.61)], ACCURACY)
    rates, sizes = made[0].axes
    assert texts_outside(made[0]) == []
    assert rates.get_lines()[0].get_color() == EVOLVED
    assert all(float(tick).is_integer() for tick in sizes.get_xticks())
    assert sizes.get_ylabel() == "accuracy, per cent (higher is better)"
    assert [text.get_text() for text in sizes.texts] == ["knee: 4 nodes"]


def test_a_title_is_whole_in_as_many_lines_as_it_takes_and_cut_beyond_a_few():
    formula = "0.001*exp(3.1 - 2*max(0, loss_ema - 0.9)) * min(1, (1 - progress)/0.25) + 0.001"
    assert wrapped(formula).replace("\n", " ") == formula
    assert max(map(len, wrapped(formula).split("\n"))) <= 70
    assert wrapped("x + " * 400).count("\n") == 2
    assert wrapped("x + " * 400).endswith(" …")


def test_an_axis_says_what_it_is_and_which_way_is_better():
    assert axis_of(LOSS) == axis_of(LOSS, of="differences") == "loss (lower is better)"
    assert axis_of(ACCURACY, of="differences") == "accuracy, points (higher is better)"


@pytest.mark.parametrize("name", ["_private", "__init__", "costs $5 and $6", r"\input{x}", "50 % & more_#"])
def test_a_name_of_others_is_a_text_in_the_legend_whatever_stands_in_it(name):
    with mpl.rc_context({"text.usetex": True}):  # what is drawn by TeX needs TeX, and is code to it
        figure = Figure()
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], label=label(name))
        axes.set_title(label(name))
        axes.legend()
        assert pictures.png(figure).startswith(b"\x89PNG")
    assert [text.get_text().strip().replace(r"\$", "$") for text in axes.get_legend().get_texts()] == [name]
