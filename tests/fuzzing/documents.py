"""Mutated schedule documents: by their structure, by their numbers, by their bytes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from evolr.expression import LANGUAGE_VERSION, UPGRADES
from evolr.schedule import Schedule
from evolr.signals.plateau import Plateau
from tests.fuzzing import texts
from tests.fuzzing.corpus import NUMBERS, constant, expression

_FIELDS = ("format", "schema_version", "language_version", "expression", "transform", "min_lr", "max_lr", "reference_lr",
           "plateau", "provenance")  # fmt: skip
_PLATEAU = {"patience": "10", "threshold": "0.0001", "threshold_mode": '"rel"', "mode": '"min"', "cooldown": "0"}
_NEWER = {new for renamed in UPGRADES.values() for name, new in renamed.items() if name.isalpha()}
_VALUES = (
    "null", "true", "false", "0", "1", "2", "3", "-1", "1.0", "2e0", "0.5", "-0.0", "NaN", "Infinity", "-Infinity", "nan", '"NaN"',
    "1e308", "-1e308", "1e38", "1.0000001e38", "1e999", "-1e999", "1e-400", "5e-324", "9" * 19, "9" * 20, "9" * 400, "9" * 4_000,
    "9" * 6_000, "1" + "0" * 310, "0." + "0" * 5_000 + "1", "1e" + "9" * 30, "01", "+1", ".5", "5.", "0x10", "1_000", '""', '"1"',
    '"0.1"', '"linear"', '"log"', '"Log"', '"epoch"', '"1e999"', '"evolr.schedule"', '"\\u0000"', '"\\ud800"', '"\\udc00\\ud800"',
    '"\\ud83d\\ude00"', '"\\x"', '"\ud800"', '"\udcff"', "\ud800", '"' + "x" * 50_000 + '"', "[]", "{}", "[1]", '{"a": 1}', "[[[]]]",
    "[" * 400 + "]" * 400, "[" * 3_000 + "]" * 3_000, '{"a":' * 3_000 + "1" + "}" * 3_000, "[" * 3_000, "undefined", "'linear'", "",
)  # fmt: skip


def document(rng: Random) -> bytes | str:
    """A document, valid or not, as bytes or as text."""
    fields = _fields(rng)
    written = _written(fields)
    if rng.random() < 0.05:
        return written.encode()
    for mutate in rng.choices(_MUTATIONS, weights=(60, 10, 10, 10, 5), k=rng.choice((1, 1, 1, 2, 3))):
        written = mutate(rng, fields, written)
    if rng.random() < 0.3:
        return written
    encoded = written.encode(errors="surrogatepass")
    return by_bytes(rng, written, encoded) if rng.random() < 0.4 else encoded


def _fields(rng: Random) -> dict[str, str]:
    """A valid document of this language or an older one: each field's JSON."""
    tree = expression(rng, 1 + int(rng.expovariate(1 / 8)))
    least, reference = (
        rng.choice((0.0, 1e-8, rng.random())),
        rng.choice((1e-3, 1.0, min(max(abs(constant(rng)), 1e-37), 1e38))),
    )
    schedule = Schedule(
        expression=tree,
        transform=rng.choice(("linear", "log")),
        min_lr=least,
        max_lr=least + 1.0,
        reference_lr=reference,
        plateau=rng.choice(
            (None, None, Plateau(), Plateau(mode="max", cooldown=3, threshold_mode="abs", threshold=2.5))
        ),
    )
    provenance = rng.choice(({}, {"study": "x", "seed": 3}, {"a": [1, {"b": None}], "é": "ü\n", "n": 1e300}))
    document = json.loads(schedule.to_json(provenance))
    if rng.random() < 0.4:
        document["language_version"] = rng.randint(1, LANGUAGE_VERSION)
    if document["language_version"] == 1:  # in which other names stood for what these do
        for name in _NEWER:
            document["expression"] = document["expression"].replace(name, name.removesuffix("_v1"))
    return {name: json.dumps(value, ensure_ascii=rng.random() < 0.5) for name, value in document.items()}


def _written(fields: Mapping[str, str]) -> str:
    return "{" + ", ".join(f'"{name}": {value}' for name, value in fields.items()) + "}"


def _by_structure(rng: Random, fields: dict[str, str], _: str) -> str:
    name = rng.choice(_FIELDS)
    other = rng.choice(_VALUES) if rng.random() < 0.8 else rng.choice(NUMBERS)
    match rng.randrange(9):
        case 0:
            fields.pop(name, None)
        case 6:
            changed = _PLATEAU | {rng.choice((*_PLATEAU, "other")): other}
            fields["plateau"] = _written(dict(rng.sample([*changed.items()], rng.randint(1, len(changed)))))
        case 1:
            fields[
                rng.choice(("extra", "Expression", "", "\\u0000", "a" * 20_000, "expression ", "__class__", "é"))
            ] = other
        case 2:
            fields["expression"] = json.dumps(texts.text(rng), ensure_ascii=rng.random() < 0.5)
        case 3:
            fields["provenance"] = json.dumps({"a": None}).replace("null", other)
        case 4:  # twice the same name; the later one counts
            return _written(fields).removesuffix("}") + f', "{name}": {other}}}'
        case 5:
            kept = list(fields.items())
            rng.shuffle(kept)
            fields.clear()
            fields.update(kept)
        case _:
            fields[name] = other
    return _written(fields)


def _by_number(rng: Random, fields: dict[str, str], _: str) -> str:
    for name in rng.sample(
        ("min_lr", "max_lr", "reference_lr", "schema_version", "language_version"), rng.randint(1, 3)
    ):
        fields[name] = rng.choice((rng.choice(NUMBERS), repr(constant(rng)), str(rng.randint(-2, 4))))
    return _written(fields)


def _by_characters(rng: Random, _: Mapping[str, str], written: str) -> str:
    place = rng.randrange(len(written) + 1)
    match rng.randrange(4):
        case 0:
            return written[:place]
        case 1:
            return written[:place] + rng.choice('{}[]",:\\0e-.\0\x1f \t\ufeff\ud800é') + written[place:]
        case 2:
            return written[:place] + written[place + rng.randint(1, 5) :]
        case _:
            return written[place:] + written[:place]


def _around(rng: Random, _: Mapping[str, str], written: str) -> str:
    return rng.choice(
        (
            f"[{written}]",
            written + written,
            written + "\n\n ",
            f" \n\t{written}",
            f"\ufeff{written}",
            f"{written}// a comment",
            f"{written}\0",
            written.replace('"', "'"),
            written.replace(": ", ":").replace(", ", ","),
            json.dumps(written),
            written.replace('"expression"', '"\\u0065xpression"'),
            " " * 999_000 + written,
        )
    )


def _other_version(rng: Random, fields: dict[str, str], _: str) -> str:
    fields["language_version"] = rng.choice(("0", "1", "2", "3", "99", "-1", "1.5", '"1"', "true", "null"))
    fields["schema_version"] = rng.choice(("1", "1", "0", "2", "99", '"1"'))
    return _written(fields)


_MUTATIONS: tuple[Callable[[Random, dict[str, Any], str], str], ...] = (
    _by_structure, _by_number, _by_characters, _around, _other_version,
)  # fmt: skip


def by_bytes(rng: Random, written: str, encoded: bytes) -> bytes:
    """A text in another encoding, or its bytes cut or changed."""
    match rng.randrange(4):
        case 0:
            return written.encode(rng.choice(("utf-16", "utf-32", "utf-8-sig", "utf-16-le", "cp037")), errors="replace")
        case 1:
            return encoded[: rng.randrange(len(encoded) + 1)]
        case _:
            changed = bytearray(encoded or b"{")
            for _ in range(rng.randint(1, 4)):
                changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
            return bytes(changed)
