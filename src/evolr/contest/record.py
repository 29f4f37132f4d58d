"""What the records of a run directory have in common: how they are written, and what JSON has for their numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np

from evolr.schedule import Schedule

VERSION: Final = 1
"""Of the records' form; reading.py reads this one."""


def encoded(record: str, document: Mapping[str, Any]) -> bytes:
    """A record as the text of its file."""
    whole = {"record": record, "version": VERSION, **document}
    return msgspec.json.format(msgspec.json.encode(whole), indent=1) + b"\n"


def number(value: float | None) -> float | None:
    """What JSON has for a number that is not finite: null."""
    return None if value is None or not np.isfinite(value) else float(value)


def schedule_document(schedule: Schedule) -> Any:
    """The schedule as its document, in JSON's terms."""
    return msgspec.json.decode(schedule.to_json())
