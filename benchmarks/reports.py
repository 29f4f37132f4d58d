"""What a report costs: seconds and bytes of `evolr report` for each of the four kinds of study.

    .venv/bin/python benchmarks/reports.py [--folder FOLDER]

A study of evolr's own problem with its contest, one that is unfinished, one of a training function, one of a suite: the small
ones of the report's tests. Each report is made three times by the command, as a process of its own; wanted are at most 5 s and
2 MB. Writes benchmarks/results/reports.json; --folder keeps the studies and their pages there, to be looked at.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from this_machine import processor

import evolr

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "reports.json"
EVOLR = (sys.executable, "-c", "from evolr.cli import main; main()")
REPEATS = 3
sys.path.insert(0, str(ROOT))

from tests.views.page.pages import made


def cost(run: Path, page: Path) -> dict[str, float]:
    """Of the command for a run: wall seconds and processor seconds, medians; bytes of the page."""
    walls, processors = [], []
    for _ in range(REPEATS):
        start, before = time.perf_counter(), os.times()
        subprocess.run([*EVOLR, "report", run, "-o", page, "--force"], check=True, capture_output=True)
        after = os.times()
        walls.append(time.perf_counter() - start)
        processors.append(after.children_user + after.children_system - before.children_user - before.children_system)
    return {
        "seconds": round(statistics.median(walls), 2),
        "processor_seconds": round(statistics.median(processors), 2),
        "bytes": page.stat().st_size,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="keeps studies and pages here")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        runs = made(folder)
        reports = {kind: cost(run, folder / f"{kind}.html") for kind, run in runs.items()}
    load = round(os.getloadavg()[0], 1)
    document = {"evolr": evolr.__version__, "processor": processor(), "load": load, "reports": reports}
    RESULTS.write_text(json.dumps(document, indent=2) + "\n")
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
