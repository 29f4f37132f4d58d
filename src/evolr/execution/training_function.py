"""The user's own training function: what it must be, told before anything is trained or written."""

from __future__ import annotations

import functools
import hashlib
import importlib
import inspect
import os
import re
import sys
from collections.abc import Callable
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any, Final, TypeGuard, cast

from evolr.errors import ConfigError
from evolr.execution.packing import packed
from evolr.execution.trial_schedule import TrialSchedule

TrainingFunction = Callable[[TrialSchedule, int, int], Any]
"""train(schedule, seed, epochs) → the score, a real number."""

_PLACES: Final = {"schedule": 0, "seed": 1, "epochs": 2}

_MAX_ARGUMENTS: Final = 200  # characters of a partial's arguments in a name


def name_of(train: TrainingFunction) -> str:
    """`module:function`, the same whether the module is run as a script or imported; `__main__:function` of a notebook or a prompt.

    Of a functools.partial, its arguments belong to it. What travels under another name says so by `training_name`.
    """
    if (given := getattr(train, "training_name", None)) is not None:
        return str(given)
    function = getattr(train, "func", train)  # of a functools.partial, what it calls
    if not hasattr(function, "__qualname__"):
        function = type(function)
    module = str(function.__module__)
    if module == "__main__":
        main = sys.modules["__main__"]
        spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
        module = str(spec.name) if spec else Path(file).stem if is_file(file) else module
    arguments = _arguments(cast("Any", train)) if isinstance(train, functools.partial) else ""
    return f"{module}:{function.__qualname__}{arguments}"


def function_named(text: str) -> TrainingFunction:
    """The function that `module:function` names, as the command line gives it; its module is imported.

    Raises ConfigError for what is no such name, for a module that cannot be imported and for what is no function.
    """
    module, _, name = text.partition(":")
    if not re.fullmatch(r"\w+(\.\w+)*", module) or not re.fullmatch(r"\w+(\.\w+)*", name):
        raise ConfigError(
            f"a training function is named module:function, such as mypackage.training:train, got {text!r}"
        )
    if (here := os.getcwd()) not in sys.path:
        sys.path.insert(0, here)  # as `python -m` has it
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except Exception as error:  # whatever importing a user's module may raise
        raise ConfigError(f"cannot import the training function {text}: {type(error).__name__}: {error}") from error
    if not callable(found):
        raise ConfigError(f"{text} is no function, but {found!r}")
    return cast("TrainingFunction", found)


def not_run_by_a_call(function: Any) -> str | None:
    """What a function is of which a call runs nothing yet, such as «a coroutine function»; None where a call runs it."""
    while isinstance(function, functools.partial):
        function = cast("functools.partial[Any]", function).func
    for each in (function, *([type(function).__call__] if callable(function) else [])):
        if inspect.iscoroutinefunction(each):
            return "a coroutine function (async def)"
        if inspect.isgeneratorfunction(each) or inspect.isasyncgenfunction(each):
            return "a generator function (it has a yield)"
    return None


def require_callable(train: TrainingFunction) -> None:
    """Raises ConfigError where a function cannot be called with a schedule, a seed and epochs, and where a call runs nothing."""
    name, is_told = name_of(train), takes_pool(train)
    if kind := not_run_by_a_call(train):
        raise ConfigError(
            f"the training function must return a number when it is called, but {name} is {kind}: give an ordinary one"
        )
    try:
        signature = inspect.signature(train)
    except (TypeError, ValueError):
        return  # a built-in one, that does not say
    try:
        taken = signature.bind(None, 0, 1, **({"pool": "fitness"} if is_told else {})).arguments
    except TypeError as error:
        raise ConfigError(
            f"the training function is called as train(schedule, seed, epochs{', pool=…' if is_told else ''}), but "
            f"{name}{signature} does not take these: {error}"
        ) from error
    if any(name in _PLACES and _PLACES[name] != place for place, name in enumerate(taken)):
        raise ConfigError(
            f"the training function is called by position as train(schedule, seed, epochs); yours is {name}{signature}: "
            "name its parameters in this order"
        )


def takes_pool(train: TrainingFunction) -> bool:
    """Whether a function has a parameter `pool`: on whose examples it is to judge.

    A functools.partial that binds it has said which one, or means something else by it: it is called as it is bound.
    What travels under another name says so by `takes_pool`.
    """
    if (given := getattr(train, "takes_pool", None)) is not None:
        return bool(given)
    if isinstance(train, functools.partial) and "pool" in train.keywords:
        return False
    try:
        return "pool" in inspect.signature(train).parameters
    except (TypeError, ValueError):
        return False  # a built-in one, that does not say


def sendable(train: TrainingFunction) -> bytes:
    """The function as it is sent to a worker: by its name where a worker can import it, by value otherwise.

    Raises ConfigError where it cannot be called with a schedule, a seed and epochs, or cannot be packed; MissingExtraError
    where it needs cloudpickle for that, and there is none.
    """
    require_callable(train)
    by_name = _by_name(train)
    return packed(train, f"the training function {name_of(train)}") if by_name is None else by_name


def _by_name(train: TrainingFunction) -> bytes | None:
    """The function by its name; None where a worker would not find it by that, or find another one."""
    try:
        content = bytes(ForkingPickler.dumps(train))
    except Exception:  # whatever the parts of an object may raise
        return None
    return None if b"__main__" in content and not _is_in_an_importable_main(train) else content


def _is_in_an_importable_main(train: TrainingFunction) -> bool:
    """Whether a worker can import what this program runs as, and finds there what a function of it is made of."""
    main = sys.modules["__main__"]
    spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
    if spec is not None:
        return str(spec.name).rpartition(".")[2] != "__main__"
    if not is_file(file):
        return False
    function = inspect.unwrap(getattr(train, "func", train))
    code = getattr(function, "__code__", None)
    # After `python -i script.py`, a function may be of the prompt and not of the script.
    return code is None or function.__module__ != "__main__" or not code.co_filename.startswith("<")


def is_file(path: Any) -> TypeGuard[str]:
    """Whether the `__file__` of what a program runs as is one: of a notebook or a prompt it is None or «<stdin>»."""
    return bool(path) and os.path.isfile(path)


def _arguments(partial: functools.partial[Any]) -> str:
    """What a partial binds, in brackets; empty where it binds nothing. Cut where it is long, then with a digest."""
    shown = [_shown(value) for value in partial.args]
    shown += [f"{name}={_shown(value)}" for name, value in partial.keywords.items()]
    text = ", ".join(shown)
    if len(text) > _MAX_ARGUMENTS:
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        text = f"{text[:_MAX_ARGUMENTS]}… {digest}"
    return f"({text})" if shown else ""


def _shown(value: Any) -> str:
    """A value's repr in one line, without the address of an object, which differs from process to process."""
    text = re.sub(r" at 0x[0-9a-fA-F]+", "", " ".join(repr(value).split()))
    return text.encode("utf-8", "backslashreplace").decode()
