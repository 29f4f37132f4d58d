"""What the scripts of this folder share: a case, its outcome, the counts that are printed, and the JSON that is kept."""

from __future__ import annotations

import gc
import json
import platform
import traceback
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import numpy as np

import evolr

RESULTS = Path(__file__).parents[1] / "results"
OURS = Path(evolr.__file__).parent

Status = Literal["passed", "failed", "does not apply"]


@dataclass(frozen=True)
class Outcome:
    """What became of one test.

    note: the error of one that failed, the reason why one does not apply, else empty.
    in_part: what is looked at instead, where it is not all that the peer's own test looks at.
    """

    name: str
    status: Status
    note: str = ""
    in_part: str = ""


@dataclass
class Cases:
    """Cases of ours for one peer, each a function whose name is a sentence; it raises if the sentence is wrong.

    strict: whether a warning of category UserWarning, evolr's own, fails a case.
    """

    strict: bool = True
    functions: dict[str, Callable[[], None]] = field(default_factory=dict)
    exceptions: list[Outcome] = field(default_factory=list)

    def __call__(self, function: Callable[[], None]) -> Callable[[], None]:
        """A case is added by decorating it."""
        self.functions[function.__name__.replace("_", " ")] = function
        return function

    def of_each(self, table: Mapping[str, Any]) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
        """One case for each entry of a table, whose value the function takes."""

        def add(function: Callable[[Any], None]) -> Callable[[Any], None]:
            sentence = function.__name__.replace("_", " ")
            self.functions |= {f"{sentence}: {name}": partial(function, value) for name, value in table.items()}
            return function

        return add

    def does_not_apply(self, what: str, reason: str) -> None:
        """Something that the peer tests and evolr does not claim."""
        self.exceptions.append(Outcome(what, "does not apply", reason))

    def run(self) -> list[Outcome]:
        """The outcomes, in the order of the file."""
        return [*(self._outcome(*case) for case in self.functions.items()), *self.exceptions]

    def _outcome(self, name: str, function: Callable[[], None]) -> Outcome:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                if self.strict:
                    warnings.simplefilter("error", UserWarning)
                function()
        except Exception as error:
            return Outcome(name, "failed", described(error))
        finally:
            gc.collect()
        return Outcome(name, "passed")


@contextmanager
def refused(error: type[Exception], part: str) -> Iterator[None]:
    """What is within raises this error, whose text has this part."""
    raised: Exception | None = None
    try:
        yield
    except error as caught:
        raised = caught
    assert raised is not None, f"expected {error.__name__}, nothing was raised"
    assert part in str(raised), f"expected {part!r} in the message, got {str(raised)!r}"


def close(one: Any, other: Any, tolerance: float = 1e-5) -> None:
    """Fails where numbers, or lists of them, differ by more than a part of their size."""
    np.testing.assert_allclose(one, other, rtol=tolerance, atol=1e-8)


def described(error: BaseException) -> str:
    """One line: the error, and the deepest line of evolr's that it went through, or else its last."""
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame for frame in frames if Path(frame.filename).is_relative_to(OURS)]
    last = (inside or frames[-1:])[-1]
    said = str(error).partition("To execute this test")[0]  # how torch goes on
    text = " ".join(line.strip() for line in said.splitlines() if line.strip())
    return f"{type(error).__name__}: {text[:300]} ({Path(last.filename).name}, in {last.name})"


def report(peer: str, outcomes: Sequence[Outcome], libraries: Sequence[str], **facts: Any) -> int:
    """Prints the counts, the failures and the exceptions; writes peers_PEER.json; answers how many failed."""
    counted: dict[Status, list[Outcome]] = {"passed": [], "failed": [], "does not apply": []}
    for outcome in outcomes:
        counted[outcome.status].append(outcome)
    passed, failed, excepted = counted.values()
    by_reason: dict[str, list[str]] = defaultdict(list)
    for outcome in excepted:
        by_reason[outcome.note].append(outcome.name)
    print(f"{peer}: {len(outcomes)} tests, {len(passed) + len(failed)} apply, {len(passed)} pass, {len(failed)} fail")
    for outcome in failed:
        print(f"  fails: {outcome.name}\n         {outcome.note}")
    for reason, names in by_reason.items():
        print(f"  does not apply ({len(names)}): {reason}")
        for name in names:
            print(f"    {name}")
    document = {
        "peer": peer,
        "machine": platform.machine(),
        "versions": {"evolr": evolr.__version__, "python": platform.python_version(), **_versions(libraries)},
        **facts,
        "tests": len(outcomes),
        "apply": len(passed) + len(failed),
        "passed": len(passed),
        "failed": {outcome.name: outcome.note for outcome in failed},
        "in_part": {outcome.name: outcome.in_part for outcome in passed + failed if outcome.in_part},
        "does_not_apply": dict(by_reason),
        "names_of_passed": [outcome.name for outcome in passed],
    }
    out = RESULTS / f"peers_{peer}.json"
    out.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"saved: {out.relative_to(RESULTS.parents[1])}")
    return len(failed)


def _versions(libraries: Sequence[str]) -> dict[str, str]:
    found = {}
    for name in libraries:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
