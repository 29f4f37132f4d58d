"""The nodes of a tree in the making, from the leaves up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from evolr.errors import ExpressionError
from evolr.expression.primitives import PRIMITIVES
from evolr.expression.tree import Token

MAX_NODES: Final = 1_000
MAX_NESTING: Final = 200  # levels below the root, and brackets within brackets


class _Node(NamedTuple):
    """A node. arguments: the numbers of its argument nodes. size, depth: of its subtree.

    is_truth: whether its value is 1 or 0, that of a comparison.
    """

    token: Token
    arguments: tuple[int, ...]
    size: int
    depth: int
    is_truth: bool


class Nodes:
    """Nodes by number. One node may be an argument of several others; it stands in the tree as often.

    error: makes the error of a problem and a column. Each method raises one beyond MAX_NODES and MAX_NESTING.
    """

    def __init__(self, error: Callable[[str, int], ExpressionError]) -> None:
        self._error = error
        self._nodes: list[_Node] = []

    def make(self, token: Token, arguments: tuple[int, ...], column: int) -> int:
        """The number of a new node."""
        own = [self._nodes[number] for number in arguments]
        size, depth = 1 + sum(node.size for node in own), 1 + max((node.depth for node in own), default=0)
        if size > MAX_NODES or len(self._nodes) >= 2 * MAX_NODES:
            raise self._error(f"a formula may have {MAX_NODES:,} nodes at most", column)
        if depth > MAX_NESTING + 1:
            raise self._error(f"a formula may be nested {MAX_NESTING} deep at most", column)
        match token:
            case "less" | "less_equal" | "equal":
                is_truth = True
            case "min" | "max":
                is_truth = all(node.is_truth for node in own)
            case "sub":
                is_truth = own[0].token == 1.0 and own[1].is_truth
            case _:
                is_truth = False
        self._nodes.append(_Node(token, arguments, size, depth, is_truth))
        return len(self._nodes) - 1

    def is_truth(self, node: int) -> bool:
        """Whether a node's value is 1 or 0, that of a comparison."""
        return self._nodes[node].is_truth

    def opposite(self, node: int, column: int) -> int:
        """1 − node: 1 if it is 0."""
        return self.make("sub", (self.make(1.0, (), column), node), column)

    def negation(self, node: int, column: int) -> int:
        """`not node`: 1 if it is 0. As in Python, of any number."""
        if self.is_truth(node):
            return self.opposite(node, column)
        return self.make("equal", (node, self.make(0.0, (), column)), column)

    def negative(self, node: int, column: int) -> int:
        """The node with its sign changed: of a constant, a constant."""
        token = self._nodes[node].token
        if isinstance(token, float):
            return self.make(-token, (), column)
        return self.make("mul", (self.make(-1.0, (), column), node), column)

    def choice(self, condition: int, first: int, second: int, column: int) -> int:
        """`first` if the condition holds, else `second`. As in Python, any number that is not 0 holds."""
        if self.is_truth(condition):
            return self.make("where", (condition, first, second), column)
        is_zero = self.make("equal", (condition, self.make(0.0, (), column)), column)
        return self.make("where", (is_zero, second, first), column)

    def written(self, pattern: Sequence[str | float | int], arguments: tuple[int, ...], column: int) -> int:
        """The node of a function that is written with others; see notation.Sugar for the pattern."""
        stack: list[int] = []
        for item in reversed(pattern):
            if isinstance(item, str):
                own = tuple(stack.pop() for _ in range(PRIMITIVES[item].arity))
                stack.append(self.make(item, own, column))
            else:
                stack.append(arguments[item] if isinstance(item, int) else self.make(item, (), column))
        return stack.pop()

    def tokens(self, root: int) -> tuple[Token, ...]:
        """The tokens of a node's subtree in prefix order."""
        found: list[Token] = []
        pending = [root]
        while pending:
            node = self._nodes[pending.pop()]
            found.append(node.token)
            pending.extend(reversed(node.arguments))
        return tuple(found)
