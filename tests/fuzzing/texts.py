"""Mutated formula texts: by character, by token, by nesting, and junk."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from random import Random

from evolr.expression import ordinary_text, original_text
from tests.fuzzing.corpus import NAMES, NUMBERS, SIGNS, constant, expression, formulas
from tests.fuzzing.python_values import formula as python_formula

_CORPUS = formulas()
_TOKEN = re.compile(r"\s+|[0-9][0-9_.]*(?:[eE][-+]?[0-9]+)?|[^\W\d][\w.]*|\*\*|//|[<>=!]=|.", re.DOTALL)
_CHARACTERS = "()+-*/,. 0123456789einopsxX_<>=!%^&|~:;?@#$'\"`\\\t\n\r\0\x0b\x1b\x7f\x85\xa0·×÷−≤≥≠πé²٣１ａ\u2028\u202e\u200b\ufeff\ud800\udfff\U0001f600"
_WRAPS = (
    ("(", ")"), ("-(", ")"), ("+(", ")"), ("-", ""), ("--", ""), ("sin(", ")"), ("abs(", ")"), ("int(", ")"),
    ("ceil(", ")"), ("sigmoid(", ")"), ("square(", ")"), ("clip(", ", 0, 1)"), ("min(1, ", ")"), ("max(", ", epoch, 2)"),
    ("(", ")**2"), ("2**(", ")"), ("(", ")**-0.5"), ("not (", " < 1)"), ("(", ") if epoch < 3 else 1"),
    ("1 if epoch < 3 else (", ")"), ("1 if (", ") else 2"), ("where(", ", 1, 2)"), ("np.where(", ", 1, 2)"),
    ("((", ") < 1 and 1 < 2)"), ("(", " mod 3)"), ("round(", ")"), ("floor(", ")"), ("(", ") % 7"), ("(", ")//3"),
    ("log(", ")"), ("tanh(", ")"), ("sqrt(", ")"), ("exp(", ")"), ("not not ", ""), ("sign(", ")"), ("(", ") == 2"),
)  # fmt: skip


def text(rng: Random) -> str:
    """A formula text, valid or not; at most some 21,000 characters."""
    kind = rng.random()
    if kind < 0.02:
        return _junk(rng)
    found = _valid(rng)
    if kind < 0.10:
        return found
    mutations: Sequence[Callable[[Random, str], str]] = rng.choices(
        (_by_character, _by_token, _by_number, _by_nesting, _by_splicing, _deep),
        weights=(15, 30, 25, 20, 12, 1),
        k=rng.choice((1, 1, 1, 1, 2, 3)),
    )
    for mutate in mutations:
        found = mutate(rng, found)
    return found[:21_000]


def _valid(rng: Random) -> str:
    kind = rng.random()
    if kind < 0.45:
        return rng.choice(_CORPUS)
    if kind < 0.7:
        return python_formula(rng, rng.randint(1, 5))
    tree = expression(rng, min(200, 1 + int(rng.expovariate(1 / 12))))
    return (ordinary_text if rng.random() < 0.6 else original_text)(tree)


def _by_character(rng: Random, text: str) -> str:
    characters = list(text)
    for _ in range(rng.choice((1, 1, 2, 3))):
        place = rng.randrange(len(characters) + 1)
        other = rng.choice(_CHARACTERS) if rng.random() < 0.9 else chr(rng.randrange(0x11_0000))
        match rng.randrange(5):
            case 0:
                characters.insert(place, other)
            case 1:
                characters[place : place + 1] = [other]
            case 2:
                del characters[place : place + rng.randint(1, 3)]
            case 3:
                characters[place:place] = characters[max(0, place - rng.randint(1, 6)) : place]
            case _:
                characters[place : place + 2] = reversed(characters[place : place + 2])
    return "".join(characters)


def _by_token(rng: Random, text: str) -> str:
    tokens = _TOKEN.findall(text)
    for _ in range(rng.choice((1, 1, 2, 3))):
        place = rng.randrange(len(tokens) + 1)
        other = rng.choice(rng.choice((SIGNS, SIGNS[:24], NAMES, NUMBERS)))
        match rng.randrange(9):
            case 0:
                tokens.insert(place, rng.choice(("", " ")) + other + rng.choice(("", " ")))
            case 1:
                del tokens[place : place + 1]
            case 2 if len(tokens) > 1:
                other_place = rng.randrange(len(tokens))
                place = min(place, len(tokens) - 1)
                tokens[place], tokens[other_place] = tokens[other_place], tokens[place]
            case 3:
                tokens[place:place] = tokens[max(0, place - rng.randint(1, 8)) : place]
            case 4:
                tokens[place : place + 1] = [other]
            case _:
                tokens = _like_for_like(rng, tokens)
    return "".join(tokens)


def _like_for_like(rng: Random, tokens: list[str]) -> list[str]:
    """A sign for a sign, a name for a name: what comes of it is often a formula."""
    places = [i for i, token in enumerate(tokens) if token.strip() and token not in "(),"]
    if places:
        place = rng.choice(places)
        token = tokens[place]
        table = SIGNS[:17] if token in SIGNS else NAMES[:11] if token[0].isalpha() else NUMBERS
        tokens[place] = rng.choice(table)
        if tokens[place].isalpha() and token in SIGNS:
            tokens[place] = f" {tokens[place]} "
    return tokens


def _by_number(rng: Random, text: str) -> str:
    tokens = _TOKEN.findall(text)
    places = [i for i, token in enumerate(tokens) if token[0].isdigit()]
    for place in places[:: rng.randint(1, 3)]:
        tokens[place] = rng.choice(NUMBERS) if rng.random() < 0.5 else repr(constant(rng))
    return "".join(tokens)


def _by_nesting(rng: Random, text: str) -> str:
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        before, after = rng.choice(_WRAPS)
        if rng.random() < 0.7 or len(text) < 4:
            text = f"{before}{text}{after}"
        else:
            left, right = sorted(rng.randrange(len(text) + 1) for _ in range(2))
            text = f"{text[:left]}{before}{text[left:right]}{after}{text[right:]}"
    return text


def _by_splicing(rng: Random, text: str) -> str:
    other = _valid(rng)
    place, cut = rng.randrange(len(text) + 1), rng.randrange(len(other) + 1)
    match rng.randrange(3):
        case 0:
            return text[:place] + other[cut:]
        case 1:
            return f"({text}){rng.choice(SIGNS[:16])} ({other})"
        case _:
            return text[:place] + other + text[place:]


def _deep(rng: Random, text: str) -> str:
    """The same wrap about the limits of nesting, of nodes, of characters, or of doubling."""
    before, after = rng.choice(_WRAPS)
    depth = rng.choice((4, 8, 12, 60, 100, 190, 199, 200, 201, 210, 500, 990, 1_000, 1_010, 5_000))
    within = text if rng.random() < 0.5 else "epoch"
    room = max(1, (20_010 - len(within)) // len(before + after))
    return before * min(depth, room) + within + after * min(depth, room)


def _junk(rng: Random) -> str:
    match rng.randrange(8):
        case 0:
            return "".join(chr(rng.randrange(0x11_0000)) for _ in range(rng.randint(0, 40)))
        case 1:
            return "".join(chr(rng.randrange(0x20, 0x7F)) for _ in range(rng.randint(0, 60)))
        case 2:
            return "".join(rng.choice(_CHARACTERS) for _ in range(rng.randint(0, 60)))
        case 3:
            return "".join(rng.choice(SIGNS + NAMES + NUMBERS) for _ in range(rng.randint(0, 30)))
        case 4:
            return " ".join(rng.choice(SIGNS + NAMES + NUMBERS) for _ in range(rng.randint(0, 30)))
        case 5:
            length = rng.choice((19_999, 20_000, 20_001, 300))
            unit = rng.choice(
                (*SIGNS, *NAMES, *_CHARACTERS, "1 ", "1+", "a.", "-", " ", "1_", "sin(", "epoch ", "1e", "2**")
            )
            return (unit * length)[: length - 1] + rng.choice(("1", ")", " "))
        case 6:
            return rng.choice(("", " ", "\t\n", "epoch\0", "\0", "\ufeffepoch", "epoch\n", "\x85epoch\xa0", "-", "not"))
        case _:
            return (rng.choice(_CORPUS) + rng.choice(SIGNS[:16])) * rng.randint(1, 60) + "1"
