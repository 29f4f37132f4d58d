"""A learning-rate curve as a small SVG."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evolr.views.curve import Curve
from evolr.views.line_chart import Line, Look, line_chart


def inline_curve(curve: Curve, before: Sequence[Curve] = ()) -> str:
    """The SVG of a curve on a log axis over epochs, over steps where an epoch has one. before: others that are drawn faintly behind it."""
    unit = "epoch" if curve.steps_per_epoch > 1 else "step"
    last = float(curve.total_steps / curve.steps_per_epoch)
    lines = [*(_line(other, last, "faint") for other in before), _line(curve, last, "main")]
    return line_chart(lines, label="learning rate, log scale", x_name=unit, is_log=True, x_range=(0.0, last))


def _line(curve: Curve, last: float, look: Look) -> Line:
    """A curve, stretched to so many epochs."""
    own = float(curve.total_steps / curve.steps_per_epoch)
    return Line(curve.epochs * (last / max(own, 1e-300)), np.asarray(curve.rates, float), look)
