"""Formulas on the command line: their options, those that begin with a minus, and what is likely not meant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from evolr.cli.output import tell
from evolr.errors import ExpressionError

if TYPE_CHECKING:
    from evolr.formula import FormulaOptions
    from evolr.named import Named

Transform = Annotated[
    str | None,
    typer.Option("--transform", help="Of a formula: linear, it is the learning rate (the default), or log."),
]
MinLr = Annotated[float | None, typer.Option("--min-lr", help="Of a formula: the least learning rate; 0 by default.")]
MaxLr = Annotated[
    float | None, typer.Option("--max-lr", help="Of a formula: the greatest learning rate; none by default.")
]
PlateauText = Annotated[
    str | None,
    typer.Option(
        "--plateau",
        help="Of a formula that reads plateaus: patience=3,cooldown=2,threshold=0.01,threshold_mode=abs,mode=max, or some "
        "of these; the others are torch's defaults.",
    ),
]


def formula_options(
    transform: str | None, min_lr: float | None, max_lr: float | None, plateau: str | None
) -> FormulaOptions | None:
    """The options of a formula as they were given; None where none was."""
    from evolr.formula import FormulaOptions
    from evolr.signals.plateau import read_plateau

    if transform is None and min_lr is None and max_lr is None and plateau is None:
        return None
    given: Any = "linear" if transform is None else transform
    settings = None if plateau is None else read_plateau(plateau)
    return FormulaOptions(transform=given, min_lr=min_lr, max_lr=max_lr, plateau=settings)


def warn_of(found: Named, epochs: int, steps_per_epoch: int) -> None:
    """Says on stderr what is likely not meant by a formula in a training of this length."""
    for sentence in found.advice(epochs, steps_per_epoch):
        tell(f"warning: {sentence}")


class FormulaCommand(TyperCommand):
    """A command that takes a formula, which may begin with a minus: `evolr show "-0.05 + progress"`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """What is no option of the command and reads as a formula is an argument."""
        options = [param for param in self.params if param.param_type_name == "option"]
        takes_value = {name: not getattr(option, "is_flag", False) for option in options for name in option.opts}
        return super().parse_args(ctx, _formulas_last(args, takes_value))


def _formulas_last(args: Sequence[str], takes_value: dict[str, bool]) -> list[str]:
    """The arguments with the formulas that begin with a minus behind all others, after the mark that ends options.

    takes_value: of each option of the command, whether a value follows it.
    """
    kept: list[str] = []
    formulas: list[str] = []
    rest = iter(args)
    for argument in rest:
        if argument == "--":
            return [*kept, "--", *formulas, *rest]
        if argument not in takes_value and argument.startswith("-") and argument != "-" and _reads_as_formula(argument):
            formulas.append(argument)
            continue
        kept.append(argument)
        if takes_value.get(argument) and (value := next(rest, None)) is not None:
            kept.append(value)
    return [*kept, "--", *formulas] if formulas else kept


def _reads_as_formula(text: str) -> bool:
    """Whether a text that begins with a minus is meant as a formula, though perhaps a faulty one."""
    from evolr.expression import parse

    if not text[1:2].isalpha() and text[1:2] != "-":
        return True
    try:
        parse(text)
    except ExpressionError:
        return False
    return True
