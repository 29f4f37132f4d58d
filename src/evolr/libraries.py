"""Which libraries are installed here, and in which versions."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Final

from evolr.errors import MissingExtraError

FIGURES: Final = ("jax", "optax", "optuna", "numpy", "scipy")
"""The libraries whose versions decide the last bits of what a search or a contest finds."""


def versions(names: Iterable[str] = FIGURES) -> dict[str, str]:
    """The versions of those that are installed."""
    found: dict[str, str] = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def require(what: str, extra: str, names: Iterable[str]) -> None:
    """Raises MissingExtraError where a module that `what` needs, and the extra brings, is not installed. Imports none."""
    if not all(map(find_spec, names)):
        raise MissingExtraError(what, extra)
