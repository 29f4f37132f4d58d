"""The templates of pages, and their style and script: files of this package.

Jinja2 escapes every text; what is HTML already, the formula's MathML and the drawings, is marked so in the templates, by `html`, and
nowhere else.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from evolr.errors import printable

_HERE: Final = Path(__file__).parent


def rendered(template: str, **values: Any) -> str:
    """The text of a template, by its name in this folder, with values."""
    return _environment().get_template(template).render(**values)


@cache
def text_of(name: str) -> str:
    """The text of a file, by its name in this folder."""
    return (_HERE / name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_legible,
    )
    environment.filters["html"] = Markup
    return environment


def _legible(value: Any) -> Any:
    """A text without characters that HTML may not have, or that turn the text around them; what is HTML already as it is."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in value.split("\n"))
