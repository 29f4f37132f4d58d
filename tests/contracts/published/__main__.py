"""Prints, for each published schedule and each back end, the greatest relative difference from its source."""

import argparse
from collections.abc import Iterator

from evolr.errors import EvolrError
from evolr.training.devices import prepare
from tests.contracts.published import PUBLISHED
from tests.contracts.published.back_ends import BACK_ENDS, differences, serves


def lines(only: str = "") -> Iterator[str]:
    yield f"{'':44}" + "".join(f"{name:>15}" for name in BACK_ENDS)
    read = total = 0
    for case in PUBLISHED:
        if only and only not in case.name:
            continue
        total += 1
        try:
            schedule = case.schedule()
        except EvolrError as error:
            yield f"{case.name:44} not read: {' | '.join(str(error).splitlines())}"
            continue
        read += 1
        wanted = case.rates()
        cells = []
        for name, rates_of in BACK_ENDS.items():
            if not serves(name, schedule):
                cells.append(f"{'–':>15}")
                continue
            relative, of_peak = differences(rates_of(schedule), wanted)
            cells.append(f"{relative:8.0e}{of_peak:7.0e}" if relative > 1e-9 else f"{'<1e-9':>15}")
        yield f"{case.name:44}" + "".join(cells)
    yield f"{total} published schedules, {read} read; each cell: relative difference, and in parts of the peak"


if __name__ == "__main__":
    prepare()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="part of a name")
    for line in lines(parser.parse_args().only):
        print(line, flush=True)
