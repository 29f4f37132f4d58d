"""Settings by dotted name, `search.population`, and as tables in tables, as TOML has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from evolr.errors import ConfigError


def dotted(table: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Settings as tables in tables, by dotted name alone; names that are dotted already may be among them.

    Raises ConfigError for what is no mapping by names.
    """
    if not isinstance(cast("Any", table), Mapping):
        raise ConfigError(f"settings must map dotted names to values, got {table!r}")
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if not isinstance(cast("Any", key), str):
            raise ConfigError(f"a setting is named by a text, such as search.population, got {key!r}")
        flat |= dotted(cast("Any", value), f"{path}{key}.") if isinstance(value, Mapping) else {f"{path}{key}": value}
    return flat


def nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by dotted name as tables in tables. Raises ConfigError for a setting inside one that is no table."""
    data: dict[str, Any] = {}
    for name, value in dotted(settings).items():
        *tables, last = name.split(".")
        table = data
        for key in tables:
            table = table.setdefault(key, {})
            if not isinstance(table, dict):
                raise ConfigError(f"{name} is a setting in {key}, which is given another value beside it")
        table[last] = value
    return data
