"""What a schedule says: the expression language."""

from evolr.expression.primitives import EXTENDED_SET, LANGUAGE_VERSION, ORIGINAL_SET, PRIMITIVES, UPGRADES, Primitive
from evolr.expression.text import ordinary_text, original_text, parse, read_back
from evolr.expression.tree import Expression, Token, arity
from evolr.signals import CLOCK, CORE_SIGNALS, SIGNALS, Signal, clock

__all__ = [
    "CLOCK",
    "CORE_SIGNALS",
    "EXTENDED_SET",
    "LANGUAGE_VERSION",
    "ORIGINAL_SET",
    "PRIMITIVES",
    "SIGNALS",
    "UPGRADES",
    "Expression",
    "Primitive",
    "Signal",
    "Token",
    "arity",
    "clock",
    "ordinary_text",
    "original_text",
    "parse",
    "read_back",
]
