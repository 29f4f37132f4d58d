"""The optimiser in the example of an exported file: the one that the schedule was found with, as each framework writes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, cast

from evolr.errors import ConfigError, unknown_name
from evolr.training.optimizers import OPTIMIZERS, Optimizer

_CLASSES: Final = {"sgd": "SGD", "momentum": "SGD", "adam": "Adam", "adamw": "AdamW"}
"""What PyTorch and Keras call an optimiser, and optax in small letters."""


@dataclass(frozen=True, slots=True)
class ExampleOptimizer:
    """An optimiser as an example writes it: with its momentum and its weight decay, the rest as the framework has it.

    One that finds its own step size is `...`: no framework has it as evolr has.
    """

    settings: Optimizer

    def torch(self, parameters: str) -> str:
        """parameters: the code of what it trains."""
        return self._called(f"torch.optim.{self._class}", f"{parameters}, lr=1e-3")

    def keras(self, rate: str) -> str:
        """rate: the code of its learning rate."""
        return self._called(f"keras.optimizers.{self._class}", rate)

    def optax(self, rate: str) -> str:
        """The whole optimiser. rate: the code of its learning rate."""
        return self._called(f"optax.{self._class.lower()}", rate)

    @property
    def optax_direction(self) -> str:
        """What is without the learning rate: the way from gradients to directions."""
        match self.settings.design:
            case ("schedule", "sgd"):
                return "optax.identity()"
            case ("schedule", "momentum"):
                return f"optax.trace(decay={self.settings.momentum!r})"
            case ("schedule", "adam"):
                return "optax.scale_by_adam()"
            case ("schedule", _):
                decay = self.settings.weight_decay
                return f"optax.chain(optax.scale_by_adam(), optax.add_decayed_weights({decay!r}))"
            case _:
                return "..."

    @property
    def _class(self) -> str:
        return _CLASSES[self.settings.design.base]

    def _called(self, what: str, first: str) -> str:
        if self.settings.design.method != "schedule":
            return "..."
        own = [name for name in ("momentum", "weight_decay") if name in self.settings.read]
        return f"{what}({', '.join([first, *(f'{name}={getattr(self.settings, name)!r}' for name in own)])})"


def optimizer_named(optimizer: Optimizer | str) -> Optimizer:
    """An optimiser by its name, with its default settings, or as it is given, for an example.

    Raises ConfigError for what is none, and for the name of one that no framework has as evolr has it.
    """
    if isinstance(optimizer, Optimizer):
        return optimizer
    if not isinstance(cast("Any", optimizer), str) or optimizer not in OPTIMIZERS:
        raise ConfigError(unknown_name("optimizer", optimizer, OPTIMIZERS))
    named = Optimizer(name=optimizer)
    if named.design.method != "schedule":
        known = ", ".join(_CLASSES)
        raise ConfigError(
            f"an example cannot be written with {optimizer!r}, which no framework has as evolr has it; name one of {known}"
        )
    return named
