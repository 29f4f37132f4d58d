"""Settings by dotted name, `search.population`, and as tables in tables, as TOML has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from evolr.errors import ConfigError, shown

_DEEPEST: Final = 20
"""Tables in tables; those of a configuration are four deep."""


def require_shallow(table: Any) -> None:
    """Raises ConfigError for tables in tables beyond all that settings are, so that whoever goes through them may recurse."""
    level = [table]
    for _ in range(_DEEPEST):
        level = [value for each in level if isinstance(each, Mapping) for value in each.values()]
    if any(isinstance(each, Mapping) for each in level):
        raise ConfigError(f"settings are tables in tables, at most {_DEEPEST} deep; got deeper ones")


def dotted(table: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as tables in tables, by dotted name alone; names that are dotted already may be among them.

    Raises ConfigError for what is no mapping by names, and for tables that are too deep.
    """
    require_shallow(table)
    return _flat(table, "")


def _flat(table: Mapping[str, Any], path: str) -> dict[str, Any]:
    if not isinstance(cast("Any", table), Mapping):
        raise ConfigError(f"settings must map dotted names to values, got {shown(table)}")
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if not isinstance(cast("Any", key), str):
            raise ConfigError(f"a setting is named by a text, such as search.population, got {shown(key)}")
        is_table = isinstance(value, Mapping) and len(cast("Any", value)) > 0
        flat |= _flat(cast("Any", value), f"{path}{key}.") if is_table else {f"{path}{key}": value}
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
        if isinstance(value, Mapping):  # an empty table: of settings, or in the place of one, which is refused as such
            table.setdefault(last, {})
        else:
            table[last] = value
    return data
