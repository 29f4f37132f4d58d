"""Signals of the user's own: how a formula writes them, `@temperature`, and how a training tells them, `temperature=…`.

The mark makes a formula say by itself that a name is no mistake, wherever it is read.
"""

from __future__ import annotations

import builtins
import keyword
import re
from typing import Final

from evolr.errors import shortened
from evolr.signals.table import SIGNALS

MARK: Final = "@"
_TAKEN: Final = frozenset(
    {
        *dir(builtins),
        *("self", "rule", "measures", "steps_per_epoch", "value", "rate", "math", "jnp", "jax"),
        *("optimizer", "schedule", "interval", "across_ranks", "last_epoch", "updates", "params", "state", "states"),
    }
)
"""Names of arguments where signals are told, and of what an exported formula calls."""


def is_own(token: str) -> bool:
    """Whether a token is a signal of the user's own: it bears the mark."""
    return token.startswith(MARK)


def is_signal_token(token: object) -> bool:
    """Whether a token is a signal: of the table, or one of the user's own."""
    return isinstance(token, str) and (token in SIGNALS or is_own(token))


def signal_of(token: str) -> str:
    """The name under which the signal of a token is told."""
    return token.removeprefix(MARK)


def token_of(name: str) -> str:
    """The token of a signal."""
    return name if name in SIGNALS else MARK + name


def fault_of(name: str) -> str | None:
    """Why a name is none for a signal of the user's own; None where it is one."""
    if name in SIGNALS:
        return f"{name!r} is a signal of evolr's: write it without {MARK}"
    is_plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,63}", name) and not re.match(r"part_\d", name)
    if not is_plain or keyword.iskeyword(name) or name in _TAKEN:
        return (
            f"a signal of your own is told by its name, {shortened(name)!r} here: give at most 64 letters, digits and underscores that "
            f"begin with a letter, no word of Python's own, no part_1 and no argument of those that are told (state, value, …)"
        )
    return None
