"""The gallery: the schedules that this project found, each with what it was found on and what came of its contest.

One JSON document an entry, in `entries/`; benchmarks/gallery.py makes one of a run directory.
"""

from typing import Final

from evolr.discovered.documents import Gallery
from evolr.discovered.entry import Curve, FamilyFigures, Figures, FoundOn, GalleryEntry, ScaleRange

__all__ = ["Curve", "FamilyFigures", "Figures", "FoundOn", "Gallery", "GalleryEntry", "ScaleRange", "gallery"]

gallery: Final = Gallery()
"""The entries that ship with evolr."""
