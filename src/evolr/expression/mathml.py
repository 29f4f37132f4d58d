r"""Formulas in MathML, which browsers set by themselves: the LaTeX of latex.py, read and written again.

So how tightly what binds, and what is a fraction, is said in latex.py alone; this reads the few commands that it writes.
"""

from __future__ import annotations

import re
from html import escape
from typing import Final

from evolr.expression.latex import latex
from evolr.expression.tree import Expression

CELL_STYLE: Final = "text-align: left; padding: 0 .5em"
"""The style of a case of a formula, the one that an element has."""

_TOKEN: Final = re.compile(r"\\[a-zA-Z]+|\\.|[{}^&]|\d+(?:\.\d+)?|[^\s]")
_FUNCTIONS: Final = ("min", "max", "sin", "cos", "tanh", "exp", "log")
_NAMES: Final = {r"\pi": "π", **{rf"\{name}": name for name in _FUNCTIONS}}
_SIGNS: Final = {r"\cdot": "⋅", r"\le": "≤", r"\lfloor": "⌊", r"\rfloor": "⌋", "-": "−"}
_POWER: Final = "^"
_NAMED: Final = r"\operatorname"
_ENDS: Final = ("}", "&", r"\\", r"\right", r"\end")
_GAP: Final = '<mspace width="0.2em"/>'
_WORDS: Final = {r"\mathrm": "mi", _NAMED: "mi", r"\text": "mtext"}


def mathml(expression: Expression) -> str:
    """The formula as a `math` element.

    >>> from evolr.expression import parse
    >>> mathml(parse("progress/0.3"))
    '<math><mfrac><mi>progress</mi><mn>0.3</mn></mfrac></math>'
    """
    return f"<math>{_Reader(latex(expression)).row()}</math>"


class _Reader:
    """Reads a text of latex.py from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._place = 0

    def row(self) -> str:
        """What stands up to the end of a group, a cell or the text."""
        parts: list[str] = []
        is_operand = False  # what came last: before another one stands a gap, which factors have in no other way
        while (token := self._next()) not in ("", *_ENDS):
            self._take()
            if token == _POWER:
                parts.append(f"<msup>{parts.pop()}{self._group()}</msup>")
                continue
            part = self._part(token)
            if is_operand and not part.startswith("<mo>"):
                parts.append(_GAP)
            parts.append(part)
            is_operand = not part.startswith("<mo>") and not (token[1:] in _FUNCTIONS or token == _NAMED)
        return parts[0] if len(parts) == 1 else f"<mrow>{''.join(parts)}</mrow>"

    def _part(self, token: str) -> str:
        if token in _WORDS:
            return f"<{_WORDS[token]}>{escape(self._raw())}</{_WORDS[token]}>"
        match token:
            case r"\frac":
                return f"<mfrac>{self._group()}{self._group()}</mfrac>"
            case r"\sqrt":
                return f"<msqrt>{self._group()}</msqrt>"
            case r"\left":
                return self._bracketed()
            case r"\begin":
                return self._cases()
            case _ if token in _NAMES:
                return f"<mi>{_NAMES[token]}</mi>"
            case _ if token[0].isdigit():
                return f"<mn>{token}</mn>"
            case _:
                return f"<mo>{escape(_SIGNS.get(token, token))}</mo>"

    def _bracketed(self) -> str:
        left = self._take()
        inner = self.row()
        self._take()  # \right
        brackets = [f"<mo>{escape(_SIGNS.get(sign, sign))}</mo>" for sign in (left, self._take())]
        return f"<mrow>{brackets[0]}{inner}{brackets[1]}</mrow>"

    def _cases(self) -> str:
        self._raw()
        rows: list[list[str]] = [[]]
        while True:
            rows[-1].append(f'<mtd style="{CELL_STYLE}">{self.row()}</mtd>')
            end = self._take()
            if end == r"\end":
                break
            if end == r"\\":
                rows.append([])
        self._raw()
        table = "".join(f"<mtr>{''.join(cells)}</mtr>" for cells in rows)
        return f"<mrow><mo>{{</mo><mtable>{table}</mtable></mrow>"

    def _group(self) -> str:
        self._take()  # {
        inner = self.row()
        self._take()  # }
        return inner

    def _raw(self) -> str:
        """The words of a group; what is a sign in LaTeX stands after a backslash there."""
        start = self._text.index("{", self._place) + 1
        end = self._text.index("}", start)
        self._place = end + 1
        return self._text[start:end].replace("\\", "")

    def _next(self) -> str:
        found = _TOKEN.search(self._text, self._place)
        return found.group() if found else ""

    def _take(self) -> str:
        found = _TOKEN.search(self._text, self._place)
        if found is None:
            return ""
        self._place = found.end()
        return found.group()
