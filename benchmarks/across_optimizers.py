"""An evolved schedule of one optimiser against the contenders of another's contest, on the same tasks.

    .venv/bin/python benchmarks/across_optimizers.py runs/suite- runs/adam-

For the studies 1, 2, 3 of both, which have run directories of these names with their numbers: a run and the study of the same
number judged on the same tasks of the test pool (`benchmarks/suites.py` makes them, with one `--name` for each
optimiser). Nothing is trained. Prints, study by study, how far the evolved schedule of the first is from each contender
of the second, in pairs by task, p-values corrected for their number; writes benchmarks/results/across-optimizers.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from evolr.contest.reading import read_contest
from evolr.contest.statistics import corrected, paired

SEEDS = (1, 2, 3)


def rows(one: Path, other: Path) -> list[dict[str, Any]]:
    """Of each contender of the other contest. Raises SystemExit if the two did not meet the same tasks."""
    mine, theirs = read_contest(one), read_contest(other)
    same = [mine.seeds == theirs.seeds, mine.config.problem == theirs.config.problem]
    if not all([*same, mine.settings.epochs == theirs.settings.epochs]):
        raise SystemExit(f"{one} and {other} were not judged on the same tasks for as many epochs")
    metric = mine.config.problem.metric
    champion = mine.champion.result
    pairs = corrected([paired(champion.scores, entry.result.scores, metric) for entry in theirs.ranked])
    return [
        {
            "name": entry.name,
            "score": entry.result.mean,
            "evolved_minus_it": pair.difference,
            "interval": [pair.low, pair.high],
            "p_holm": pair.p_value,
        }
        for entry, pair in zip(theirs.ranked, pairs, strict=True)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("one", help="the runs whose evolved schedule is judged, without their numbers")
    parser.add_argument("other", help="the runs whose contenders it meets")
    given = parser.parse_args()
    studies: list[dict[str, Any]] = []
    for seed in SEEDS:
        one, other = Path(f"{given.one}{seed}"), Path(f"{given.other}{seed}")
        mine, theirs = read_contest(one), read_contest(other)
        found = rows(one, other)
        names = [mine.config.training.optimizer.name, theirs.config.training.optimizer.name]
        print(f"\nseed {seed}: evolved for {names[0]}, {mine.champion.result.mean:.4f}; contenders with {names[1]}:")
        for row in found:
            print(f"  {row['name']:24} {row['score']:8.4f}  {row['evolved_minus_it']:+8.4f}  p {row['p_holm']:.1e}")
        studies.append(
            {
                "seed": seed,
                "optimizers": names,
                "evolved": mine.champion.result.mean,
                "pool": "test",
                "contenders": found,
            }
        )
    path = Path(__file__).parent / "results" / "across-optimizers.json"
    path.write_text(
        json.dumps({"tasks": len(read_contest(f"{given.one}1").seeds), "studies": studies}, indent=2) + "\n"
    )


if __name__ == "__main__":
    main()
