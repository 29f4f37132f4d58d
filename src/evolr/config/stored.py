"""Configurations in TOML files and in studies, those that earlier versions of evolr stored included.

Those versions had one struct for the settings of both methods of search, and stored all of them, those of the other
method too, which meant nothing; the first ones knew no other method than the generational, and named none.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from evolr.config.data import from_data
from evolr.config.search import METHODS, own_settings
from evolr.config.settings import Config
from evolr.errors import ConfigError, printable, shortened
from evolr.reading import read

_EVERYTHING: Final = frozenset(
    ["method", "tournament", "elites", "samples", "children", "youth", "seed_families", "random_structures"]
)
"""What each of the methods had of its own, when all of it was stored."""

_DEEPEST: Final = 100  # tables in tables of a key; evolr's settings have three
_QUOTED: Final = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'')
_KEY: Final = re.compile(r"[\w\-. \t]+")


def load(path: Path) -> Config:
    """The configuration that a study stored in a file."""
    return from_stored(_toml(path))


def from_stored(data: Mapping[str, Any]) -> Config:
    """The configuration of what this or an earlier version of evolr stored, as nested tables."""
    return from_data(_of_today(data))


def from_toml(text: str) -> dict[str, Any]:
    """The nested tables of a TOML document. Raises ConfigError for what is none, and for one beyond what can be read."""
    try:
        _refuse_deep_keys(text)
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, tables in thousands of tables
        raise ConfigError(f"no TOML document that can be read: {shortened(str(error), 200)}") from error


def _refuse_deep_keys(text: str) -> None:
    """Raises ValueError for a key in hundreds of tables, whose reading takes time by the square of their number."""
    unquoted = _QUOTED.sub("x", text)
    if any(found[0].count(".") > _DEEPEST for found in _KEY.finditer(unquoted)):
        raise ValueError(f"a key in more than {_DEEPEST} tables")


def to_toml(config: Config) -> bytes:
    """The whole configuration, as resolved; what cannot be seen, in a text of it, as TOML's own escapes say it."""
    text = msgspec.toml.encode(config).decode()
    return "".join(c if c.isprintable() or c == "\n" else f"\\U{ord(c):08x}" for c in text).encode()


def read_given(path: Path) -> dict[str, Any]:
    """The settings of a file that a person gives, as nested tables: the person's own, or what a study stored.

    A file that has every setting that both methods had then was stored by an earlier version: nobody writes that by hand.
    """
    data = _toml(path)
    search = data.get("search")
    return _of_today(data) if isinstance(search, dict) and search.keys() >= _EVERYTHING else data


def _of_today(data: Mapping[str, Any]) -> dict[str, Any]:
    """What was stored, with the search's method named, and without the settings of another method."""
    search = dict(cast("Mapping[str, Any]", data.get("search", {})))
    method = search.setdefault("method", "generational")
    others = {name for other in METHODS if other != method for name in own_settings(other)}
    return {**data, "search": {name: value for name, value in search.items() if name not in others}}


def _toml(path: Path) -> dict[str, Any]:
    try:
        return from_toml(read(path).decode())
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from error
    except ValueError as error:  # of bytes that are no UTF-8, or of a path that is none, too
        raise ConfigError(f"{path} is not a TOML file of settings: {printable(shortened(str(error), 200))}") from error
