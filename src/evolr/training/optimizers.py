"""The optimisers, as settings; optax does the work.

A schedule gives the learning rate of each step, so what is built here is the direction alone: the trainer
subtracts learning rate × direction.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from evolr.errors import ConfigError

OptimizerName = Literal["sgd", "momentum", "adam", "adamw"]


class Optimizer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An optimiser's settings. Each optimiser reads those that it has; the defaults are optax's.

    momentum: of `momentum`, in [0, 1). beta1, beta2, epsilon: of `adam` and `adamw`.
    weight_decay: of `adamw`, decoupled: scaled by the learning rate, as in optax and PyTorch.
    """

    name: OptimizerName = "adam"
    momentum: float = 0.9
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 1e-4

    def __post_init__(self) -> None:
        for name in ("momentum", "beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"training.optimizer.{name} must be in [0, 1), got {getattr(self, name)}")
        if not self.epsilon > 0:
            raise ConfigError(f"training.optimizer.epsilon must be positive, got {self.epsilon}")
        if not self.weight_decay >= 0:
            raise ConfigError(f"training.optimizer.weight_decay must not be negative, got {self.weight_decay}")

    def direction(self) -> Any:
        """The optax transformation from gradients to directions."""
        import optax

        adam = optax.scale_by_adam(b1=self.beta1, b2=self.beta2, eps=self.epsilon)
        match self.name:
            case "sgd":
                return optax.identity()
            case "momentum":
                return optax.trace(decay=self.momentum)
            case "adam":
                return adam
            case "adamw":
                return optax.chain(adam, optax.add_decayed_weights(self.weight_decay))
