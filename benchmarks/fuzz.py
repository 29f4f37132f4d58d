"""Mutated formulas and schedule documents by the million: whatever comes is read exactly, or refused in words, at once.

    python benchmarks/fuzz.py [--texts N] [--documents N] [--python N] [--seed S] [--workers W]

Of each text that is read: both notations and the document read back to the same formula; its values are the reference's,
and, where Python reads the text too, Python's own. Of one in a hundred, the exported file and the packed interpreter in
float32 as well. --python: formulas written to be valid in both languages, whose values are compared. What is mutated how,
and what is checked, is in tests/fuzzing/. The same seed gives the same texts, whatever the number of workers.

Prints what it found, writes benchmarks/results/fuzz.json, and exits with 1 at any finding.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from evolr.expression import LANGUAGE_VERSION, Expression
from evolr.expression.text import MAX_NESTING, MAX_NODES
from evolr.schedule import Schedule
from tests.fuzzing import documents, python_values, texts
from tests.fuzzing.checks import (
    Checked,
    Finding,
    check_document,
    check_export,
    check_short_form,
    check_text,
    extremes,
    points,
)

RESULTS = ROOT / "benchmarks" / "results" / "fuzz.json"
CHUNK = 1_000
POINTS, EXTREMES = 3, 2
ONE_IN = 100  # of the texts that are read, for the checks that cost milliseconds
KINDS = 40  # of refusals, in the document
KEPT = 200  # findings of a kind


@dataclass
class Tally:
    """What was found in some texts or documents. sampled: formulas for the check in float32."""

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


def _texts(seed: str, count: int, write: Callable[[Random], str]) -> Tally:
    """A chunk of texts; those of one chunk are compared at the same points."""
    rng, tally = Random(seed), Tally()
    at, beyond = points(rng, POINTS), extremes(rng, EXTREMES)
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(count):
            text = write(rng)
            checked = check_text(text, at, beyond)
            tally.take(checked, text)
            if checked.expression is not None and rng.randrange(ONE_IN) == 0:
                tally.exported += 1
                tally.findings += check_export(checked.expression, at, Path(folder))
                tally.findings += check_short_form(_scheduled(rng, checked.expression))
                tally.sampled.append(checked.expression)
    return tally


def _scheduled(rng: Random, expression: Expression) -> Schedule:
    """Of either transform; linear if the formula has no room for the exponential that says the other one."""
    has_room = expression.size <= MAX_NODES - 3 and expression.depth <= MAX_NESTING - 1
    return Schedule(expression=expression, transform="log" if has_room and rng.random() < 0.5 else "linear")


def _mutated(rng: Random) -> str:
    return texts.text(rng)


def _of_both_languages(rng: Random) -> str:
    return python_values.formula(rng, rng.randint(1, 5))


def _chunk(job: tuple[str, str, int]) -> tuple[str, Tally]:
    kind, seed, count = job
    if kind == "documents":
        rng, tally = Random(seed), Tally()
        for _ in range(count):
            document = documents.document(rng)
            tally.take(check_document(document), document)
        return kind, tally
    return kind, _texts(seed, count, _mutated if kind == "texts" else _of_both_languages)


def jobs(wanted: dict[str, int], seed: int) -> Iterator[tuple[str, str, int]]:
    for kind, count in wanted.items():
        for start in range(0, count, CHUNK):
            yield kind, f"{seed} {kind} {start}", min(CHUNK, count - start)


def run(wanted: dict[str, int], seed: int, workers: int) -> dict[str, Tally]:
    """The tallies of all kinds, by processes; chunks are added in their order, so that a seed has one result."""
    tallies = {kind: Tally() for kind in wanted}
    all_jobs = list(jobs(wanted, seed))
    begin = time.perf_counter()
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for done, (kind, tally) in enumerate(pool.map(_chunk, all_jobs), start=1):
            tallies[kind].add(tally)
            if done % 50 == 0 or done == len(all_jobs):
                count = sum(t.count for t in tallies.values())
                found = sum(len(t.findings) for t in tallies.values())
                print(
                    f"{count:>9,} in {time.perf_counter() - begin:4.0f} s, {found} findings",
                    file=sys.stderr,
                    flush=True,
                )
    return tallies


def summary(kind: str, tally: Tally) -> dict[str, Any]:
    refused = {name: count for name, count in tally.outcomes.most_common() if name != "read"}
    numbers: dict[str, Any] = {
        "count": tally.count,
        "read": tally.read,
        "refused": tally.count - tally.read,
        "kinds_of_refusal": len(refused),
        "commonest_refusals": dict(list(refused.items())[:KINDS]),
        "slowest": {"seconds": round(tally.slowest[0], 4), "of": tally.slowest[1]},
    }
    if kind != "documents":
        python = {"formulas": tally.python_formulas, "values": tally.python_values}
        numbers |= {"compared_with_python": python, "exports_run": tally.exported}
    return numbers


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Mutated formulas and documents.")
    parser.add_argument("--texts", type=int, default=1_000_000)
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--python", type=int, default=150_000, help="formulas that Python reads too")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    return parser.parse_args()


def main() -> int:
    given = arguments()
    wanted = {"texts": given.texts, "documents": given.documents, "python": given.python}
    begin = time.perf_counter()
    tallies = run(wanted, given.seed, given.workers)

    from tests.fuzzing.single import check_single

    sampled = [expression for tally in tallies.values() for expression in tally.sampled]
    compared, differing = check_single(sampled, points(Random(f"{given.seed} float32"), POINTS))
    findings = [*(finding for tally in tallies.values() for finding in tally.findings), *differing]
    kinds = Counter(finding.what for finding in findings)
    shortest = sorted(findings, key=lambda finding: len(finding.of))
    kept = [f for what in kinds for f in [f for f in shortest if f.what == what][:KEPT]]
    document = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {"cores": os.cpu_count(), "processor": processor(), "system": platform.system()},
        "versions": {
            "python": platform.python_version(),
            "language": LANGUAGE_VERSION,
            **{name: version(name) for name in ("evolr", "numpy", "jax", "msgspec")},
        },
        "seed": given.seed,
        "workers": given.workers,
        "seconds": round(time.perf_counter() - begin, 1),
        **{kind: summary(kind, tally) for kind, tally in tallies.items()},
        "compared_with_python": {
            "formulas": sum(tally.python_formulas for tally in tallies.values()),
            "values": sum(tally.python_values for tally in tallies.values()),
        },
        "float32": {"formulas": len(sampled), "values_compared": compared},
        "findings_by_kind": dict(kinds),
        "findings": [asdict(finding) for finding in kept],
    }
    given.output.write_text(json.dumps(document, indent=2) + "\n")
    print(json.dumps({name: value for name, value in document.items() if name != "findings"}, indent=2))
    for finding in kept[:40]:
        print(f"{finding.what}: {finding.of[:500]}\n    {finding.detail[:500]}")
    print(f"{len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
