"""The user's own training function: what it must be, told before anything is trained or written."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

from evolr.errors import ConfigError
from evolr.execution.trial_schedule import TrialSchedule

TrainingFunction = Callable[[TrialSchedule, int, int], Any]
"""train(schedule, seed, epochs) → the score, a real number."""

_ADVICE = (
    "a training runs in a process of its own, which imports the function by its name: define it at the top level of a "
    "module or a script, not inside another function, as a lambda, in a notebook or at the prompt"
)


def name_of(train: TrainingFunction) -> str:
    """`module:function`, the same whether the module is run as a script or imported."""
    function = getattr(train, "func", train)  # of a functools.partial, what it calls
    if not hasattr(function, "__qualname__"):
        function = type(function)
    module = str(function.__module__)
    if module == "__main__":
        main = sys.modules["__main__"]
        spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
        module = str(spec.name) if spec else Path(file).stem if file else module
    return f"{module}:{function.__qualname__}"


def sendable(train: TrainingFunction) -> bytes:
    """The function as it is sent to a worker.

    Raises ConfigError where it cannot be called with a schedule, a seed and epochs, or cannot be sent.
    """
    name = name_of(train)
    try:
        signature = inspect.signature(train)
    except (TypeError, ValueError):
        signature = None  # a built-in one, that does not say
    if signature is not None:
        try:
            signature.bind(None, 0, 1)
        except TypeError as error:
            raise ConfigError(
                f"the training function is called as train(schedule, seed, epochs), but {name}{signature} does not "
                f"take these three: {error}"
            ) from error
    main = sys.modules["__main__"]
    is_typed_in = getattr(main, "__file__", None) is None and getattr(main, "__spec__", None) is None
    if is_typed_in and getattr(getattr(train, "func", train), "__module__", None) == "__main__":
        raise ConfigError(f"the training function {name} is in no file: {_ADVICE}")
    try:
        return bytes(ForkingPickler.dumps(train))
    except Exception as error:  # whatever the parts of an object may raise
        raise ConfigError(f"the training function {name} cannot be sent to a worker ({error}): {_ADVICE}") from error
