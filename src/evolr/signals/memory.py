"""What a training remembers for its schedule: the memories of the signals that it reads, on any back end.

    memory = begun(signals, told)                      before the first step
    memory = updated(memory, told, Moment(steps=1))    after each step, and each validation

A memory is a dict by the signals' names, so that JAX carries it as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from evolr.signals.signal import FLOATS, Moment, Operations, Told
from evolr.signals.table import SIGNALS, in_order, signal_named


def remembered(signals: Iterable[str]) -> list[str]:
    """The signals that have a memory, in the table's order: all but the clock's, which follow from the step."""
    return [name for name in in_order(signals) if signal_named(name).live]


def observed(signals: Iterable[str]) -> frozenset[str]:
    """The observations that signals are made of, those that their first values need among them."""
    rows = [signal_named(name) for name in remembered(signals)]
    return frozenset(name for row in rows for name in (row.of, row.begins_with) if name is not None)


def begun(signals: Iterable[str], told: Told) -> dict[str, Any]:
    """The memories before the first step. told: what `begins_with` of each names."""
    rows = [signal_named(name) for name in remembered(signals)]
    return {row.name: row.first(None if row.begins_with is None else told[row.begins_with]) for row in rows}


def changed(memory: Told, told: Told, moment: Moment, ops: Operations = FLOATS) -> dict[str, Any]:
    """The memories, after some observations were told, of the signals that are made of them."""
    rows = [row for row in map(signal_named, memory) if row.of in told]
    return {row.name: row.after(memory[row.name], told[row.of], moment, ops) for row in rows}


def updated(memory: Told, told: Told, moment: Moment, ops: Operations = FLOATS) -> dict[str, Any]:
    """All memories after some observations were told; a signal of which none was stays as it is."""
    return {**memory, **changed(memory, told, moment, ops)}


def values(memory: Told) -> dict[str, Any]:
    """What a schedule reads of the memories, by signal."""
    found: dict[str, Any] = {}
    for name, held in memory.items():
        value = signal_named(name).value
        found[name] = held if value is None else value(held)
    return found


MOST_RATES: Final = 100_000_000
"""Steps of a table of learning rates: what is computed of them takes some gigabytes."""


def clock(step: Any, total_steps: Any, steps_per_epoch: Any) -> dict[str, Any]:
    """The signals of the clock at a step: of whole numbers, or of arrays of them in NumPy or JAX.

    Each is one division at most of whole numbers, so that a quotient such as 3/10 is the nearest float to it.
    """
    return {
        name: signal.first(step, total_steps, steps_per_epoch) for name, signal in SIGNALS.items() if not signal.live
    }
