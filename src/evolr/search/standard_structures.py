"""Structures to begin with, in a search's own terms: the standard families, and a product of powers of signals."""

from __future__ import annotations

import math
from typing import Final

from evolr.config import Search
from evolr.expression import UPGRADES, Expression, Token
from evolr.search.constants import tunable
from evolr.search.evolution import is_oversize
from evolr.signals import POWERS
from evolr.standard import FAMILIES, Family

_PRODUCT: Final[tuple[Token, ...]] = (
    *("add", 3.65, "mul", 0.785, "log", "min", 1.0, "min"),
    *("mul", 13.3, "progress", "mul", 3.17, "sub", 1.0, "progress"),
)
"""Of the product, in log output: its scale, and a warm-up and a fall to a power. By slopes, which a strategy's steps hardly ever turn around."""

_OLDER: Final = {"quotient": "div"} | {new: old for new, old in UPGRADES[1].items() if new != "/"}


def standard_structures(search: Search) -> list[Expression]:
    """The standard families with their default constants, those that `in_terms` of the search can be said."""
    said = (in_terms(search, family) for family in FAMILIES.values())
    return [tree for tree in said if tree is not None]


def product_of_powers(search: Search) -> Expression | None:
    """A warm-up and a fall, times a power of each signal of `POWERS` that the search has; None without any, and where it cannot be said.

    In log output a power is a constant times a logarithm, so all powers are tuned at once, which growth by one at a time is not.
    """
    tokens = _PRODUCT
    for signal, power in POWERS.items():
        if signal in search.terminals:
            tokens = ("add", *tokens, "mul", power, "log", signal)
    return None if tokens is _PRODUCT else _said(search, Expression(tokens))


def in_terms(search: Search, family: Family, **constants: float) -> Expression | None:
    """A family with these constants, the defaults for the others, in a search's own terms; None where it cannot be said.

    With the log transform a family is the logarithm of its scale plus that of its shape, so that its scale is one constant.
    None for those that the language cannot say, that are too large, or that have no shape. A language that has no
    quotient but the first experiment's division says them by that, and one of an older version by its own functions.
    """
    scales = [constant for constant in family.constants if constant.is_scale]
    if len(scales) != 1:
        return None
    scale = constants.get(scales[0].name, scales[0].default)
    if search.transform == "log":
        schedule = family.schedule(**{**constants, scales[0].name: 1.0})
        factor = math.log(scale / search.reference_lr)
        tree = Expression(("add", factor, "log", *_without_unit(schedule.expression).tokens))
    else:
        schedule = family.schedule(**constants)
        tree = schedule.expression
    if schedule.plateau is not None:  # a search has none of its own
        return None
    return _said(search, tree)


def _said(search: Search, tree: Expression) -> Expression | None:
    """A tree by the functions and signals of a search, within its limits; None where that cannot be."""
    words = {*search.functions, *search.terminals}
    renamed = {new: old for new, old in _OLDER.items() if new not in words and old in words}
    tree = Expression(tuple(renamed.get(str(token), token) for token in tree.tokens))
    said = {token for token in tree.tokens if isinstance(token, str)}
    return tree if tree.signals and said <= words and not is_oversize(search, tunable(tree)) else None


def _without_unit(shape: Expression) -> Expression:
    return Expression(shape.tokens[2:]) if shape.tokens[:2] == ("mul", 1.0) else shape
