"""The picture of the gallery: the learning rates that its schedules took."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.figure import Figure

from evolr.discovered import GalleryEntry
from evolr.views.pictures import EVOLVED, finish, log_if_positive, png

_COLUMNS: Final = 2  # so that a page shows it at its full size


def picture(entries: Sequence[GalleryEntry]) -> bytes:
    """The PNG of the curves that are known: of each epoch the median over trainings, and a band between the quartiles."""
    known = [(entry, entry.curve) for entry in entries if entry.curve is not None]
    columns = min(len(known), _COLUMNS) or 1
    rows = -(-len(known) // columns)
    figure = Figure(figsize=(4.6 * columns, 3.8 * max(rows, 1)), layout="constrained")
    for place, (entry, curve) in enumerate(known, start=1):
        axes = figure.add_subplot(rows, columns, place)
        epochs = np.arange(len(curve.median)) + 0.5
        axes.plot(epochs, curve.median, color=EVOLVED, linewidth=2)
        axes.fill_between(epochs, curve.low, curve.high, color=EVOLVED, alpha=0.2, linewidth=0)
        finish(axes, entry.name, f"learning rate, {entry.optimizer_text}")
        log_if_positive(axes)
    return png(figure)
