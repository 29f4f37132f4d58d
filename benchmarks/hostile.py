"""Attacks on all that evolr reads, writes and prints, by the million: nothing breaks, hides or forges anything.

    python benchmarks/hostile.py [--part texts documents exports databases kills] [--scale 0.01] [--seed S] [--workers W]
    python benchmarks/hostile.py --part texts documents exports --seconds 60

texts: mutated formulas, and those that Python reads too. documents: mutated schedules, records of a run directory and configurations.
exports: files for each framework that say whatever a provenance says. databases: every command of the command line on a study whose
database is damaged. kills: SIGKILL at random moments of whatever writes. What each part does and counts is said in attacks/.

Writes benchmarks/results/hostile.json, where the parts that were not asked for stay; with --seconds nothing is written, and the seed is a
fresh one. Exits with 1 at any finding.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import secrets
import sys
import time
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from attacks import inputs
from this_machine import processor

from evolr.expression import LANGUAGE_VERSION

RESULTS = ROOT / "benchmarks" / "results" / "hostile.json"
INPUTS = {
    "texts": ["texts", "python"],
    "documents": ["documents", "records", "configurations"],
    "exports": ["exports"],
}
OTHERS = ("databases", "kills")
"""Parts that are modules of attacks/: `attack` counts, of a scale and a seed; `found` are the faults by kind, `findings` what they were."""

SHOWN = 40


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--part", nargs="+", choices=(*INPUTS, *OTHERS), default=(*INPUTS, *OTHERS))
    parser.add_argument("--scale", type=float, default=1.0, help="of all counts")
    parser.add_argument(
        "--seconds", type=float, help="how long texts, documents and exports are tried, in place of a count"
    )
    parser.add_argument("--seed", type=int, help="11 by default; with --seconds a fresh one")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    given = parser.parse_args()
    given.output = given.output.absolute()  # whatever directory a part works in
    if given.seconds is not None and set(given.part).intersection(OTHERS):
        parser.error("--seconds is for texts, documents and exports: name them with --part")
    return given


def run(part: str, given: argparse.Namespace, seed: int) -> dict[str, Any]:
    if part in OTHERS:
        return import_module(f"attacks.{part}").attack(given.scale, seed)
    tallies = inputs.attack(INPUTS[part], seed, given.workers, given.scale)
    single = {"float32": inputs.in_single(tallies, seed)} if part == "texts" else {}
    return {**{kind: inputs.summary(tally) for kind, tally in tallies.items()}, **single}


def findings(document: Any) -> list[dict[str, str]]:
    """All that a part found, wherever it says so."""
    if not isinstance(document, dict):
        return []
    return [*document.get("findings", []), *(f for each in document.values() for f in findings(each))]


def tell(found: list[dict[str, str]]) -> None:
    for finding in found[:SHOWN]:
        print(f"{finding['what']}: {finding['of'][:500]}\n    {finding['detail'][:500]}")
    print(f"{len(found)} findings")


def main() -> int:
    given = arguments()
    if given.seconds is not None:
        seed = secrets.randbelow(10**9) if given.seed is None else given.seed
        print(f"seed {seed}: repeat with --seed {seed} --workers {given.workers}", flush=True)
        kinds = [kind for part in given.part for kind in INPUTS[part]]
        tallies = inputs.attack(kinds, seed, given.workers, None, given.seconds)
        documents = {kind: inputs.summary(tally) for kind, tally in tallies.items()}
        print(", ".join(f"{document['count']:,} {kind}" for kind, document in documents.items()))
        tell(findings(documents))
        return 1 if findings(documents) else 0
    seed = 11 if given.seed is None else given.seed
    document = json.loads(given.output.read_text()) if given.output.exists() else {}
    found: list[dict[str, str]] = []
    for part in given.part:
        begin = time.perf_counter()
        attacked = run(part, given, seed)
        found += findings(attacked)
        document[part] = {
            "date": datetime.now(UTC).date().isoformat(),
            "machine": {"cores": os.cpu_count(), "processor": processor(), "system": platform.system()},
            "versions": {
                "python": platform.python_version(),
                "language": LANGUAGE_VERSION,
                **{name: version(name) for name in ("evolr", "numpy", "jax", "msgspec")},
            },
            "seed": seed,
            "scale": given.scale,
            "seconds": round(time.perf_counter() - begin, 1),
            **attacked,
        }
        given.output.write_text(json.dumps(document, indent=2) + "\n")
    print(json.dumps({part: document[part] for part in given.part}, indent=2))
    tell(found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
