"""The expression: an immutable tree, held as the tuple of its tokens in prefix order.

A token is the name of a primitive or a signal (`@name` of one of the user's own), or a constant. `sub(mul(epoch, -0.5), 1)` is
`("sub", "mul", "epoch", -0.5, 1.0)`. A subtree is a contiguous slice, so the genetic operators cut and
splice tuples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from evolr.errors import ExpressionError, quoted, shown, unknown_name
from evolr.expression.primitives import PRIMITIVES, Array
from evolr.signals import SIGNALS, signal_named
from evolr.signals.own import fault_of, is_own, is_signal_token, signal_of

Token = str | float
_Value = TypeVar("_Value")


def arity(token: Token) -> int:
    """How many arguments a token takes: 0 for a signal or a constant."""
    primitive = PRIMITIVES.get(token) if isinstance(token, str) else None
    return primitive.arity if primitive else 0


@dataclass(frozen=True)
class Expression:
    """A formula over signals.

    >>> from evolr.expression import parse
    >>> tree = parse("0.001 * exp(-3 * progress)")
    >>> tree.size, tree.depth, sorted(tree.signals)
    (6, 4, ['progress'])

    Raises ExpressionError where the tokens are not one whole tree of known names and finite constants.
    """

    tokens: tuple[Token, ...]
    _ends: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            tokens = tuple(token if isinstance(token, str) else float(token) for token in self.tokens)
        except (TypeError, ValueError, OverflowError) as error:
            raise ExpressionError(
                f"an expression is made of names and of numbers that a float can hold, in prefix order: {quoted(error)}"
            ) from error
        object.__setattr__(self, "tokens", tokens)
        for token in tokens:
            if isinstance(token, str):
                if is_own(token):
                    if fault := fault_of(signal_of(token)):
                        raise ExpressionError(fault)
                elif token not in PRIMITIVES and token not in SIGNALS:
                    raise ExpressionError(unknown_name("name", token, [*PRIMITIVES, *SIGNALS]))
            elif not math.isfinite(token):
                raise ExpressionError(f"constants must be finite, got {token}")
        object.__setattr__(self, "_ends", _subtree_ends(tokens))

    @property
    def size(self) -> int:
        """The number of nodes."""
        return len(self.tokens)

    @cached_property
    def depth(self) -> int:
        """The number of nodes on the longest way from the root to a leaf; 1 for a leaf."""
        return max(self.depths)

    @cached_property
    def depths(self) -> tuple[int, ...]:
        """Of each node, the number of nodes from the root to it, itself included."""
        depths: list[int] = []
        pending = [1]
        for token in self.tokens:
            depth = pending.pop()
            depths.append(depth)
            pending.extend([depth + 1] * arity(token))
        return tuple(depths)

    @cached_property
    def signals(self) -> frozenset[str]:
        """The signals that the formula reads."""
        return frozenset(signal_of(str(token)) for token in self.tokens if is_signal_token(token))

    @property
    def live_signals(self) -> list[str]:
        """The signals that the formula reads and that depend on how the training goes, by name."""
        return sorted(name for name in self.signals if signal_named(name).live)

    @property
    def is_open_loop(self) -> bool:
        """Whether the formula reads no live signal."""
        return not self.live_signals

    def end(self, start: int) -> int:
        """The position after the subtree that starts at `start`."""
        return self._ends[start]

    def subtree(self, start: int) -> Expression:
        """The subtree that starts at position `start`."""
        return Expression(self.tokens[start : self.end(start)])

    def replace(self, start: int, other: Expression) -> Expression:
        """The tree with `other` in the place of the subtree that starts at `start`."""
        return Expression(self.tokens[:start] + other.tokens + self.tokens[self.end(start) :])

    def fold(self, leaf: Callable[[Token], _Value], apply: Callable[[str, Sequence[_Value]], _Value]) -> _Value:
        """What comes of the tree from its leaves up, without recursion.

        leaf: a signal or a constant → what it is. apply: a primitive's name and what its arguments are → what it is.
        """
        stack: list[_Value] = []
        for token in reversed(self.tokens):
            if count := arity(token):
                stack.append(apply(str(token), [stack.pop() for _ in range(count)]))
            else:
                stack.append(leaf(token))
        return stack.pop()

    def folded(self) -> Expression:
        """The formula with every part that reads no signal computed, by the reference.

        A part whose value is not finite stays as it is.
        """

        def apply(name: str, arguments: Sequence[tuple[Token, ...]]) -> tuple[Token, ...]:
            numbers = [part[0] for part in arguments if len(part) == 1 and isinstance(part[0], float)]
            if len(numbers) == len(arguments):
                with np.errstate(all="ignore"):
                    value = float(PRIMITIVES[name].reference(*map(np.float64, numbers)))
                if math.isfinite(value):
                    return (value,)
            return (name, *(token for part in arguments for token in part))

        return Expression(self.fold(lambda token: (token,), apply))

    def __call__(self, signals: Mapping[str, ArrayLike]) -> Array:
        """The value at each point of a trace, by the NumPy float64 reference.

        `signals` maps each signal that the formula reads to a scalar or an array; the arrays broadcast. The
        result has their common shape and may hold non-finite values. Raises ExpressionError for a signal that is missing or
        holds what is no number, and for shapes that do not broadcast.
        """
        missing = self.signals - signals.keys()
        if missing:
            raise ExpressionError(f"no values given for the signal {', '.join(sorted(missing))}")
        read = {name: _numbers(name, signals[name]) for name in sorted(self.signals)}
        try:
            shape = np.broadcast_shapes(*(values.shape for values in read.values()))
        except ValueError as error:
            shapes = ", ".join(f"{name} {values.shape}" for name, values in read.items())
            raise ExpressionError(f"the signals have shapes that do not broadcast: {shapes}") from error
        with np.errstate(all="ignore"):
            value = self.fold(
                lambda token: read[signal_of(token)] if isinstance(token, str) else np.asarray(token, np.float64),
                lambda name, arguments: PRIMITIVES[name].reference(*arguments),
            )
        return np.array(np.broadcast_to(value, shape), dtype=np.float64)

    def __str__(self) -> str:
        from evolr.expression.text import ordinary_text

        return ordinary_text(self)


def _numbers(name: str, values: ArrayLike) -> Array:
    """The values of a signal. Raises ExpressionError for what are no numbers that a float holds."""
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ExpressionError(f"the signal {name} is a number or an array of numbers, got {shown(values)}") from error


def _subtree_ends(tokens: tuple[Token, ...]) -> tuple[int, ...]:
    """For each position the position after its subtree; refuses what is not one whole tree."""
    ends = [0] * len(tokens)
    stack: list[int] = []  # ends of the complete subtrees to the right, nearest on top
    for i in range(len(tokens) - 1, -1, -1):
        count = arity(tokens[i])
        if count > len(stack):
            raise ExpressionError(f"{tokens[i]!r} takes {count} arguments, got {len(stack)}")
        end = i + 1
        for _ in range(count):
            end = stack.pop()
        ends[i] = end
        stack.append(end)
    if len(stack) != 1:
        raise ExpressionError(f"expected one whole tree, got {len(stack)}")
    return tuple(ends)
