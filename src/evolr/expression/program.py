"""Packed programs: expressions as arrays, for an interpreter that runs inside a compiled training step.

A program is its expression's tokens, last to first. The interpreter walks them with a stack: a constant or a
signal is pushed, a primitive pops its arguments and pushes its value. All programs of a batch have one
length, so that a new generation never needs a new compilation; `lengths` says where each one ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evolr.expression.primitives import PRIMITIVES
from evolr.expression.tree import Expression, arity
from evolr.signals import SIGNALS

CONSTANT: Final = 0
SIGNAL: Final = 1
OPCODES: Final = {name: number for number, name in enumerate(PRIMITIVES, start=2)}

_LEAST_CAPACITY: Final = 64  # nodes; what a longer program needs is the next power of two


@dataclass(frozen=True, slots=True)
class Programs:
    """n programs, padded to one capacity.

    opcodes: int32 (n, capacity); constants: float32 (n, capacity); signals: int32 (n, capacity);
    lengths: int32 (n,). What stands past a program's length is never read.
    """

    opcodes: NDArray[np.int32]
    constants: NDArray[np.float32]
    signals: NDArray[np.int32]
    lengths: NDArray[np.int32]


def pack(expressions: Sequence[Expression], capacity: int | None = None) -> Programs:
    """The programs of some expressions; `capacity` is at least what the longest of them needs."""
    capacity = max(capacity or 0, capacity_for(max((e.size for e in expressions), default=1)))
    opcodes = np.zeros((len(expressions), capacity), np.int32)
    constants = np.zeros((len(expressions), capacity), np.float32)
    signals = np.zeros((len(expressions), capacity), np.int32)
    numbers = {name: number for number, name in enumerate(SIGNALS)}
    for row, expression in enumerate(expressions):
        for column, token in enumerate(reversed(expression.tokens)):
            if not isinstance(token, str):
                opcodes[row, column], constants[row, column] = CONSTANT, _float32(token)
            elif token in numbers:
                opcodes[row, column], signals[row, column] = SIGNAL, numbers[token]
            else:
                opcodes[row, column] = OPCODES[token]
    lengths = np.array([e.size for e in expressions], np.int32)
    return Programs(opcodes, constants, signals, lengths)


def capacity_for(size: int) -> int:
    """The program length that an expression of `size` nodes is packed to."""
    return max(_LEAST_CAPACITY, 1 << (size - 1).bit_length())


def stack_depth(expression: Expression) -> int:
    """The most values that the interpreter's stack holds while it walks the program."""
    depth = deepest = 0
    for token in reversed(expression.tokens):
        depth += 1 - arity(token)
        deepest = max(deepest, depth)
    return deepest


def _float32(value: float) -> np.float32:
    """The nearest finite float32; a constant beyond its range becomes its limit, never an infinity."""
    limit = float(np.finfo(np.float32).max)
    return np.float32(min(max(value, -limit), limit))
