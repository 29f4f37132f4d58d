"""Texts, documents and exports by the million: whatever comes is read exactly, or refused in words, at once.

Of each formula that is read: both notations and the document read back to the same formula; its values are the reference's, and,
where Python reads the text too, Python's own. Of one in a hundred, the exported file and the packed interpreter in float32 as well.
python: formulas written to be valid in both languages, whose values are compared. Of each record that is read: what shows it lets
nothing through. Of each export: what its provenance says is in the docstring alone. What is mutated how, and what is checked, is in
tests/fuzzing/. The same seed gives the same inputs, whatever the number of workers.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import count, islice, zip_longest
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any

from evolr.expression import Expression
from evolr.expression.text import MAX_NESTING, MAX_NODES
from evolr.schedule import Schedule
from tests.fuzzing import documents, files, python_values, texts
from tests.fuzzing.checks import (
    Checked,
    Finding,
    check_document,
    check_short_form,
    check_text,
    extremes,
    points,
)
from tests.fuzzing.checks import check_export as check_values_of_export
from tests.fuzzing.file_checks import check_configuration, check_export, check_record

CHUNK = 50
POINTS, EXTREMES = 3, 2
ONE_IN = 100  # of the texts that are read, for the checks that cost milliseconds
KINDS = 40  # of refusals, in the document
KEPT = 200  # findings of a kind


@dataclass
class Tally:
    """What was found in some inputs. sampled: formulas for the check in float32."""

    count: int = 0
    read: int = 0
    python_formulas: int = 0
    python_values: int = 0
    exported: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    slowest: tuple[float, str] = (0.0, "")
    findings: list[Finding] = field(default_factory=list)
    sampled: list[Expression] = field(default_factory=list)

    def take(self, checked: Checked, of: str | bytes) -> None:
        self.count += 1
        self.read += checked.outcome == "read"
        self.outcomes[checked.outcome] += 1
        self.python_formulas += checked.compared > 0
        self.python_values += checked.compared
        if checked.seconds > self.slowest[0]:
            self.slowest = checked.seconds, repr(of[:1_000])
        self.findings += checked.findings

    def add(self, other: Tally) -> None:
        self.count += other.count
        self.read += other.read
        self.python_formulas += other.python_formulas
        self.python_values += other.python_values
        self.exported += other.exported
        self.outcomes += other.outcomes
        self.slowest = max(self.slowest, other.slowest)
        self.findings += other.findings
        self.sampled += other.sampled


Take = Callable[[Random, Path, Tally], None]
"""Makes an input, checks it, and counts it."""


def _texts(write: Callable[[Random], str]) -> Callable[[Random], Take]:
    """Formulas; those of one chunk are compared at the same points."""

    def chunk(rng: Random) -> Take:
        at, beyond = points(rng, POINTS), extremes(rng, EXTREMES)

        def take(rng: Random, folder: Path, tally: Tally) -> None:
            text = write(rng)
            checked = check_text(text, at, beyond)
            tally.take(checked, text)
            if checked.expression is not None and rng.randrange(ONE_IN) == 0:
                tally.exported += 1
                tally.findings += check_values_of_export(checked.expression, at, folder)
                tally.findings += check_short_form(_scheduled(rng, checked.expression))
                tally.sampled.append(checked.expression)

        return take

    return chunk


def _scheduled(rng: Random, expression: Expression) -> Schedule:
    """Of either transform; linear if the formula has no room for the exponential that says the other one."""
    has_room = expression.size <= MAX_NODES - 3 and expression.depth <= MAX_NESTING - 1
    return Schedule(expression=expression, transform="log" if has_room and rng.random() < 0.5 else "linear")


def _of_both_languages(rng: Random) -> str:
    return python_values.formula(rng, rng.randint(1, 5))


def _document(rng: Random, _: Path, tally: Tally) -> None:
    document = documents.document(rng)
    tally.take(check_document(document), document)


def _record(rng: Random, folder: Path, tally: Tally) -> None:
    kind, document = files.record(rng)
    tally.take(check_record(kind, document, folder), document)


def _configuration(rng: Random, folder: Path, tally: Tally) -> None:
    document = files.configuration(rng)
    tally.take(check_configuration(document, folder), document)


def _export(rng: Random, _: Path, tally: Tally) -> None:
    schedule, target, provenance = files.export(rng)
    tally.take(check_export(schedule, target, provenance), f"{target}: {schedule.expression}, {provenance!r}")


KINDS_OF_INPUTS: dict[str, tuple[int, Callable[[Random], Take]]] = {
    "texts": (1_000_000, _texts(texts.text)),
    "python": (150_000, _texts(_of_both_languages)),
    "documents": (60_000, lambda _: _document),
    "records": (20_000, lambda _: _record),
    "configurations": (20_000, lambda _: _configuration),
    "exports": (5_000, lambda _: _export),
}
"""How many there are at full scale, and what makes and checks those of a chunk."""

Job = tuple[str, str, int]


def _chunk(job: Job) -> tuple[str, Tally]:
    kind, seed, size = job
    rng, tally = Random(seed), Tally()
    take = KINDS_OF_INPUTS[kind][1](rng)
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(size):
            take(rng, Path(folder), tally)
    return kind, tally


def _jobs(kind: str, seed: int, wanted: int | None) -> Iterator[Job]:
    for start in count(0, CHUNK) if wanted is None else range(0, wanted, CHUNK):
        yield kind, f"{seed} {kind} {start}", CHUNK if wanted is None else min(CHUNK, wanted - start)


def _in_turn(kinds: list[str], seed: int, scale: float | None) -> Iterator[Job]:
    """A chunk of each kind, again and again; without end if there is no scale."""
    wanted = {kind: None if scale is None else max(1, int(scale * KINDS_OF_INPUTS[kind][0])) for kind in kinds}
    for jobs in zip_longest(*(_jobs(kind, seed, number) for kind, number in wanted.items())):
        yield from (job for job in jobs if job is not None)


def attack(
    kinds: list[str], seed: int, workers: int, scale: float | None, seconds: float | None = None
) -> dict[str, Tally]:
    """The tallies of some kinds, by processes; added in the order of the chunks, so that a seed and a scale have one result.

    seconds: after which no further chunk is begun.
    """
    tallies = {kind: Tally() for kind in kinds}
    jobs = _in_turn(kinds, seed, scale)
    begin = time.perf_counter()
    with ProcessPoolExecutor(workers, mp_context=get_context("fork")) as pool:
        while batch := list(islice(jobs, workers if seconds else 16 * workers)):
            for kind, tally in pool.map(_chunk, batch):
                tallies[kind].add(tally)
            taken = time.perf_counter() - begin
            inputs = sum(tally.count for tally in tallies.values())
            found = sum(len(tally.findings) for tally in tallies.values())
            print(f"\r{inputs:>9,} in {taken:4.0f} s, {found} findings", end="", file=sys.stderr, flush=True)
            if seconds is not None and taken > seconds:
                break
    print(file=sys.stderr)
    return tallies


def in_single(tallies: dict[str, Tally], seed: int) -> dict[str, int]:
    """Compares the formulas that were sampled in float32; what differs is added to the findings of the texts.

    In a process of its own: one that has used JAX cannot be forked any more, as other parts do.
    """
    from tests.fuzzing.single import check_single

    sampled = [expression for tally in tallies.values() for expression in tally.sampled]
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        compared, differing = pool.submit(check_single, sampled, points(Random(f"{seed} float32"), POINTS)).result()
    next(iter(tallies.values())).findings += differing
    return {"formulas": len(sampled), "values_compared": compared}


def summary(tally: Tally) -> dict[str, Any]:
    refused = {name: number for name, number in tally.outcomes.most_common() if name != "read"}
    found = Counter(finding.what for finding in tally.findings)
    shortest = sorted(tally.findings, key=lambda finding: len(finding.of))
    kept = [f for what in found for f in [f for f in shortest if f.what == what][:KEPT]]
    numbers: dict[str, Any] = {
        "count": tally.count,
        "read": tally.read,
        "refused": tally.count - tally.read,
        "kinds_of_refusal": len(refused),
        "commonest_refusals": dict(list(refused.items())[:KINDS]),
        "slowest": {"seconds": round(tally.slowest[0], 4), "of": tally.slowest[1]},
        "found": dict(found),
        "findings": [asdict(finding) for finding in kept],
    }
    if tally.exported:
        python = {"formulas": tally.python_formulas, "values": tally.python_values}
        numbers |= {"compared_with_python": python, "exports_run": tally.exported}
    return numbers
