"""What must hold of any text and any document; what does not is told as a finding."""

from __future__ import annotations

import ast
import math
import re
import runpy
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import numpy as np
from msgspec.structs import astuple

from evolr.advice import advice, made_up_trace
from evolr.errors import EvolrError, ExpressionError
from evolr.exports.targets import source
from evolr.expression import SIGNALS, Expression, ordinary_text, original_text, parse, scalar
from evolr.formula import family_named, read_schedule
from evolr.schedule import Schedule
from evolr.simplification import simplified
from tests.fuzzing import python_values
from tests.fuzzing.rounding import DOUBLE, bounded

SECONDS = 1.0  # that a text or a document may take with all that is done to it
SHORT_FORM_SECONDS = 10.0  # that a short form may be looked for
LONGEST_MESSAGE = 600  # characters
RELATIVE = 1e-9

_REPEATED = 3  # times, where the first took long
_QUOTED = 2_000  # characters of a document
_TRACE = made_up_trace(3, 7)
_WHOLE = frozenset({"epoch", "step", "stale_epochs", "plateaus", "total_steps", "total_epochs"})


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault. what: its kind. of: the text or document, as Python writes it. detail: what came, and what was right."""

    what: str
    of: str
    detail: str


@dataclass(slots=True)
class Checked:
    """What became of one text or document.

    outcome: "read", or the kind of the message that refused it. seconds: for all of it but Python's own.
    expression: what was read. compared: the values compared with Python's own.
    """

    outcome: str = ""
    seconds: float = 0.0
    expression: Expression | None = None
    compared: int = 0
    findings: list[Finding] = field(default_factory=list)


def points(rng: Random, count: int) -> list[dict[str, float]]:
    """Values of all signals, exact in float32; whole numbers where a training shows whole numbers."""
    found: list[dict[str, float]] = []
    for _ in range(count):
        steps, epochs = rng.choice((10, 40, 100)), rng.choice((5, 10, 30))
        step = rng.randrange(steps * epochs)
        point: dict[str, float] = {
            "step": step, "epoch": step // steps, "total_steps": steps * epochs, "total_epochs": epochs,
            "progress": step / (steps * epochs), "epoch_progress": step % steps / steps, "stale_epochs": rng.randrange(7),
            "loss": rng.expovariate(1), "val_loss": rng.expovariate(1), "loss_ema": rng.expovariate(1),
            "lr": 10 ** rng.uniform(-5, 0), "plateaus": rng.randrange(4),
        }  # fmt: skip
        if rng.random() < 0.25:
            point["loss"] = -point["loss"]
        point |= {name: rng.expovariate(1) for name in SIGNALS if name not in point}
        found.append({n: v if n in _WHOLE else float(np.float32(v)) for n, v in point.items()})
    return found


def extremes(rng: Random, count: int) -> list[dict[str, float]]:
    """Values of all signals that no training should show, and some may."""
    values = (0.0, -0.0, 1.0, -1.0, 0.5, 1e16, 1e308, -1e308, 5e-324, math.inf, -math.inf, math.nan)
    return [{name: rng.choice(values) for name in SIGNALS} for _ in range(count)]


def check_text(text: str, at: Sequence[Mapping[str, float]], beyond: Sequence[Mapping[str, float]] = ()) -> Checked:
    """Everything that must hold of one text; its values are compared at some points.

    beyond: points at which Python's own values are not asked for.
    """
    checked = timed(lambda: _checked_text(text, [*at, *beyond]), text)
    if checked.expression is not None:
        _compare_with_python(checked, text, at)
    return checked


def timed(check: Callable[[], Checked], of: str | bytes) -> Checked:
    """A check with its time. What seems slow is done again: something else may have been at work."""
    begin = time.perf_counter()
    checked = check()
    checked.seconds = time.perf_counter() - begin
    for _ in range(_REPEATED if checked.seconds > SECONDS / 4 else 0):
        begin = time.perf_counter()
        check()
        checked.seconds = min(checked.seconds, time.perf_counter() - begin)
    if checked.seconds > SECONDS:
        checked.findings.append(Finding("slow", repr(of[:_QUOTED]), f"{checked.seconds:.2f} s"))
    return checked


def _checked_text(text: str, at: Sequence[Mapping[str, float]]) -> Checked:
    checked = Checked()
    try:
        checked.expression = parse(text)
    except ExpressionError as error:
        checked.outcome = kind(error.problem)
        checked.findings += _message_findings(error, text) + _as_a_person_gives_it(text)
    except Exception as error:
        checked.outcome = "an exception"
        checked.findings.append(Finding("an exception outside evolr's tree", repr(text), repr(error)))
    else:
        checked.outcome = "read"
        if family_named(text):
            checked.findings.append(Finding("a formula is taken for a family", repr(text), ""))
        try:
            checked.findings += _round_trip(checked.expression, text) + _values(checked.expression, text, at)
        except Exception as error:
            checked.findings.append(Finding("a formula that is read raises", repr(text), repr(error)))
    return checked


def kind(message: str) -> str:
    """A message without what it quotes and counts."""
    first, *_ = message.split("\n", 1)
    return re.sub(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[\d,]*\d", "…", first)[:60]


def _message_findings(error: ExpressionError, text: str) -> list[Finding]:
    found: list[Finding] = []
    if error.column is not None and not 1 <= error.column <= len(text) + 1:
        found.append(Finding("a column outside the text", repr(text), str(error.column)))
    if len(str(error)) > LONGEST_MESSAGE:
        found.append(Finding("a long message", repr(text), f"{len(str(error))} characters"))
    return found


def _as_a_person_gives_it(text: str) -> list[Finding]:
    """A text that is no formula is refused where a person gives it, too, if it is no family's name."""
    try:
        read_schedule(text)
    except ExpressionError as error:
        return _message_findings(error, text)
    except Exception as error:
        return [Finding("an exception outside evolr's tree", repr(text), repr(error))]
    is_name = text.strip()[:1].isalpha() and not set(text) & set("*/%^<>=!,.·×÷")
    return [] if is_name else [Finding("a family is read of what is not its name", repr(text), "")]


def _round_trip(expression: Expression, text: str) -> list[Finding]:
    found: list[Finding] = []
    for write in (ordinary_text, original_text):
        written = write(expression)
        try:
            again = parse(written)
        except ExpressionError as error:
            found.append(Finding(f"{write.__name__} is refused", repr(text), f"{written!r}: {error.problem}"))
            continue
        if again != expression or repr(again.tokens) != repr(expression.tokens):  # −0.0 is not 0.0
            found.append(Finding(f"{write.__name__} is read as another formula", repr(text), written))
        elif write(again) != written:
            found.append(Finding(f"{write.__name__} changes when written again", repr(text), written))
    return found + _document_round_trip(Schedule(expression=expression), text)


def _document_round_trip(schedule: Schedule, of: str | bytes) -> list[Finding]:
    document = schedule.to_json()
    again = Schedule.from_json(document)
    same = repr(astuple(again)) == repr(astuple(schedule)) and again.to_json() == document  # −0.0 is not 0.0
    return [] if same else [Finding("a document is another schedule", repr(of), document.decode())]


def _values(expression: Expression, text: str, at: Sequence[Mapping[str, float]]) -> list[Finding]:
    found: list[Finding] = []
    schedule = Schedule(expression=expression)
    own = dict.fromkeys(expression.signals.difference(*at[:1]), 0.5)  # signals of one's own, that no point has
    at = [{**point, **own} for point in at]
    columns = {name: np.array([point[name] for point in at], np.float64) for name in expression.signals}
    reference, rates = np.broadcast_to(expression(columns), len(at)), np.broadcast_to(schedule(**columns), len(at))
    for i, point in enumerate(at):
        value, rate = scalar.value(expression, {n: float(point[n]) for n in expression.signals}), schedule.at(**point)
        if _agree(value, float(reference[i])) and _agree(rate, float(rates[i])):
            continue
        _, error = bounded(expression, point, DOUBLE)
        if not abs(value - reference[i]) <= error:
            detail = f"at {point}: {value!r}, the reference {float(reference[i])!r}; learning rates {rate!r}, {float(rates[i])!r}"
            found.append(Finding("a value that is not the reference's", repr(text), detail))
            break
    return found


def _agree(value: float, expected: float) -> bool:
    return math.isclose(value, expected, rel_tol=RELATIVE) or (math.isnan(value) and math.isnan(expected))


def _compare_with_python(checked: Checked, text: str, at: Sequence[Mapping[str, float]]) -> None:
    """Holds a text that Python reads too to Python's value, at each point where it has one that can be compared."""
    assert checked.expression is not None
    try:
        tree = python_values.tree(text)
        for point in at:
            try:
                expected = python_values.value(tree, point)
            except python_values.LeftOutError:
                continue
            checked.compared += 1
            value = scalar.value(checked.expression, {n: float(point[n]) for n in checked.expression.signals})
            if not math.isclose(value, expected, rel_tol=RELATIVE, abs_tol=1e-300):
                detail = f"at {point}: {value!r}, Python {expected!r}"
                checked.findings.append(Finding("a value that is not Python's", repr(text), detail))
                return
    except python_values.NotPythonError:
        return


def check_document(document: bytes | str) -> Checked:
    """Everything that must hold of one document."""
    return timed(lambda: _checked_document(document), document)


def _checked_document(document: bytes | str) -> Checked:
    checked = Checked()
    quoted = repr(document[:_QUOTED])
    try:
        schedule = Schedule.from_json(document)
        Schedule.provenance(document)
        checked.outcome = "read"
        checked.findings += _document_round_trip(schedule, document)
        schedule.at(**dict.fromkeys(SIGNALS, 0.5))
    except EvolrError as error:
        if checked.outcome == "read":
            checked.findings.append(Finding("a document that is read raises", quoted, repr(error)))
        checked.outcome = checked.outcome or kind(str(error))
        if len(str(error)) > LONGEST_MESSAGE:
            checked.findings.append(Finding("a long message", quoted, f"{len(str(error))} characters"))
    except Exception as error:
        checked.outcome = "an exception"
        checked.findings.append(Finding("an exception outside evolr's tree", quoted, repr(error)))
    return checked


def check_short_form(schedule: Schedule) -> list[Finding]:
    """The learning rate in short is read back, soon."""
    written = original_text(schedule.expression)
    begin = time.perf_counter()
    try:
        short = simplified(schedule)
        again = parse(short.text)
        if repr(again.tokens) != repr(short.expression.tokens):
            return [Finding("a short form is read as another formula", written, short.text)]
        if not short.latex:
            return [Finding("a short form without LaTeX", written, short.text)]
    except Exception as error:
        return [Finding("a short form raises", written, f"{schedule.transform}: {error!r}")]
    seconds = time.perf_counter() - begin
    return [Finding("a short form is slow", written, f"{seconds:.1f} s")] if seconds > SHORT_FORM_SECONDS else []


def check_export(expression: Expression, at: Sequence[Mapping[str, float]], folder: Path) -> list[Finding]:
    """The exported Python file runs and says the same learning rates; the one for JAX is Python; advice can be given."""
    schedule, written = Schedule(expression=expression), original_text(expression)
    path = folder / "exported.py"
    try:
        ast.parse(source(schedule, "optax"))
        advice(schedule, _TRACE)
        path.write_text(source(schedule, "python"), encoding="utf-8")
        learning_rate = runpy.run_path(str(path))["learning_rate"]
        for point in at:
            given = {name: float(point[name]) for name in schedule.signals}
            if not _agree(learning_rate(**given), schedule.at(**given)):
                detail = f"at {given}: {learning_rate(**given)!r}, not {schedule.at(**given)!r}"
                return [Finding("an export that says another learning rate", written, detail)]
    except Exception as error:
        return [Finding("an export that does not run", written, repr(error))]
    return []
