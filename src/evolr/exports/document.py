"""The file that holds a schedule: its docstring, its formula as a function, and what serves it to a framework."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from evolr import __version__
from evolr.errors import printable
from evolr.exports.formula import JAX, PYTHON, Dialect, code
from evolr.exports.linking import Import, link
from evolr.exports.rows import rows
from evolr.expression import LANGUAGE_VERSION, ordinary_text
from evolr.schedule import LOG_LIMIT, Schedule
from evolr.signals import in_order, signal_named
from evolr.signals.plateau import Plateau

WIDTH: Final = 118
_FORMULA_LINES: Final = 8  # of the docstring's formula at most
_STANDARD: Final = ("collections", "inspect", "json", "math", "operator", "typing", "warnings", "weakref")

RULE: Final = '''class Champion:
    """The schedule, as the classes above take it."""

    signals = {signals}
    {method} = staticmethod(learning_rate)
{plateau}'''


def document(
    schedule: Schedule,
    provenance: Mapping[str, Any],
    *,
    usage: str,
    roots: Sequence[tuple[str, str]] = (),
    imports: Iterable[Import] = (),
    dialect: Dialect = PYTHON,
    closing: str = "",
    has_rule: bool = True,
) -> str:
    """The text of the file.

    usage: an example, for the docstring. roots: evolr's own definitions (module, name) that the file needs beside the
    formula's. imports: what `closing`, the file's last part, needs of other libraries. has_rule: whether those
    definitions take the schedule as a rule.
    """
    formula = _formula(schedule, dialect)
    helpers = link([(dialect.module, name) for name in formula[1]])
    served = link(roots, rows(schedule.signals))
    blocks = [*helpers.blocks, *(block for block in served.blocks if block not in helpers.blocks)]
    rule = RULE.format(
        signals=_signals(schedule),
        method="at" if dialect is PYTHON else "traced",
        plateau=f"    plateau_rule = {schedule.plateau_rule}" if reads_plateaus(schedule) else "",
    )
    needed = {*helpers.imports, *served.imports, *imports, formula[2]}
    rules = [rule.rstrip()] if roots and has_rule else []
    parts = [formula[0], *_spaced(blocks), *rules, *([closing.strip()] if closing else [])]
    body = "\n\n\n".join(parts)
    return f'"""{_docstring(schedule, provenance, usage)}"""\n\n{_imports(needed)}\n\n\n{body}\n'


def reads_plateaus(schedule: Schedule) -> bool:
    """Whether the schedule's own plateau settings decide what it reads."""
    return any(signal_named(name).needs_plateau for name in schedule.signals)


def _formula(schedule: Schedule, dialect: Dialect) -> tuple[str, list[str], Import]:
    """The function `learning_rate`, the functions of the dialect's module that it calls, and its import."""
    written = code(schedule.expression, dialect)
    kind = "float" if dialect is PYTHON else "jax.Array"
    names = in_order(schedule.signals)
    parameters = ", ".join(f"{name}: {kind}" for name in names)
    lines = [f"def learning_rate({f'*, {parameters}' if names else ''}) -> {kind}:"]
    if len(lines[0]) > WIDTH:
        lines = ["def learning_rate(", "    *,", *(f"    {name}: {kind}," for name in names), f") -> {kind}:"]
    meanings = [f"{name}: {signal_named(name).meaning}." for name in names]
    wrapped = [line for m in meanings for line in textwrap.wrap(m, WIDTH - 4, subsequent_indent="    ")]
    doc = ['"""The learning rate of an optimiser step.', *(["", *wrapped] if names else []), '"""']
    lines += [f"    {line}".rstrip() for line in (doc if names else ['"""The learning rate of an optimiser step."""'])]
    lines += [f"    {part}" for part in written.parts]
    lines += [f"    {line}" for line in _output(schedule, written.value, dialect)]
    module = Import("math", None, None) if dialect is PYTHON else Import("jax.numpy", None, "jnp")
    return "\n".join(lines), sorted(written.functions), module


def _output(schedule: Schedule, value: str, dialect: Dialect) -> list[str]:
    """The lines from the formula's value to the learning rate: transform and bounds."""
    least, most, limit = repr(schedule.min_lr), repr(schedule.max_lr), repr(LOG_LIMIT)
    is_log, reference = schedule.transform == "log", repr(schedule.reference_lr)
    if dialect is JAX:
        rate = f"{reference} * jnp.exp(jnp.clip(value, -{limit}, {limit}))" if is_log else "value"
        return [
            f"value = jnp.asarray({value}, jnp.float32)",
            f"rate = {rate}",
            f"return jnp.where(jnp.isfinite(value), jnp.clip(rate, {least}, {most}), {least})",
        ]
    rate = f"{reference} * math.exp(min(max(value, -{limit}), {limit}))" if is_log else "value"
    return [
        f"value = {value}",
        "if not math.isfinite(value):",
        f"    return {least}",
        f"return min(max({rate}, {least}), {most})",
    ]


def _docstring(schedule: Schedule, provenance: Mapping[str, Any], usage: str) -> str:
    output = "formula" if schedule.transform == "linear" else f"{schedule.reference_lr!r} · exp(formula)"
    formula = textwrap.wrap(ordinary_text(schedule.expression), WIDTH - 4)
    if len(formula) > _FORMULA_LINES:
        formula = [*formula[:2], f"… of {schedule.expression.size} nodes; learning_rate says it whole"]
    plateau = schedule.plateau or Plateau()
    written = [f"evolr {__version__}, language {LANGUAGE_VERSION}"]
    said = {name: " ".join(map(str, v)) if isinstance(v, list) else v for name, v in provenance.items()}
    origin = [f"{name}: {value}" for name, value in said.items()] + written
    optimizer = provenance.get("optimiser")
    found_with = f" (the schedule was found with {optimizer}: take that optimiser)" if optimizer else ""
    lines = [
        "A learning-rate schedule that was evolved by evolr; this file needs no evolr.",
        "",
        f"The learning rate is {output}, between {schedule.min_lr!r} and {schedule.max_lr!r}, where the formula is",
        "",
        *(f"    {line}" for line in formula),
        "",
        *([f"A plateau: {plateau.text}.", ""] if reads_plateaus(schedule) else []),
        *(line for text in origin for line in textwrap.wrap(text, WIDTH, subsequent_indent="    ")),
        "",
        *textwrap.wrap(f"Example{found_with}:", WIDTH),
        "",
        *(f"    {line}".rstrip() for line in usage.strip().splitlines()),
        "",
    ]
    return "\n".join(_harmless(line) for line in lines)


def _harmless(line: str) -> str:
    """A line as it may stand in a docstring, whatever a document's provenance says."""
    return printable(line).replace("\\", "\\\\").replace('"""', "'''")


def _signals(schedule: Schedule) -> str:
    """The expression of the set of its signals, in lines of Python within a class."""
    names = textwrap.wrap(" ".join(sorted(schedule.signals)), WIDTH - 44, break_on_hyphens=False)
    if len(names) < 2:
        return f'frozenset("{"".join(names)}".split())'
    lines = [*(f'        "{line} "' for line in names[:-1]), f'        "{names[-1]}"']
    return "\n".join(["frozenset((", *lines, "    ).split())"])


def _spaced(blocks: Sequence[str]) -> list[str]:
    """Definitions, the constants among them drawn together."""
    spaced: list[str] = []
    for block in blocks:
        is_constant = not block.startswith(("def ", "class ", "@"))
        if is_constant and spaced and not spaced[-1].startswith(("def ", "class ", "@")):
            spaced[-1] += f"\n{block}"
        else:
            spaced.append(block)
    return spaced


def _imports(needed: Iterable[Import]) -> str:
    """The import statements: the future, the standard library, the others."""
    groups: dict[bool, list[str]] = {True: [], False: []}
    wanted = set(needed)
    modules = sorted({i.module for i in wanted})
    for is_from in (False, True):
        for module in modules:
            found = sorted(
                {(i.name or "", i.alias or "") for i in wanted if i.module == module and bool(i.name) is is_from}
            )
            if not found:
                continue
            names = [f"{name} as {alias}" if alias else name for name, alias in found]
            statements = (
                [f"from {module} import {', '.join(names)}"]
                if is_from
                else [f"import {module}" + (f" as {alias}" if alias else "") for _, alias in found]
            )
            groups[module.split(".")[0] in _STANDARD] += statements
    return "\n\n".join(
        "\n".join(group) for group in (["from __future__ import annotations"], groups[True], groups[False]) if group
    )
