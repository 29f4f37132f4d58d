"""What a learning rate does, in one generated sentence: its phases along a training, and how it answers to its signals.

Nothing is said that is not computed. A change below a twentieth of the greatest learning rate, and to no fraction of itself, is none; a signal is said to raise or
lower the learning rate only if it does so, or nothing, at every point that was tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evolr.contest.verdict import listed
from evolr.schedule import Schedule
from evolr.signal_bank import Span, signal_bank, spans_of
from evolr.signals import in_order, signal_named

_LEVEL: Final = 0.05  # of the greatest learning rate: a change below it is none
_TIMES: Final = 1.5  # greatest ÷ least of a stretch: from that on, it is a change however small both are
_NOTHING: Final = 0.005  # of the greatest learning rate: what is below it is «nearly 0»
_SPAN: Final = 0.1  # of a training, over which a curve that goes up and down is averaged
_MOST_PHASES: Final = 5  # that are told one by one
_FACTORS: Final = (0.5, 0.8, 1.25, 2.0)  # by which a signal is moved, alone
_ROUNDING: Final = 1e-9  # relative: no reaction

Move = Literal["rise", "stay", "fall"]
Answer = Literal["higher", "lower", "both", "none"]


class Phase(NamedTuple):
    """A stretch of a training. start, end: shares of it, from 0 to 1; first, last: learning rates there."""

    move: Move
    start: float
    end: float
    first: float
    last: float


def phases(places: NDArray[np.float64], rates: NDArray[np.float64]) -> list[Phase]:
    """The phases of a curve. places: (n,), shares of the training, ascending; rates: (n,), finite."""
    greatest = float(rates.max(initial=0.0))
    if greatest <= 0 or len(rates) < 2:
        return [Phase("stay", float(places[0]), float(places[-1]), float(rates[0]), float(rates[-1]))]
    corners = _corners(places, rates / greatest)
    found: list[Phase] = []
    for start, end in pairwise(corners):
        change = (rates[end] - rates[start]) / greatest
        move: Move = "stay" if abs(change) < _LEVEL else "rise" if change > 0 else "fall"
        first, last = float(rates[start]), float(rates[end])
        if found and found[-1].move == move:
            found[-1] = found[-1]._replace(end=float(places[end]), last=last)
        else:
            found.append(Phase(move, float(places[start]), float(places[end]), first, last))
    return _steady(found, greatest)


def _corners(places: NDArray[np.float64], heights: NDArray[np.float64]) -> list[int]:
    """The places at which a line of few pieces has its corners: no point is further than a level from it (Douglas and Peucker 1973)."""
    kept, pending = {0, len(places) - 1}, [(0, len(places) - 1)]
    while pending:
        start, end = pending.pop()
        if end - start < 2:
            continue
        line = np.interp(places[start : end + 1], places[[start, end]], heights[[start, end]])
        away = np.abs(heights[start : end + 1] - line)
        furthest = int(away.argmax())
        if away[furthest] >= _LEVEL:
            kept.add(start + furthest)
            pending += [(start, start + furthest), (start + furthest, end)]
    return sorted(kept)


def _steady(found: list[Phase], greatest: float) -> list[Phase]:
    """Phases of which neighbours differ: a stay that drifts, beyond a level or to a fraction of itself, is a move, and like moves are one."""
    merged: list[Phase] = []
    for phase in found:
        change = (phase.last - phase.first) / greatest
        move: Move = phase.move
        least, most = sorted((phase.first, phase.last))
        is_many_times = most >= _NOTHING * greatest and most > _TIMES * least
        if move == "stay" and (abs(change) >= _LEVEL or is_many_times):
            move = "rise" if change > 0 else "fall"
        if merged and merged[-1].move == move:
            merged[-1] = merged[-1]._replace(end=phase.end, last=phase.last)
        else:
            merged.append(phase._replace(move=move))
    return merged


def course_text(places: NDArray[np.float64], rates: NDArray[np.float64]) -> str:
    """What a curve does along a training, in words, without a subject: «rises from … to … in the first 12 %, …»."""
    greatest = float(rates.max(initial=0.0))
    if greatest <= 0:
        return "is 0 for the whole training"
    found = phases(places, rates)
    if len(found) <= _MOST_PHASES:
        return _phases_text(found, greatest)
    inner, even = _averaged(places, rates)
    found = phases(inner, even) if len(inner) > 1 else found
    spread = f"between {_rate(float(rates.min()), greatest)} and {_rate(greatest, greatest)}"
    if len(found) <= _MOST_PHASES:
        return f"{_phases_text(found, float(even.max()))} on the average over a tenth of the training, going up and down {spread}"
    begin, end = (_rate(float(rates[place]), greatest) for place in (0, -1))
    return f"goes up and down {spread}; it begins at {begin} and ends at {end}"


def _averaged(
    places: NDArray[np.float64], rates: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The means over a tenth of the training, and where they are: around each place that has so much of it on both sides."""
    half = _SPAN / 2
    inner = places[(places >= places[0] + half) & (places <= places[-1] - half)]
    return inner, np.array([rates[np.abs(places - place) <= half].mean() for place in inner])


def _phases_text(found: Sequence[Phase], greatest: float) -> str:
    last = len(found) - 1
    return _joined([_phase_text(phase, place == 0, place == last, greatest) for place, phase in enumerate(found)])


def _phase_text(phase: Phase, is_first: bool, is_last: bool, greatest: float) -> str:
    first, to = _rate(phase.first, greatest), _rate(phase.last, greatest)
    until = "the end" if is_last else f"{100 * phase.end:.{0 if phase.end >= 0.01 else 1}f} %"
    if phase.move == "stay":
        if is_first:
            return f"stays near {first} " + ("for the whole training" if is_last else f"until {until}")
        return f"stays there until {until}"
    verb = "rises" if phase.move == "rise" else "falls"
    if not is_first:
        return f"{verb} to {to} at {until}"
    if is_last:
        return f"{verb} from {first} to {to} over the whole training"
    if phase.move == "rise":
        return f"warms up from {first} to {to} in the first {until}"
    return f"falls from {first} to {to} at {until}"


def _rate(rate: float, greatest: float) -> str:
    return "nearly 0" if rate < _NOTHING * greatest else f"{rate:.2g}"


def _joined(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])}, and {parts[-1]}"


# --- how it answers to its signals --------------------------------------------------------------------------------------


def answers(schedule: Schedule, own: Sequence[Span] = ()) -> dict[str, Answer]:
    """How the learning rate answers to each live signal that the formula reads, moved alone at the points of the signal bank.

    own: the signals of the user's own, and between which values they lie; from 0 to 1, where that is not said.
    """
    spans = {span[0]: span for span in (*spans_of(schedule.signals), *own)}
    bank = dict(signal_bank(tuple(sorted(spans.values()))))
    found: dict[str, Answer] = {}
    base = schedule(**bank)
    for name in in_order(schedule.signals):
        if not signal_named(name).live:
            continue
        changes: list[NDArray[np.float64]] = []
        for factor in _FACTORS:
            moved = schedule(**{**bank, name: bank[name] * factor})
            direction = np.sign(factor - 1.0) * np.sign(bank[name])
            change = np.where(np.abs(moved - base) > _ROUNDING * np.maximum(base, moved), moved - base, 0.0)
            changes.append(np.sign(change) * direction)
        signs = np.concatenate([np.broadcast_to(change, base.shape).ravel() for change in changes])
        up, down = bool((signs > 0).any()), bool((signs < 0).any())
        found[name] = "both" if up and down else "higher" if up else "lower" if down else "none"
    return found


def answers_text(found: dict[str, Answer]) -> str:
    """What the answers say, as the rest of a sentence; empty without any."""
    groups = {
        kind: [name for name, answer in found.items() if answer == kind] for kind in ("higher", "lower", "both", "none")
    }
    said = [
        *([f"is higher where {listed(groups['higher'])} {_is(groups['higher'])} higher"] if groups["higher"] else []),
        *([f"is lower where {listed(groups['lower'])} {_is(groups['lower'])} higher"] if groups["lower"] else []),
        *([f"answers to {listed(groups['both'])} now one way, now the other"] if groups["both"] else []),
        *([f"does not move with {listed(groups['none'])} at any point that was tried"] if groups["none"] else []),
    ]
    return _joined(said) if said else ""


def _is(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"
