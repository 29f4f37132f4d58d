"""Checks that settings share. Each raises ConfigError with the setting's dotted name, what was expected and what came."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from evolr.errors import ConfigError, unknown_name


def each_known(name: str, kind: str, given: Sequence[str], known: Collection[str]) -> None:
    """At least one, each of them known, none twice."""
    if not given:
        raise ConfigError(f"{name} must name at least one {kind}")
    for each in given:
        if each not in known:
            raise ConfigError(unknown_name(kind, each, known))
    if len(set(given)) < len(given):
        raise ConfigError(f"{name} names a {kind} twice: {', '.join(given)}")
