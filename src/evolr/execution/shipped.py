"""A training function that travels by value, so that it may be of a script or a notebook that no other machine can import."""

from __future__ import annotations

from importlib import import_module
from multiprocessing.reduction import ForkingPickler
from typing import Any

from evolr.errors import ConfigError
from evolr.execution.training_function import TrainingFunction, name_of, require_callable, takes_pool
from evolr.execution.trial_schedule import TrialSchedule


def packed(what: object, name: str) -> bytes:
    """Anything as cloudpickle packs it: what can be imported by its name, what stands in the program itself by value.

    Raises ConfigError where it cannot be packed. name: of it, for the message.
    """
    try:
        return bytes(_cloudpickle().dumps(what))
    except Exception as error:  # whatever the parts of an object may raise
        raise ConfigError(f"{name} cannot be sent to another machine: {type(error).__name__}: {error}") from error


class Shipped:
    """A training function, packed: `Workers` takes it for one, and the process that trains unpacks it.

    Raises ConfigError where the function cannot be called with a schedule, a seed and epochs, or cannot be packed.
    """

    def __init__(self, train: TrainingFunction) -> None:
        require_callable(train)
        self.training_name = name_of(train)
        self.takes_pool = takes_pool(train)
        self.content = packed(train, f"the training function {self.training_name}")

    def __call__(self, schedule: TrialSchedule, seed: int, epochs: int, **beside: str) -> Any:
        return unpacked(self.content)(schedule, seed, epochs, **beside)


def unpacked(content: bytes) -> Any:
    """What was packed in the program that this process works for."""
    return _cloudpickle().loads(content)


def _reduced(shipped: Shipped) -> tuple[Any, tuple[bytes]]:
    """To a worker, it is sent as the function that it is."""
    return unpacked, (shipped.content,)


ForkingPickler.register(Shipped, _reduced)


def _cloudpickle() -> Any:
    return import_module("cloudpickle")  # of the extra `ray`
