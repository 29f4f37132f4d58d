"""How a formula is written: signs, precedence, and the functions that people write and the language says in others.

Nothing here is a primitive: each row says how ordinary notation becomes an expression (text.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from evolr.expression.primitives import PRIMITIVES

CHOICE, OR, AND, NOT, COMPARISON, SUM, PRODUCT, SIGN, POWER, ATOM = range(1, 11)
"""How tightly a part binds, from `a if c else b` to a number; as in Python."""

PRECEDENCE: Final[Mapping[str, int]] = MappingProxyType(
    {
        **dict.fromkeys(("add", "sub"), SUM),
        **dict.fromkeys(("mul", "div", "quotient", "mod", "//"), PRODUCT),
        **dict.fromkeys(("less", "less_equal", "equal", ">", ">=", "!="), COMPARISON),
        "pow": POWER,
        "and": AND,
        "or": OR,
    }
)
"""Of what stands between two operands; a sign that is no primitive is told by itself."""

SIGNS: Final[Mapping[str, str]] = MappingProxyType(
    {
        **{p.infix: p.name for p in PRIMITIVES.values() if p.infix},
        **{p.name: p.name for p in PRIMITIVES.values() if p.is_binary},
        **{sign: sign for sign in ("//", ">", ">=", "!=", "and", "or")},
        "^": "pow",
        "−": "sub",
        "·": "mul",
        "×": "mul",
        "÷": "quotient",
        "≤": "less_equal",
        "≥": ">=",
        "≠": "!=",
    }
)
"""What each operator that may be written is called in PRECEDENCE."""

PREFIXES: Final = ("math", "np", "numpy", "jnp", "torch", "tf", "F", "K")
"""The modules whose functions may be written with their prefix."""

CONSTANTS: Final[Mapping[str, float]] = MappingProxyType({"pi": math.pi, "π": math.pi, "e": math.e})

ALIASES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "fabs": "abs",
        "absolute": "abs",
        "minimum": "min",
        "maximum": "max",
        "power": "pow",
        "float_power": "pow",
        "rint": "round",
        "remainder": "mod",
        "clamp": "clip",
        "trunc": "int",
        "float32": "float",
        "float64": "float",
        "true_divide": "quotient",
        "divide": "quotient",
        "add": "add",
        "subtract": "sub",
        "multiply": "mul",
    }
)
"""Other names of functions."""


PREFIXED: Final[Mapping[str, str]] = MappingProxyType({"div": "quotient"})
"""What a function with its module's prefix is called here, where the name alone means another: torch.div."""


@dataclass(frozen=True, slots=True)
class Sugar:
    """A function that is written with others. pattern: tokens in prefix order; a number is the place of an argument."""

    arity: int
    pattern: tuple[str | float | int, ...]
    meaning: str


SUGAR: Final[Mapping[str, Sugar]] = MappingProxyType(
    {
        "ceil": Sugar(1, ("mul", -1.0, "floor", "mul", -1.0, 0), "−floor(−a)"),
        "log2": Sugar(1, ("quotient", "log", 0, math.log(2.0)), "log(a) / log(2)"),
        "log10": Sugar(1, ("quotient", "log", 0, math.log(10.0)), "log(a) / log(10)"),
        "sigmoid": Sugar(1, ("quotient", 1.0, "add", 1.0, "exp", "mul", -1.0, 0), "1 / (1 + exp(−a))"),
        "square": Sugar(1, ("pow", 0, 2.0), "a ** 2"),
        "clip": Sugar(3, ("min", "max", 0, 1, 2), "min(max(a, b), c)"),
        "int": Sugar(1, ("mul", "sign", 0, "floor", "abs", 0), "sign(a) · floor(|a|)"),
        "float": Sugar(1, (0,), "a"),
    }
)

ADVICE: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(("t", "i", "it", "iter", "iteration", "global_step", "current_step", "step_num", "s"), "step"),
        **dict.fromkeys(
            ("num_training_steps", "max_steps", "num_steps", "total_iters", "max_iters", "T"), "total_steps"
        ),
        **dict.fromkeys(("epochs", "max_epochs", "num_epochs", "n_epochs", "T_max"), "total_epochs"),
        **dict.fromkeys(("last_epoch", "current_epoch"), "epoch"),
        **dict.fromkeys(("train_loss", "training_loss"), "loss"),
        **dict.fromkeys(("valid_loss", "validation_loss", "test_loss"), "val_loss"),
        **dict.fromkeys(("learning_rate", "last_lr"), "lr"),
        **dict.fromkeys(("frac", "fraction", "percent"), "progress"),
    }
)
"""The signal that is meant by a name which other programs use."""
