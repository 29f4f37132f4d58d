"""The champion as code to copy: plain Python and PyTorch, as `evolr export` writes them."""

from __future__ import annotations

from typing import Final

from evolr.errors import ScheduleError
from evolr.exports.targets import source
from evolr.legible import shell_word
from evolr.views.page.parts import Code, Part, Section, Sentences
from evolr.views.page.records import Run

_TARGETS: Final = (("python", "Plain Python"), ("torch", "PyTorch"))


def code(run: Run) -> Section | None:
    """The exports; None without a champion."""
    if run.champion is None or run.shown is None:
        return None
    parts: list[Part] = []
    for target, title in _TARGETS:
        try:
            text = source(run.champion, target, run.shown.provenance, run.summary.optimizer)
        except ScheduleError as error:
            parts.append(Sentences((f"{title}: {error}",)))
            continue
        parts.append(Code(f"{title}, {len(text.splitlines()):,} lines that need no evolr", text, is_folded=True))
    name = shell_word(run.path)
    parts.append(Code("For Optax, Keras, Lightning and Hugging Face", f"evolr export {name} --to optax -o schedule.py"))
    return Section("code", "In your own code", tuple(parts))
