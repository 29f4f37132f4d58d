"""The optimisers, as settings; optax does the work (moves.py).

Of a scheduled optimiser the schedule gives the learning rate of each step: the trainer subtracts learning rate × direction.
One that finds its own step size takes the schedule's value as its `learning_rate`, a factor of that step size or a bound.
"""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple, get_args

import msgspec

from evolr.errors import ConfigError, is_finite, shown
from evolr.signals import SIGNALS, observation_named

OptimizerName = Literal[
    "sgd",
    "momentum",
    "adam",
    "adamw",
    "dog",
    "dadapt_adam",
    "dadapt_adamw",
    "prodigy_adam",
    "prodigy_adamw",
    "mechanic_sgd",
    "mechanic_momentum",
    "mechanic_adam",
    "mechanic_adamw",
    "momo",
    "momo_adam",
    "momo_adamw",
    "schedule_free_sgd",
    "schedule_free_adam",
    "schedule_free_adamw",
]
_GREATEST: Final = 1e30  # of a setting: within float32

OPTIMIZERS: Final[tuple[OptimizerName, ...]] = get_args(OptimizerName)

Method = Literal["schedule", "dog", "dadapt", "prodigy", "mechanic", "momo", "schedule_free"]
Base = Literal["sgd", "momentum", "adam", "adamw"]


class Design(NamedTuple):
    """What an optimiser is.

    method: what finds the size of its steps. base: what it makes of gradients, or is made for in its place.
    """

    method: Method
    base: Base


_DESIGNS: Final[dict[OptimizerName, Design]] = {
    "sgd": Design("schedule", "sgd"),
    "momentum": Design("schedule", "momentum"),
    "adam": Design("schedule", "adam"),
    "adamw": Design("schedule", "adamw"),
    "dog": Design("dog", "sgd"),
    "dadapt_adam": Design("dadapt", "adam"),
    "dadapt_adamw": Design("dadapt", "adamw"),
    "prodigy_adam": Design("prodigy", "adam"),
    "prodigy_adamw": Design("prodigy", "adamw"),
    "mechanic_sgd": Design("mechanic", "sgd"),
    "mechanic_momentum": Design("mechanic", "momentum"),
    "mechanic_adam": Design("mechanic", "adam"),
    "mechanic_adamw": Design("mechanic", "adamw"),
    "momo": Design("momo", "momentum"),
    "momo_adam": Design("momo", "adam"),
    "momo_adamw": Design("momo", "adamw"),
    "schedule_free_sgd": Design("schedule_free", "momentum"),
    "schedule_free_adam": Design("schedule_free", "adam"),
    "schedule_free_adamw": Design("schedule_free", "adamw"),
}

PROPORTIONAL: Final[frozenset[Method]] = frozenset(("schedule", "dog", "prodigy"))
"""The methods whose step is the learning rate × something that does not depend on it."""

_OF_THE_UPDATE: Final = frozenset(s.name for s in SIGNALS.values() if observation_named(s.of).source == "update")


class Optimizer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An optimiser's settings. Each optimiser reads those that it has; the defaults are optax's.

    name: `sgd`, `momentum`, `adam`, `adamw`; or one that finds its own step size, those of optax.contrib with optax's defaults
        for what has no setting here: `dog`, `dadapt_…`, `prodigy_…`, `mechanic_…`, `momo`, `momo_…`, `schedule_free_…`, in the
        forms of SGD, momentum, Adam and AdamW that they have. `dog` is judged, as its authors advise, by the polynomial-decay
        average of its iterates (Ivgi, Hinder and Carmon 2023; their γ = 8), `schedule_free_…` by its own average.
    momentum: of `momentum`, `mechanic_momentum`, `momo`, in [0, 1); of `schedule_free_sgd` what stands for it, above 0.
    beta1, beta2, epsilon: of those with Adam in their name; beta1 of `schedule_free_adam` and `…_adamw` above 0.
    weight_decay: of those with `adamw` in their name, decoupled: scaled by the learning rate, as in optax and PyTorch.

    Raises ConfigError for a number out of range.
    """

    name: OptimizerName = "adam"
    momentum: float = 0.9
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 1e-4

    def __post_init__(self) -> None:
        for name in ("momentum", "beta1", "beta2"):
            if not (is_finite(getattr(self, name)) and 0 <= getattr(self, name) < 1):
                raise ConfigError(f"training.optimizer.{name} must be in [0, 1), got {shown(getattr(self, name))}")
        if not (is_finite(self.epsilon) and 0 < self.epsilon <= _GREATEST):
            raise ConfigError(
                f"training.optimizer.epsilon must be above 0 and at most {_GREATEST:g}, got {shown(self.epsilon)}"
            )
        if not (is_finite(self.weight_decay) and 0 <= self.weight_decay <= _GREATEST):
            raise ConfigError(
                f"training.optimizer.weight_decay must be from 0 to {_GREATEST:g}, got {shown(self.weight_decay)}"
            )
        if self.design.method == "schedule_free":  # optax divides by it
            name = "momentum" if self.design.base == "momentum" else "beta1"
            if not getattr(self, name) > 0:
                raise ConfigError(
                    f"training.optimizer.{name} must be in (0, 1) for {self.name}, whose average it makes, got "
                    f"{getattr(self, name)}"
                )

    @property
    def design(self) -> Design:
        return _DESIGNS[self.name]

    @property
    def text(self) -> str:
        """Its name and the settings that it reads: `momo, momentum 0.9`."""
        return ", ".join([self.name, *(f"{name} {getattr(self, name):g}" for name in self.read)])

    @property
    def read(self) -> tuple[str, ...]:
        """The settings that it reads, by name."""
        match self.design:
            case ("dog", _) | (_, "sgd"):
                return ()
            case (_, "momentum"):
                return ("momentum",)
            case (_, "adam"):
                return ("beta1", "beta2", "epsilon")
            case _:
                return ("beta1", "beta2", "epsilon", "weight_decay")

    @property
    def decay(self) -> float:
        """The weight decay that it has: 0 for one without."""
        return self.weight_decay if self.design.base == "adamw" else 0.0

    @property
    def untold(self) -> frozenset[str]:
        """The signals that are not defined under it: those of the update, which is the parameters' change ÷ learning rate, where
        the one is not in proportion to the other.
        """
        return frozenset(() if self.design.method in PROPORTIONAL else _OF_THE_UPDATE)

    def direction(self) -> Any:
        """The optax transformation from gradients to the directions of its base."""
        import optax

        adam = optax.scale_by_adam(b1=self.beta1, b2=self.beta2, eps=self.epsilon)
        match self.design.base:
            case "sgd":
                return optax.identity()
            case "momentum":
                return optax.trace(decay=self.momentum)
            case "adam":
                return adam
            case "adamw":
                return optax.chain(adam, optax.add_decayed_weights(self.weight_decay))
