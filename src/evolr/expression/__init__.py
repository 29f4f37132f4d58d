"""What a schedule says: the expression language."""

from evolr.expression.primitives import EXTENDED_SET, LANGUAGE_VERSION, ORIGINAL_SET, PRIMITIVES, UPGRADES, Primitive
from evolr.expression.signals import CORE_SIGNALS, SIGNALS, Signal
from evolr.expression.text import ordinary_text, original_text, parse
from evolr.expression.tree import Expression, Token, arity

__all__ = [
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
    "ordinary_text",
    "original_text",
    "parse",
]
