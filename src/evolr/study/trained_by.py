"""Who trains for a study that is there: what it was searched by, given again."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import Parameter, signature
from pathlib import Path
from typing import Any, Final

from evolr.config import CONSTANT, Config, require_config
from evolr.errors import ConfigError, shown, unknown_name
from evolr.execution.executor import Executor, ExecutorMaker
from evolr.execution.this_machine import ThisMachine
from evolr.execution.worker import exit_if_starting
from evolr.problems import given_problem
from evolr.reading import path_of
from evolr.signals.own import signal_of

_HERE: Final = ThisMachine()


def of_run(what: object, directory: Path | str | None) -> tuple[object, Path]:
    """Who trained a study, None where its configuration says, and its directory: of the arguments (who, directory) or
    (directory).
    """
    if directory is not None:
        return what, path_of("directory", directory)
    if isinstance(what, str | Path):
        return None, path_of("directory", what)
    raise ConfigError(
        f"name the run directory after what trained it: evolr.prove(trained_by, directory), got {shown(what)} alone"
    )


def executor_for(config: Config, trained_by: object = None, options: Mapping[str, Any] | None = None) -> Executor:
    """What trains on a configuration's problem.

    trained_by: the JaxProblem, the Suite or the function that trained the study; None where the configuration itself says who does.
    options: executor, where trials run (`evolr.Ray(…)`) or what trains instead; this machine where there is none. And what
        that has: here device_count of what evolr trains itself; workers, time_limit, memory_limit, threads of a function.

    Raises ConfigError for another one than the study's, and for options that it does not have.
    """
    exit_if_starting()
    require_config(config)
    given = {name: value for name, value in (options or {}).items() if value is not None}
    maker: Any = given.pop("executor", _HERE)
    if not hasattr(maker, "for_problem"):
        raise ConfigError(
            f"executor is where trials run, such as evolr.Ray(address), or an Executor, got {shown(maker)}"
        )
    problem = config.problem if trained_by is None else given_problem(trained_by)
    if problem is not None:
        _refuse_unknown(given, maker, "for_problem")
        executor: Executor = maker.for_problem(problem, config.training.optimizer, **given)
    elif callable(trained_by):
        _refuse_unknown(given, maker, "for_function")
        told = frozenset(signal_of(t) for t in config.search.terminals if t != CONSTANT)
        executor = maker.for_function(trained_by, told, **given)
    else:
        raise ConfigError(
            f"what trained the study is an evolr.JaxProblem, an evolr.Suite, a function or None, got {shown(trained_by)}: "
            "evolr.prove(trained_by, directory)"
        )
    if executor.identity != config.problem.identity:
        named = config.problem.identity or (
            "whoever told it its scores" if config.problem.takes_own_signals else f"the problem {config.problem.name!r}"
        )
        raise ConfigError(
            f"the study was trained by {named}, got {executor.identity}; give the same, and the same data"
        )
    return executor


def require_told(who: str, signals: frozenset[str], executor: Executor) -> None:
    """Raises ConfigError where a schedule reads what an executor's trainings do not tell it. who: it, in words."""
    if missing := sorted(signals - executor.signals):
        raise ConfigError(f"{who} reads {', '.join(missing)}, which these trainings do not tell")


def _refuse_unknown(given: Mapping[str, Any], maker: ExecutorMaker, method: str) -> None:
    """Raises ConfigError for an option that this maker of executors does not have."""

    def options(maker: ExecutorMaker) -> list[str]:
        parameters = signature(getattr(maker, method)).parameters.values()
        return [parameter.name for parameter in parameters if parameter.kind is Parameter.KEYWORD_ONLY]

    for name in given:
        if name in options(maker):
            continue
        if name in options(_HERE):
            raise ConfigError(
                f"{name} is an option of training on this machine, and the executor that is given is {type(maker).__name__}: "
                f"say it there, as evolr.Ray(workers=8) does; leave {name} out here"
            )
        raise ConfigError(unknown_name("option of what trains this study,", name, options(maker)))
