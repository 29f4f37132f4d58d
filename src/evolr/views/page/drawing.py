"""Drawings that stand in the page itself: SVG by matplotlib, in the page's own colours and type, light and dark.

Matplotlib is given colours that nothing else has, and the SVG has the page's variables in their places; words stay words, so that they
are small, sharp and found by a search. What is drawn has no address in it, of a file or of a network.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from evolr.contest.statistics import Pairs
from evolr.errors import printable, shortened
from evolr.legible import html
from evolr.views.pictures import log_if_positive

INK: Final = "#010203"
SOFT: Final = "#040506"
LINE: Final = "#070809"
SERIES: Final = tuple(f"#0a0b{number:02x}" for number in range(6))
GOOD: Final = "#0d0e0f"
BAD: Final = "#101112"

_VARIABLES: Final = {
    INK: "var(--ink)",
    SOFT: "var(--soft)",
    LINE: "var(--line)",
    GOOD: "var(--good)",
    BAD: "var(--bad)",
    **{colour: f"var(--s{number})" for number, colour in enumerate(SERIES)},
}

STYLES: Final = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)))
"""Line styles of the series, which tell them apart without colour."""

_SETTINGS: Final[dict[str, Any]] = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a name with dollars in it is a name
    "text.usetex": False,
    "font.size": 9.5,
    "axes.edgecolor": LINE,
    "axes.labelcolor": SOFT,
    "axes.titlecolor": INK,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.min_exponent": 3,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": SOFT,
    "ytick.labelcolor": SOFT,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "text.color": INK,
}
_NAME: Final = 26  # characters of a name beside a plot
_COUNTED: Final = ("epoch", "generation", "nodes of the formula")  # axes of whole numbers
_WIDTH: Final = 5.2  # inches, of 72 units each
_NARROW: Final = 12.0
_FEW_DECADES: Final = 50.0  # greatest ÷ least of a log axis: below it, 2 and 5 have labels too
_LEFT_OUT: Final = re.compile(r"<!--.*?-->|<metadata>.*?</metadata>|<style.*?</style>", re.DOTALL)
_TAG: Final = re.compile(r"<[^>]*>")
_ADDRESS: Final = re.compile(r'(\sid="|url\(#|href="#)')
_DIGITS: Final = re.compile(r"(\d\.\d\d)\d+")
_OWN_TYPE: Final = re.compile(r"font-family: [^;\"]*;? ?|\stransform=\"rotate\(-0 [^\"]*\"")


def drawing(name: str, label: str, height: float, draw: Callable[[Figure], object]) -> str:
    """The `svg` element of a drawing. name: unlike that of any other on the page; label: what it shows, for who cannot see it;
    height: in inches, of a width of five; draw: is given the empty figure.
    """
    settings: Any = {**_SETTINGS, "svg.hashsalt": name}
    with mpl.rc_context(settings):
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return _inlined(buffer.getvalue(), name, label)


def _inlined(text: str, name: str, label: str) -> str:
    whole = _LEFT_OUT.sub("", text[text.index("<svg") :])
    head, body = whole[: whole.index(">")], whole[whole.index(">") + 1 :]
    box = re.search(r'viewBox="([^"]*)"', head)
    body = _TAG.sub(lambda tag: _page_s_own(tag.group(), name), body)  # what stands between tags is text, and stays
    body = re.sub(r"\n\s*", "\n", body).strip()
    view = box.group(1) if box else "0 0 374 180"
    return f'<svg viewBox="{view}" role="img" aria-label="{html(label)}">\n{body}'


def _page_s_own(tag: str, name: str) -> str:
    """A tag with addresses that no other drawing has, the page's colours and type, and no more digits than are seen."""
    tag = _OWN_TYPE.sub("", tag.replace("xlink:href", "href"))
    tag = _DIGITS.sub(r"\1", _ADDRESS.sub(rf"\g<1>{name}-", tag))
    for colour, variable in _VARIABLES.items():
        tag = tag.replace(colour, variable)
    return tag


def titled(axes: Axes, title: str, unit: str = "", xlabel: str = "epoch") -> None:
    """The title and the units of a part of a drawing."""
    axes.set_title(printable(title))
    axes.set_xlabel(printable(xlabel))
    axes.set_ylabel(printable(unit))
    if xlabel in _COUNTED:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def log_axis(axes: Axes) -> None:
    """A log axis, if something on it is positive; its labels are plain numbers."""
    log_if_positive(axes)
    if axes.get_yscale() != "log":
        return
    low, high = axes.get_ylim()
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    if high / low < _NARROW:  # not one power of ten in it, perhaps
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_minor_locator(NullLocator())
        return
    few = high / low < _FEW_DECADES
    axes.yaxis.set_minor_formatter(
        FuncFormatter(lambda value, _: f"{value:g}" if few and f"{value:e}"[0] in "25" else "")
    )
    axes.tick_params(axis="y", which="minor", length=0)


class Interval(NamedTuple):
    """A row of an interval plot. is_bold: its name."""

    name: str
    low: float | None
    middle: float | None
    high: float | None
    colour: str
    is_bold: bool = False


def interval(
    name: str, values: Sequence[float | None], scale: float, colour: str, *, is_bold: bool = False
) -> Interval:
    """A row of a low, a middle and a high value, in the unit that `scale` makes of them."""
    low, middle, high = (None if value is None else scale * value for value in values)
    return Interval(name, low, middle, high, colour, is_bold)


def difference(name: str, pairs: Pairs | None, scale: float) -> Interval:
    """A row of paired differences, in the colour of what the test says of them."""
    if pairs is None:
        return Interval(name, None, None, None, SOFT)
    colour = {"better than": GOOD, "worse than": BAD}.get(pairs.relation, SOFT)
    return interval(name, (pairs.low, pairs.difference, pairs.high), scale, colour)


def intervals(
    axes: Axes, rows: Sequence[Interval], *, edge: float | None = None, higher_is_better: bool = True
) -> None:
    """Intervals, the first at the top. edge: a row whose middle is worse than that has its number there and nothing else."""
    seen: list[float] = []
    for place, row in enumerate(rows):
        if (
            row.middle is not None
            and edge is not None
            and (row.middle < edge if higher_is_better else row.middle > edge)
        ):
            text, side = (f"◂ {row.middle:.3g}", "left") if higher_is_better else (f"{row.middle:.3g} ▸", "right")
            axes.text(edge, place, text, va="center", ha=side, fontsize=8, color=SOFT)
            continue
        seen += [value for value in (row.low, row.middle, row.high) if value is not None]
        if row.low is not None and row.high is not None:
            axes.plot([row.low, row.high], [place, place], "-", color=row.colour, linewidth=2.2, solid_capstyle="round")
        if row.middle is not None:
            axes.plot(row.middle, place, "o", color=row.colour, markersize=4.5)
    if edge is not None and seen:
        low, high = min([edge, *seen]), max([edge, *seen])
        margin = 0.04 * (high - low)
        axes.set_xlim((edge if higher_is_better else low - margin), (high + margin if higher_is_better else edge))
    axes.set_yticks(range(len(rows)), [shortened(printable(row.name), _NAME) for row in rows])
    for label, row in zip(axes.get_yticklabels(), rows, strict=True):
        label.set_fontweight("bold" if row.is_bold else "normal")
        label.set_color(INK)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")


def edge_of(rows: Sequence[Interval], *, higher_is_better: bool) -> float | None:
    """Where a plot of intervals ends, so that the better three quarters of the rows are in view, and the bold one, whatever the others
    did; None where all are.
    """
    means = [row.middle for row in rows if row.middle is not None]
    if len(means) < 4:
        return None
    sign = 1.0 if higher_is_better else -1.0
    best = max(sign * mean for mean in means)
    kept = [float(np.percentile([sign * mean for mean in means], 25))]
    kept += [sign * row.middle for row in rows if row.is_bold and row.middle is not None]
    edge = min(kept) - 0.35 * (best - min(kept))
    return sign * edge if edge < best and any(sign * mean < edge for mean in means) else None


def plain_symlog(axes: Axes) -> None:
    """Plain numbers, few of them, on an x axis that is symmetrically logarithmic."""
    low, high = axes.get_xlim()
    greatest = max(abs(low), abs(high))
    tens = 10.0 ** np.floor(np.log10(greatest))
    ticks = [value for value in (-tens, -tens / 10, 0.0, tens / 10, tens) if low <= value <= high]
    axes.set_xticks(ticks, [f"{value:g}" for value in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
