"""A learning-rate curve as a small SVG, in the colour of the text around it but for its line: legible on light and on dark.

It is written here and not by matplotlib, which takes longer to import than a cell of a notebook should take to show its result.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from evolr.legible import html
from evolr.views.curve import Curve

_WIDTH, _HEIGHT = 440, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 12, 12, 24  # margins, for the labels
_PLACES: Final = 100  # columns of the line, each with the least and the greatest rate in it
_DECADES: Final = 4  # of the log axis, below the greatest rate
_LINE: Final = "#2f86c8"  # 3.9:1 on white, 4.8:1 on black


def inline_curve(curve: Curve) -> str:
    """The SVG of a curve on a log axis over epochs, over steps where an epoch has one."""
    x, rates = _thinned(curve.epochs, np.asarray(curve.rates, float))
    positive = rates[rates > 0]
    greatest = float(positive.max()) if positive.size else 1.0
    least = max(float(positive.min()) if positive.size else 1.0, greatest * 10.0**-_DECADES)
    low, high = np.log10(least), np.log10(greatest)
    is_level = bool(high - low < 1e-9)
    heights = np.log10(np.clip(rates, least, None))
    share = np.full(len(x), 0.5) if is_level else (heights - low) / (high - low)
    last = float(curve.total_steps / curve.steps_per_epoch)
    at = _LEFT + x / max(last, 1e-300) * (_WIDTH - _LEFT - _RIGHT)
    down = _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)
    points = " ".join(f"{px:.1f},{py:.1f}" for px, py in zip(at, down, strict=True))
    unit = "epoch" if curve.steps_per_epoch > 1 else "step"
    bottom, middle = _HEIGHT - _BOTTOM, (_HEIGHT - _BOTTOM + _TOP) / 2
    labels = [(middle, greatest)] if is_level else [(_TOP, greatest), (bottom, least)]
    if not positive.size:
        labels = [(middle, 0.0)]
    words = [
        *(_word(_LEFT - 6, y + 4, f"{rate:.3g}", "end") for y, rate in labels),
        _word(_LEFT, _HEIGHT - 6, "0", "middle"),
        _word(_WIDTH - _RIGHT, _HEIGHT - 6, f"{unit} {last:g}", "end"),
    ]
    axes = f"M{_LEFT},{_TOP} V{bottom} H{_WIDTH - _RIGHT}"
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" role="img" '
        'aria-label="learning rate, log scale" style="max-width: 100%; font: 11px sans-serif">'
        f'<path d="{axes}" fill="none" stroke="currentColor" stroke-opacity=".4"/>'
        f'<polyline points="{points}" fill="none" stroke="{_LINE}" stroke-width="2" stroke-linejoin="round"/>'
        f"{''.join(words)}</svg>"
    )


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
