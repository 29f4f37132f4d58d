"""From nested tables, as TOML gives them, to a configuration; what is not understood is refused by name."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

import msgspec

from evolr.config.search import METHODS, own_settings
from evolr.config.settings import Comparison, Config, Training
from evolr.errors import ConfigError, EvolrError, shortened, unknown_name
from evolr.problems import PROBLEMS
from evolr.training.optimizers import OPTIMIZERS, Optimizer


def from_data(data: Mapping[str, Any]) -> Config:
    """The configuration of nested tables. Raises ConfigError for what is unknown, of the wrong type or out of range."""
    data = cast("Mapping[str, Any]", _plain(data))
    _refuse_unknown("", data, Config.__struct_fields__)
    _refuse_unknown("training.", data.get("training"), Training.__struct_fields__)
    _refuse_unknown("training.optimizer.", _table(data.get("training")).get("optimizer"), Optimizer.__struct_fields__)
    _refuse_unknown("comparison.", data.get("comparison"), Comparison.__struct_fields__)
    if problem := _table(data.get("problem")):
        name = _known("problem", "problem.name", problem.get("name"), PROBLEMS)
        _refuse_unknown("problem.", problem, ("name", *PROBLEMS[name].__struct_fields__))
        for field in msgspec.structs.fields(PROBLEMS[name]):
            if isinstance(field.default, msgspec.Struct):  # a kind of a suite
                _refuse_unknown(
                    f"problem.{field.name}.", problem.get(field.name), ("name", *field.default.__struct_fields__)
                )
    if search := _table(data.get("search")):
        method = _known("method", "search.method", search.get("method"), METHODS)
        _refuse_others(method, search)
        every = (name for struct in METHODS.values() for name in struct.__struct_fields__)
        _refuse_unknown("search.", search, ("method", *dict.fromkeys(every)))
    if (optimizer := _table(_table(data.get("training")).get("optimizer"))).get("name") is not None:
        _known("optimizer", "training.optimizer.name", optimizer["name"], OPTIMIZERS)
    try:
        return msgspec.convert(data, Config)
    except UnicodeEncodeError as error:
        raise ConfigError(
            f"a setting is a text with half of a character, which no file can hold: {error.object!r}"
        ) from error
    except msgspec.ValidationError as error:
        if isinstance(error.__cause__, EvolrError):
            raise ConfigError(str(error.__cause__)) from error
        raise ConfigError(_readable(str(error))) from error


def _plain(value: Any) -> Any:
    """A value whose texts are plain ones: NumPy's, an enumeration's, say, are texts as well, and no file takes them as such."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, Mapping):
        table = cast("Mapping[Any, Any]", value)
        return {_plain(name): _plain(each) for name, each in table.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in cast("Sequence[Any]", value)]
    return value


def _table(value: Any) -> Mapping[str, Any]:
    """A table; an empty one for whatever else stands in its place, which msgspec refuses."""
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def _known(kind: str, setting: str, name: Any, known: Collection[str]) -> str:
    """The name of a problem, method or optimizer that there is."""
    if name is None:
        raise ConfigError(f"{setting} is not given; it is one of {', '.join(known)}")
    if not isinstance(name, str) or name not in known:
        raise ConfigError(f"{setting}: {unknown_name(kind, name, known)}")
    return name


def _refuse_others(method: str, search: Mapping[str, Any]) -> None:
    """Raises ConfigError for a setting of another method than the search's."""
    for other in METHODS:
        for name in own_settings(other) if other != method else ():
            if name in search:
                raise ConfigError(
                    f"search.{name} is a setting of the {other} method, and this search is {method} (search.method): "
                    f"leave it out, or set search.method to {other}"
                )


def _refuse_unknown(path: str, table: Any, known: Sequence[str]) -> None:
    for key in _table(table):
        if key not in known:
            raise ConfigError(unknown_name("setting", f"{path}{key}", [f"{path}{k}" for k in known]))


def _readable(message: str) -> str:
    """Msgspec's «Expected `int`, got `str` - at `$.search.population`» with the setting's name in front."""
    text, _, place = message.partition(" - at ")
    text, place = shortened((text[:1].lower() + text[1:]).replace("`", ""), 300), place.strip("`").removeprefix("$.")
    if text.startswith("invalid enum value") and (choices := _choices(place)):
        text += f"; it is one of {', '.join(map(repr, choices))}"
    return f"{place}: {text}" if place else text


def _choices(place: str) -> list[Any]:
    """What a setting may be that is one of a few texts, by its dotted name."""
    found: list[msgspec.inspect.Type] = [msgspec.inspect.type_info(Config)]
    for name in place.split("."):
        every = [
            each for one in found for each in (one.types if isinstance(one, msgspec.inspect.UnionType) else (one,))
        ]
        structs = [each for each in every if isinstance(each, msgspec.inspect.StructType)]
        found = [field.type for struct in structs for field in struct.fields if field.name == name]
    return list(dict.fromkeys(v for one in found if isinstance(one, msgspec.inspect.LiteralType) for v in one.values))
