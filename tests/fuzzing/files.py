"""Mutated files that evolr reads beside schedules: the records of a run directory, as JSON, and configurations, as TOML."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

from evolr.config import resolve, to_toml
from evolr.exports.targets import TARGETS
from evolr.presets import PRESETS
from evolr.schedule import Schedule
from tests.fuzzing import corpus, documents, texts
from tests.fuzzing.markup import TEXTS

RECORDS = {path.stem: path.read_text(encoding="utf-8") for path in Path(__file__).with_name("records").glob("*.json")}
"""A contest, a comparison and an explanation of one small study, as JSON."""

CONFIGURATIONS = tuple(to_toml(resolve(preset)).decode() for preset in PRESETS)

_SETTINGS = (
    "true", "0", "-1", "1", "2", "1.0", "0.5", "-0.0", "nan", "-inf", "inf", "1e308", "5e-324", "1e999", "9" * 18, "-" + "9" * 19,
    "9" * 5_000, "0x" + "f" * 5_000, "1_000", "+1", "''", "'adam'", "'memetic'", "'external'", "'suite'", "'cnn'", "'''x'''", '"\\ud800"', '"\\u0000"',
    '"\\U0001F600"', "[]", "[1, 2]", "[2, 1]", "['epoch']", "['sin', 'sin']", "[[[]]]", "[0.5, 'x']", "{}", "{ a = 1 }", "{ name = 'adam' }",
    "[" * 3_000 + "]" * 3_000, "{a=" * 500 + "1" + "}" * 500, "1979-05-27", "07:32:00", "1979-05-27T07:32:00Z", "'" + "x" * 50_000 + "'", "", "yes",
)  # fmt: skip


def record(rng: Random) -> tuple[str, bytes]:
    """The name of a record's kind, and a mutated document of it."""
    kind = rng.choice(sorted(RECORDS))
    document = json.loads(RECORDS[kind])
    if rng.random() < 0.05:
        return kind, RECORDS[kind].encode()
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        _mutate(rng, document)
    written = json.dumps(document, ensure_ascii=rng.random() < 0.5)
    for value in ("NaN", "9" * 6_000, "1e999", "[" * 3_000 + "]" * 3_000, '{"a":' * 3_000 + "1" + "}" * 3_000):
        written = written.replace('"\\u0000raw"', value, 1) if rng.random() < 0.5 else written
    encoded = written.encode(errors="surrogatepass")
    return kind, documents.by_bytes(rng, written, encoded) if rng.random() < 0.15 else encoded


def _mutate(rng: Random, document: dict[str, Any]) -> None:
    """Changes one place anywhere in a document."""
    place: Any = document
    while True:
        key = rng.choice([*place]) if isinstance(place, dict) else rng.randrange(len(place))
        if not isinstance(place[key], dict | list) or not place[key] or rng.random() < 0.15:
            break
        place = place[key]
    match rng.randrange(6):
        case 0:
            del place[key]
        case 1 if isinstance(place, dict):
            place[rng.choice(TEXTS)] = place.pop(key)
        case 1:
            place.insert(key, place[key])
        case 2 if isinstance(place[key], str):
            place[key] = texts.text(rng) if rng.random() < 0.3 else place[key] + rng.choice(TEXTS)
        case 2 | 3:
            place[key] = rng.choice(TEXTS)
        case _:
            values = (None, True, 0, 1, -1, 0.5, 1e300, -1e-300, 10**18, 10**30, [], {}, [None], {"a": 1}, "\0raw")
            place[key] = rng.choice(values)


def configuration(rng: Random) -> bytes:
    """A mutated configuration: by its values, by its lines, by its bytes."""
    lines = rng.choice(CONFIGURATIONS).splitlines()
    for _ in range(rng.choice((0, 1, 1, 1, 2, 5))):
        place = rng.randrange(len(lines))
        name, equals, _ = lines[place].partition(" = ")
        match rng.randrange(7):
            case 0:
                del lines[place]
                lines = lines or [""]
            case 1:
                lines.insert(
                    place,
                    rng.choice(
                        (*lines, "[", "[[search]]", "[a.b]", "x = 1", "\x00", "# \x1b", "a" + ".a" * 2_000 + " = 1")
                    ),
                )
            case 2:
                lines[place] = rng.choice(TEXTS) + lines[place]
            case 3 if equals:
                lines[place] = f"{name} = {json.dumps(rng.choice(TEXTS))}"
            case _ if equals:
                lines[place] = f"{name} = {rng.choice(_SETTINGS)}"
            case _:
                lines[place] = lines[place].replace(rng.choice("[]=."), rng.choice(("", "..", "[", "\ud800")), 1)
    written = "\n".join(lines)
    encoded = written.encode(errors="surrogatepass")
    return documents.by_bytes(rng, written, encoded) if rng.random() < 0.1 else encoded


def export(rng: Random) -> tuple[Schedule, str, dict[str, Any]]:
    """A random schedule, a target that supplies what it reads, and a provenance."""
    while True:
        tree = corpus.expression(rng, rng.randint(1, 30))
        able = [target.name for target in TARGETS.values() if not target.lacks(tree.signals)]
        if able:
            return Schedule(expression=tree), rng.choice(able), provenance(rng)


def provenance(rng: Random) -> dict[str, Any]:
    """Where a schedule is said to come from, by somebody who means harm."""
    code = ('"""\nraise SystemExit\n"""', "'''\nimport os\n'''", '\\"""', '"' * 7, "\\", "\\N{BULLET}", "\\x", "# coding: utf-7", "\f", "\x1a",
            "\N{LINE SEPARATOR}import os", "\x85import os", "\r\nimport os", "\\\n", "+ADw-", "{schedule}", "%", "\udcff", "é", "x" * 500)  # fmt: skip

    def value(depth: int) -> Any:
        match rng.randrange(8 if depth else 5):
            case 0 | 1 | 2 | 3:
                return "".join(rng.choice((*code, *TEXTS[:-1], " ", '"', "'")) for _ in range(rng.randint(1, 6)))
            case 4:
                return rng.choice((None, True, 10**400, float("nan"), 1e300, b"x", (), Path("a\nb")))
            case 5 | 6:
                return {str(value(0)): value(depth - 1) for _ in range(rng.randint(0, 3))}
            case _:
                return [value(depth - 1) for _ in range(rng.randint(0, 3))]

    return {str(value(0)): value(2) for _ in range(rng.randint(1, 4))}
