"""How to repeat it: commands, versions, seeds, and the whole configuration."""

from __future__ import annotations

import re
from typing import Final

import evolr
from evolr.config import Config, to_toml
from evolr.contest.results import NOT_ASKED
from evolr.legible import shell_word
from evolr.libraries import versions
from evolr.views.page.parts import Code, Facts, Part, Section, Sentences
from evolr.views.page.records import Run

_FUNCTION: Final = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


def reproduction(run: Run) -> Section:
    """How to repeat the search and what was judged of it."""
    config = run.summary.config
    parts: list[Part] = [Code(*_commands(run)), Facts(_facts(run))]
    same = "On the same versions and the same kind of processor the same seed gives the same study, bit for bit"
    if config.problem.identity:
        same += ", if the function that trains gives the same for the same seed"
    parts.append(Sentences((same,), is_note=True))
    parts.append(Code("The configuration, as config.toml", to_toml(config).decode().strip(), is_folded=True))
    return Section("reproduction", "How to repeat it", tuple(parts))


def trains_by_function(config: Config) -> bool:
    """Whether a function trained the study that a command can name: one of a module, and not of a notebook."""
    identity = config.problem.identity
    return _FUNCTION.fullmatch(identity) is not None and not identity.startswith("__main__:")


def command_of(run: Run, command: str) -> str:
    """What proves or explains a run; of a JaxProblem or a suite no command, but a call; empty if its scores are told from outside."""
    problem = run.summary.config.problem
    if problem.name != "external":
        return f"evolr {command} {shell_word(run.path)}"
    if not problem.identity:
        return ""
    if trains_by_function(run.summary.config):
        return f"evolr {command} {shell_word(run.path)} --train {shell_word(problem.identity)}"
    return f"evolr.{command}(problem, {str(run.path)!r})  # problem: the one of the script that began the study"


def _commands(run: Run) -> tuple[str, str]:
    """The title and the lines that make all of this again."""
    config, name = run.summary.config, shell_word(run.path)
    new = shell_word(f"{run.path}-again")
    identity = config.problem.identity
    if config.problem.name != "external":
        lines = [f"evolr evolve --config {shell_word(run.path / 'config.toml')} --run {new}"]
    elif identity:
        lines = [
            f"# begun from Python, by evolr.evolve with {identity!r};",
            "# the same call with another directory repeats the search",
        ]
    else:
        lines = ["# asked and told from outside, by evolr.Study: the same scores, told again, give the same study"]
    suffix = f" --train {shell_word(identity)}" if trains_by_function(config) else ""
    if not identity or suffix:
        if run.contest is not None:
            settings = run.contest.settings
            flags = [f"--budget {settings.budget}", f"--seeds {len(run.contest.seeds)}", f"--epochs {settings.epochs}"]
            flags += ["--quick"] if settings.is_quick else []
            flags += [] if settings.has_rivals or run.contest.no_rivals != NOT_ASKED else ["--no-rivals"]
            lines.append(f"evolr prove {new} {' '.join(flags)}{suffix}")
        if run.comparison is not None:
            lines.append(f"evolr compare {new} --seeds {len(run.comparison.seeds)}{suffix}")
        if run.explanation is not None:
            lines.append(f"evolr explain {new} --seeds {len(run.explanation.champion.scores)}{suffix}")
    lines.append(f"evolr report {name}  # this page again")
    return "Commands", "\n".join(lines)


def _facts(run: Run) -> tuple[tuple[str, str], ...]:
    sessions = run.course.sessions
    searched = sorted({f"evolr {s.evolr}, JAX {s.jax}, Python {s.python}" for s in sessions})
    here = [f"{name} {found}" for name, found in {"evolr": evolr.__version__, **versions()}.items()]
    seeds = "" if run.contest is None else ", ".join(map(str, run.contest.seeds))
    return (
        ("searched with", "; ".join(searched)),
        ("this page with", ", ".join(here)),
        ("the study's seed", str(run.summary.config.seed)),
        ("seeds of the final", seeds),
    )
