"""What a schedule sees: the signals, each defined once."""

from evolr.signals.memory import begun, clock, observed, remembered, updated, values
from evolr.signals.signal import FLOATS, Example, Moment, Observation, Operations, Signal
from evolr.signals.table import (
    CLOCK,
    CORE_SIGNALS,
    OBSERVATIONS,
    POWERS,
    SIGNALS,
    in_order,
    made_up,
    observation_named,
    own_signal,
    signal_named,
)

__all__ = [
    "CLOCK",
    "CORE_SIGNALS",
    "FLOATS",
    "OBSERVATIONS",
    "POWERS",
    "SIGNALS",
    "Example",
    "Moment",
    "Observation",
    "Operations",
    "Signal",
    "begun",
    "clock",
    "in_order",
    "made_up",
    "observation_named",
    "observed",
    "own_signal",
    "remembered",
    "signal_named",
    "updated",
    "values",
]
