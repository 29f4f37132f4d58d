"""The program: its options that several commands share, and how it ends."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from evolr import __version__
from evolr.cli.output import be_silent, prepare, say, tell
from evolr.errors import ConfigError, EvolrError, printable

app = typer.Typer(
    name="evolr",
    help="Evolves learning-rate schedules by genetic programming.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_UsageError: Any = typer.BadParameter.__base__  # what is wrong with a command line, by the class that typer has for it

RUNS = Path("runs")
"""The folder of run directories that nobody named."""

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout, and nothing else there.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
Devices = Annotated[int | None, typer.Option("--devices", help="Devices to train on; all of them by default.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Any setting by its dotted name: --set search.samples=4."),
]
Train = Annotated[
    str | None, typer.Option(help="The function that trained the study, as module:function; it is imported.")
]
WorkerCount = Annotated[int | None, typer.Option(help="With --train: processes that train at once.", min=1)]

Force = Annotated[
    bool, typer.Option("--force", help="With --output: write over what is there; never over what a study keeps.")
]


def presets() -> list[str]:
    """What a shell completes --preset with."""
    from evolr.presets import PRESETS

    return list(PRESETS)


def main() -> None:
    """The program. Turns what evolr raises on purpose into a message and exit code 2."""
    prepare()
    try:
        code = app(standalone_mode=False)
    except _UsageError as error:
        error.message = printable(error.message)
        with suppress(OSError):
            error.show(sys.stderr)
        code = error.exit_code
    except EvolrError as error:
        tell(f"error: {error}")
        code = 2
    except OSError as error:
        be_silent()
        tell(f"error: cannot write the output: {error.strerror}")
        code = 2
    sys.exit(code or 0)


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        say(__version__)
        raise typer.Exit


def training_function(name: str | None) -> Any:
    """The training function of --train; None where there is none."""
    from evolr.execution.training_function import function_named

    return None if name is None else function_named(name)


def require_output(output: object, *, force: bool) -> None:
    """Raises ConfigError for --force without --output."""
    if force and output is None:
        raise ConfigError("--force belongs to --output: it writes over what is there")


def read_settings(texts: list[str] | None) -> dict[str, Any]:
    """`name=value` pairs, the values read as TOML; a bare word is a string."""
    import tomllib

    from evolr.config.stored import from_toml

    settings: dict[str, Any] = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals or not all(part.isidentifier() for part in name.split(".")):
            raise ConfigError(f"--set expects NAME=VALUE with a dotted name, got {text!r}")
        try:
            read = from_toml(f"value = {value}")
        except ConfigError as error:
            if not isinstance(
                error.__cause__, tomllib.TOMLDecodeError
            ):  # a number of thousands of digits, lists in lists in lists
                raise ConfigError(f"--set {name}: {error}") from error
            read = {"value": value}  # a bare word
        if len(read) > 1:
            raise ConfigError(f"--set expects one NAME=VALUE, got {text!r}: give --set again for each other one")
        settings[name] = read["value"]
    return settings
