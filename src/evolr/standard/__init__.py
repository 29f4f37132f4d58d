"""The schedules that everyone uses, as expressions with named free constants.

Time is `progress`, so a family's constants carry over to any horizon.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from evolr.standard.baselines import PUBLISHED_BASELINES, constant, cosine, reduce_on_plateau, step_decay
from evolr.standard.curves import free_curve, frozen, piecewise_linear
from evolr.standard.family import Family, FreeConstant
from evolr.standard.feedback import FEEDBACK
from evolr.standard.open_loop import COSINE, OPEN_LOOP

__all__ = [
    "COSINE",
    "FAMILIES",
    "PUBLISHED_BASELINES",
    "Family",
    "FreeConstant",
    "constant",
    "cosine",
    "families",
    "free_curve",
    "frozen",
    "piecewise_linear",
    "reduce_on_plateau",
    "step_decay",
]

FAMILIES: Final[Mapping[str, Family]] = MappingProxyType(
    {family.name: family for family in (*OPEN_LOOP, *FEEDBACK, free_curve())}
)
"""Every standard family by name; the last one, the free curve, is the reference of what an open-loop shape can reach."""


def families() -> Mapping[str, Family]:
    """The standard schedules by name: what a contest tunes, and what `evolr.tune` and `evolr.load` take.

    >>> "one-cycle" in families()
    True
    >>> families()["cosine"].schedule(base=0.1).at(progress=0.5)
    0.05
    """
    return FAMILIES
