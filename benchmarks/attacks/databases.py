"""Every command of the command line on studies whose database is damaged, or made to do harm.

The damages are those of tests/study/damages.py, and hostile texts wherever a database has room for text. Each command runs in a process
of its own, forked of one that has imported evolr and nothing of JAX's, in a directory with the damaged study beside a sound one.

Counted: tracebacks and other exits than 0 and 2; commands that take longer than they may; refusals that changed a file; leftovers; and
what is no text in what was printed.
"""

from __future__ import annotations

import json
import os
import pkgutil
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

import evolr
from evolr.writing import is_leftover
from tests.cli.environments import Ended, command
from tests.fuzzing.markup import TEXTS, let_through
from tests.study.damages import DAMAGES
from tests.trees import tree

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "tests" / "study" / "databases" / "v2.db"
DAMAGED = "runs/damaged"
COMMANDS = (
    ("evolve", "--run", DAMAGED, "-q"),
    (
        "evolve",
        "--run",
        "new",
        "--initial",
        DAMAGED,
        "--preset",
        "quadratic",
        "--generations",
        "1",
        "--population",
        "2",
        "-q",
    ),
    ("run", "--run", DAMAGED, "-q"),
    ("runs", "runs"),
    ("runs", "runs", "--json"),
    ("show", DAMAGED),
    ("show", DAMAGED, "--json"),
    ("show", DAMAGED, "-o", "curve.png"),
    ("export", DAMAGED, "--to", "torch"),
    ("export", DAMAGED, "--to", "python", "-o", "champion.py"),
    ("export", DAMAGED, "--to", "python", "--frozen"),
    ("compare", DAMAGED, "--seeds", "1", "--epochs", "1", "-q"),
    ("compare", "--expression", DAMAGED, "--preset", "quadratic", "--seeds", "1", "--epochs", "1", "-q"),
    ("prove", DAMAGED, "--quick", "--budget", "4", "--seeds", "1", "--epochs", "1", "--no-rivals", "-q"),
    (
        "prove",
        "--expression",
        DAMAGED,
        "--budget",
        "4",
        "--seeds",
        "1",
        "--epochs",
        "1",
        "--no-rivals",
        "-q",
        "-o",
        "new",
    ),
    ("explain", DAMAGED, "--seeds", "1", "-q"),
    ("report", DAMAGED),
    ("report", DAMAGED, "-o", "page.html"),
    ("gallery", DAMAGED),
)
"""All commands, each with what reads a study. Those that train have little to train, where they are not refused."""

REFUSED_WITHIN = 5.0  # seconds
WITHIN = 300.0  # seconds that a command may take which is not refused: it may train
REPEATED = 3  # times, if it took long: something else may have been at work


OF_FRAMEWORKS = ("torch", "keras", "lightning", "huggingface", "optax", "execution.ray", "__main__")


def _load() -> None:
    """Imports whatever a command may need, so that it need not be done after each fork; JAX has made nothing yet then."""
    for module in pkgutil.walk_packages(evolr.__path__, "evolr."):
        if not module.name.removeprefix("evolr.").startswith(OF_FRAMEWORKS):
            import_module(module.name)


def _said(table: str, column: str, text: str) -> Callable[[Path], None]:
    """A text wherever a column has one."""

    def damage(path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA ignore_check_constraints = ON")
            connection.execute(f"UPDATE {table} SET {column} = CAST(? AS TEXT)", (text.encode(errors="surrogatepass"),))  # noqa: S608

    return damage


def damages(rng: random.Random) -> dict[str, Callable[[Path], Any]]:
    columns = (("trial", "message"), ("individual", "operator"), ("session", "evolr"), ("individual", "expression"))
    texts = [text for text in TEXTS if text and len(text) < 1_000]
    said = {
        f"{table}.{column} says {text!r}": _said(table, column, text)
        for table, column in columns
        for text in rng.sample(texts, 8)
    }
    return {**DAMAGES, **said}


def _forked(arguments: tuple[str, ...], limit: float) -> Ended | None:
    """How a command ended, in a process of its own; None if it did not end in so many seconds."""
    with tempfile.NamedTemporaryFile() as file:
        process = os.fork()
        if process == 0:
            os.setsid()
            Path(file.name).write_text(json.dumps(asdict(command(list(arguments)))))
            os._exit(0)
        begin = time.perf_counter()
        while os.waitpid(process, os.WNOHANG) == (0, 0):
            if time.perf_counter() - begin > limit:
                os.killpg(process, signal.SIGKILL)
                os.waitpid(process, 0)
                return None
            time.sleep(0.005)
        return Ended(**json.loads(file.read()))


def _run(damage: Callable[[Path], Any], arguments: tuple[str, ...]) -> tuple[Ended | None, float, list[str], list[str]]:
    """How a command ended on a study with a damage, its seconds, what it changed of what was there, and what it left."""
    with tempfile.TemporaryDirectory() as folder:
        for name in (DAMAGED, "runs/sound"):
            Path(folder, name).mkdir(parents=True)
            shutil.copy(KEPT, Path(folder, name, "study.db"))
        os.chdir(folder)
        try:
            damage(Path(DAMAGED, "study.db"))
            before = tree()
            begin = time.perf_counter()
            ended = _forked(arguments, WITHIN)
            seconds = time.perf_counter() - begin
            after = tree()
        finally:
            os.chdir(ROOT)
    changed = [path for path, was in before.items() if after.get(path) != was]
    return ended, seconds, changed, [path for path in after if is_leftover(Path(path).name)]


def _findings(damage: Callable[[Path], Any], arguments: tuple[str, ...]) -> tuple[str, float, list[tuple[str, str]]]:
    """How a command ended, in a word; its seconds; and what is wrong with that, by kind and in detail."""
    for _ in range(REPEATED):
        ended, seconds, changed, left = _run(damage, arguments)
        if ended is not None and (ended.code == 0 or seconds < REFUSED_WITHIN):
            break
    if ended is None:
        return "hang", seconds, [("a hang", f"not over after {WITHIN:.0f} s")]
    found: list[tuple[str, str]] = []
    if "Traceback (most recent call last)" in ended.err or ended.code not in (0, 2):
        found.append(("a traceback", f"exit code {ended.code}: {ended.err[-1_000:]}"))
    if ended.code == 2 and seconds > REFUSED_WITHIN:
        found.append(("a hang", f"refused after {seconds:.1f} s"))
    if ended.code == 2 and changed:
        found.append(("a file lost", ", ".join(changed)))
    if left:
        found.append(("a leftover", ", ".join(left)))
    for stream, text in (("stdout", ended.out), ("stderr", ended.err)):
        if let := let_through(text):
            found.append(("control characters let through", f"{stream}: {let}: {text[-1_000:]!r}"))
    return {0: "done", 2: "refused"}.get(ended.code, "other"), seconds, found


def attack(scale: float, seed: int) -> dict[str, Any]:
    """Counts what comes of every command on every damage; of a share of all pairs, below full scale."""
    _load()
    rng = random.Random(seed)
    known = damages(rng)
    pairs = [(name, arguments) for name in known for arguments in COMMANDS]
    if scale < 1:
        pairs = rng.sample(pairs, max(1, int(scale * len(pairs))))
    ends: Counter[str] = Counter()
    slowest = (0.0, "")
    findings: list[dict[str, str]] = []
    for number, (name, arguments) in enumerate(pairs, start=1):
        end, seconds, found = _findings(known[name], arguments)
        of = f"{name}: evolr {' '.join(arguments)}"
        ends[end] += 1
        slowest = max(slowest, (seconds, of))
        for what, detail in found:
            print(f"\n{what}: {of}\n    {detail[:300]}", file=sys.stderr)
            findings.append({"what": what, "of": of, "detail": detail})
        print(f"\r{number} of {len(pairs)} commands, {len(findings)} findings", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return {
        "damages": len({name for name, _ in pairs}),
        "commands": len({arguments for _, arguments in pairs}),
        "count": len(pairs),
        **ends,
        "slowest": {"seconds": round(slowest[0], 1), "of": slowest[1]},
        "found": dict(Counter(finding["what"] for finding in findings)),
        "findings": findings,
    }
