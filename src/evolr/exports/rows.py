"""The table of signals as an exported file holds it: the rows of those that its schedule reads, and no others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from evolr.errors import ScheduleError, shown
from evolr.exports.linking import Replacement
from evolr.signals import Signal, in_order, signal_named

TABLE: Final = ("evolr.signals.table", "SIGNALS")


def rows(names: Iterable[str]) -> dict[tuple[str, str], Replacement]:
    """What stands in the place of the whole table."""
    chosen = [signal_named(name) for name in in_order(names)]
    roots = [place for signal in chosen for place in _places(signal)]
    lines = "\n".join(f"    {signal.name!r}: {_row(signal)},".replace("'", '"', 2) for signal in chosen)
    text = f"SIGNALS = {{\n{lines}\n}}" if chosen else "SIGNALS = {}"
    return {TABLE: Replacement(text, [("evolr.signals.signal", "Signal"), *roots])}


def _places(signal: Signal) -> list[tuple[str, str]]:
    return [_place(function) for function in (signal.first, signal.after, signal.value) if function is not None]


def _place(function: Callable[..., Any]) -> tuple[str, str]:
    """Where a rule's function is defined. Raises ScheduleError for one that is no top-level definition."""
    name = getattr(function, "__qualname__", "")
    if not name.isidentifier():
        raise ScheduleError(
            f"a signal's rule can be exported if it is a function at the top of a module, got {shown(function)}"
        )
    return function.__module__, name


def _row(signal: Signal) -> str:
    names = [_place(function)[1] for function in (signal.first, signal.after)]
    settings = [f"value={_place(signal.value)[1]}"] if signal.value else []
    settings += [f"begins_with={signal.begins_with!r}".replace("'", '"')] if signal.begins_with else []
    settings += [f"{name}=True" for name in ("needs_epochs", "needs_plateau") if getattr(signal, name)]
    parts = [f'"{signal.name}"', '""', f'"{signal.of}"', *names, *settings]
    return "Signal(\n        " + ",\n        ".join(parts) + ",\n    )"
