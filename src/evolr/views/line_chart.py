"""Lines in a small SVG, in the colour of the text around it but for the main line: legible on light and on dark.

It is written here and not by matplotlib, which takes longer to import than a cell of a notebook should take to show its result, and
longer to draw than a page that changes while a search runs may take. It has no style of its own: a page may give its classes one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evolr.legible import html

_WIDTH, _HEIGHT = 440, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 12, 12, 24  # margins, for the labels
_PLACES: Final = 100  # columns of a line, each with its least and its greatest value
_DECADES: Final = 4  # of a log axis, below the greatest value

Look = Literal["main", "second", "faint"]

_STROKES: Final[dict[Look, str]] = {
    "main": 'stroke="#2f86c8" stroke-width="2"',  # 3.9:1 on white, 4.8:1 on black
    "second": 'stroke="currentColor" stroke-width="1.4" stroke-dasharray="5 3" stroke-opacity=".7"',
    "faint": 'stroke="currentColor" stroke-width="1.2" stroke-opacity=".3"',
}


class Line(NamedTuple):
    """Values over x, both (n,), x ascending; what is not finite is left out."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    look: Look = "main"


def line_chart(
    lines: Sequence[Line],
    *,
    label: str,
    x_name: str,
    is_log: bool = False,
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
    text: Callable[[float], str] = lambda value: f"{value:.3g}",
) -> str:
    """The SVG of some lines. label: what it shows, for who cannot see it; x_range, y_range: what is in view, of the lines if None; a line ends
    at what is not in view. text: of a value at the axis.
    """
    known = [_known(line, y_range) for line in lines]
    every = np.concatenate([y for _, y in known]) if known else np.empty(0)
    low, high = y_range or (_log_range(every) if is_log else _linear_range(every))
    first, last = x_range or _ends([x for x, _ in known])
    scale = _log_share if is_log else _share
    drawn: list[str] = []
    for line, (x, y) in zip(lines, known, strict=True):
        across = _LEFT + _share(x, first, last, 0.0) * (_WIDTH - _LEFT - _RIGHT)
        down = _HEIGHT - _BOTTOM - scale(y, low, high, 0.5) * (_HEIGHT - _TOP - _BOTTOM)
        points = [f"{px:.1f},{py:.1f}" for px, py in zip(across, down, strict=True)]
        if len(points) == 1:
            points *= 2  # with round ends, a point
        if points:
            drawn.append(
                f'<polyline class="{line.look}" points="{" ".join(points)}" fill="none" {_STROKES[line.look]} '
                'stroke-linejoin="round" stroke-linecap="round"/>'
            )
    bottom, middle = _HEIGHT - _BOTTOM, (_HEIGHT - _BOTTOM + _TOP) / 2
    labels = [(middle, high)] if low == high else [(_TOP, high), (bottom, low)]
    words = [
        *(_word(_LEFT - 6, y + 4, text(value), "end") for y, value in labels),
        _word(_LEFT, _HEIGHT - 6, f"{first:g}", "middle"),
        _word(_WIDTH - _RIGHT, _HEIGHT - 6, f"{x_name} {last:g}", "end"),
    ]
    axes = f"M{_LEFT},{_TOP} V{bottom} H{_WIDTH - _RIGHT}"
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="100%" role="img" '
        f'aria-label="{html(label)}" font-size="11" font-family="sans-serif">'
        f'<path d="{axes}" fill="none" stroke="currentColor" stroke-opacity=".4"/>'
        f"{''.join(drawn)}{''.join(words)}</svg>"
    )


def _known(line: Line, y_range: tuple[float, float] | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What of a line is drawn: what is finite, and in view."""
    x, y = np.asarray(line.x, float), np.asarray(line.y, float)
    is_known = np.isfinite(y)
    if y_range is not None:
        is_known &= (y >= y_range[0]) & (y <= y_range[1])
    return _thinned(x[is_known], y[is_known])


def _linear_range(values: NDArray[np.float64]) -> tuple[float, float]:
    return (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)


def _log_range(values: NDArray[np.float64]) -> tuple[float, float]:
    """The least and the greatest positive value, some decades apart at most; 0 and 0 without one."""
    positive = values[values > 0]
    if not positive.size:
        return 0.0, 0.0
    high = float(positive.max())
    low = max(float(positive.min()), high * 10.0**-_DECADES)
    return (high, high) if math.log10(high / low) < 1e-9 else (low, high)


def _ends(every: Sequence[NDArray[np.float64]]) -> tuple[float, float]:
    known = [x for x in every if x.size]
    return (min(float(x[0]) for x in known), max(float(x[-1]) for x in known)) if known else (0.0, 0.0)


def _share(values: NDArray[np.float64], low: float, high: float, level: float) -> NDArray[np.float64]:
    """Where values lie between low, 0, and high, 1; all of them at `level` if these are one."""
    if low == high:
        return np.full(len(values), level)
    return np.clip((values - low) / (high - low), 0.0, 1.0)


def _log_share(values: NDArray[np.float64], low: float, high: float, level: float) -> NDArray[np.float64]:
    """The same on a log axis; what is below the least, a zero too, lies there."""
    if low == high:
        return np.full(len(values), level)
    return _share(np.log10(np.clip(values, low, None)), math.log10(low), math.log10(high), level)


def _thinned(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The least and the greatest of each column of a line, in their order, and its ends: no peak is lost."""
    if len(x) <= 2 * _PLACES:
        return x, y
    kept = {0, len(x) - 1}
    for column in np.array_split(np.arange(len(x)), _PLACES):
        kept |= {int(column[y[column].argmin()]), int(column[y[column].argmax()])}
    places = sorted(kept)
    return x[places], y[places]


def _word(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="currentColor">{html(text)}</text>'
