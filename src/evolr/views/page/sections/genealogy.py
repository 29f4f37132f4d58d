"""The genealogy of the champion: from its first ancestor to it, how each step was made."""

from __future__ import annotations

import math
from typing import Final

from evolr.errors import count
from evolr.simplification import simplified
from evolr.study.lineage import Step
from evolr.views.page.parts import Cell, Column, Row, Section, Sentences, Table
from evolr.views.page.records import Run
from evolr.views.tables import without_constants

_MOST: Final = 12
"""Steps that are shown: the first ancestor, and the latest ones."""

_WORDS: Final = {
    "initial": "in the first population",
    "family": "a standard family, at a parent's level",
    "elite": "kept, as one of the fittest",
    "copy": "copied",
    "cma": "constants tuned (CMA-ES)",
    "finalist": "raced, with its constants as tuned",
    "growth_mutation": "a term added",
    "power_mutation": "times a power of a signal",
    "product_crossover": "product of two",
}
"""How an individual was made, in words; of other operators the name says it."""


def genealogy(run: Run) -> Section | None:
    """The champion's line; None without a champion."""
    if run.lineage is None or not run.lineage.line:
        return None
    whole = _without_copies(run.lineage.line)
    line = whole[::-1]  # the first ancestor first
    left_out = max(0, len(line) - _MOST)
    shown = line if not left_out else [line[0], *line[left_out + 1 :]]
    said = [_first_appearance(run)]
    if run.lineage.ancestors > 1:
        said.append(f"it descends from {count(run.lineage.ancestors, 'individual')} in all; below, by first parents")
    rows = tuple(_row(run, step, number == len(shown) - 1) for number, step in enumerate(shown))
    columns = (
        Column("generation"),
        Column("made by", is_number=False),
        Column(run.metric.name),
        Column("learning rate, in short", is_number=False),
    )
    caption = "From the first ancestor to the champion"
    if left_out:
        caption += f"; {count(left_out, 'step')} after the first left out"
    table = Table(caption, columns, rows, is_sortable=False)
    notes = ["Scores of different generations are of different trainings"]
    if run.summary.is_raced:
        notes.append(
            "That of the race is of fresh seeds, and of another pool if the problem has pools: it replaces the earlier one"
        )
    return Section(
        "genealogy", "Where it comes from", (Sentences(tuple(said)), table, Sentences(tuple(notes), is_note=True))
    )


def _first_appearance(run: Run) -> str:
    """When the champion's formula first appeared."""
    line = run.lineage.line if run.lineage is not None else []
    same = [step for step in line if step.expression == line[0].expression]
    structure_of = without_constants(line[0].expression)
    alike = [step for step in line if without_constants(step.expression) == structure_of]
    structure, constants = alike[-1].place.generation, same[-1].place.generation
    if structure == constants:
        return f"this formula appeared in generation {constants}"
    if constants >= run.summary.config.search.race_generation:
        return (
            f"the structure of this formula appeared in generation {structure}; its constants were tuned until the race"
        )
    return f"the structure of this formula appeared in generation {structure}, its constants in generation {constants}"


def operator_text(operator: str) -> str:
    """How an individual was made, in words."""
    return _WORDS.get(operator, operator.replace("_", " "))


def _without_copies(line: list[Step]) -> list[Step]:
    """Of copies that follow one another the earliest: nothing happened in between."""
    kept: list[Step] = []
    for step, earlier in zip(line, [*line[1:], None], strict=True):
        is_kept_alone = (
            step.operator in ("copy", "elite") and earlier is not None and earlier.expression == step.expression
        )
        if not is_kept_alone:
            kept.append(step)
    return kept


def _row(run: Run, step: Step, is_champion: bool) -> Row:
    schedule = run.summary.config.search.schedule(step.expression)
    place = str(step.place.generation)
    score = "" if math.isnan(step.score) else run.metric.text(step.score)
    value = None if math.isnan(step.score) else step.score
    cells = (
        Cell(place, step.place.generation),
        Cell(_made(step)),
        Cell(score, value),
        Cell(simplified(schedule).text, is_code=True),
    )
    return Row(cells, is_champion)


def _made(step: Step) -> str:
    how = operator_text(step.operator)
    if step.oversize:
        return f"copied, since its {how} was too large"
    return how if step.other is None else f"{how}, with one of generation {step.other.generation}"
