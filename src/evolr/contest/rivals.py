"""The rivals: optimisers that find their own step size, which a user would take in place of a schedule.

Each is an optimiser with a schedule of its own, as its authors advise. It enters twice: as advised, and with its one
constant tuned at the families' budget. Sources: the optimisers' own READMEs and papers, and the docstrings of optax.contrib.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from evolr.schedule import Schedule
from evolr.standard import Family, FreeConstant
from evolr.training.optimizers import Base, Optimizer, OptimizerName

TUNED: Final = " (tuned)"

_FACTOR: Final = FreeConstant("factor", 1e-2, 1e2, 1.0, "log", is_scale=True)
_CONSTANT, _LINEAR, _COSINE = "{}", "{}*(1 - progress)", "{}/2*(1 + cos(pi*progress))"
_WARMED_UP: Final = "{}*min(1, progress/warmup)"
_WARMUP: Final = (("warmup", 0.05),)


@dataclass(frozen=True, slots=True)
class Rival:
    """A rival. optimizers: by the optimiser that the study trains by. family: its schedule, with the one constant.

    fixed: settings of its optimiser that are its authors', whatever the study's.
    """

    name: str
    optimizers: Mapping[Base, OptimizerName]
    family: Family
    fixed: Mapping[str, float] = field(default_factory=dict[str, float])

    def optimizer(self, of_study: Optimizer) -> Optimizer:
        """Its optimiser beside a study's: what both have is as the study has it, the weight decay say."""
        return msgspec.structs.replace(of_study, name=self.optimizers[of_study.design.base], **self.fixed)

    @property
    def schedule(self) -> Schedule:
        """Its schedule as advised."""
        return self.family.schedule()

    @property
    def constants(self) -> dict[str, float]:
        """Its constant as advised."""
        return {constant.name: constant.default for constant in self.family.constants}


def rivals_of(optimizer: Optimizer) -> list[Rival]:
    """The rivals of a schedule that is found for an optimiser: of Adam in their Adam-like form, of SGD in their SGD-like form;
    D-Adaptation and Prodigy have the one, DoG the other, and enter as they are.
    """
    return [rival for rival in _RIVALS if optimizer.design.base in rival.optimizers]


def _family(name: str, formula: str, constant: FreeConstant, source: str) -> Family:
    fixed = _WARMUP if "warmup" in formula else ()
    return Family(name, formula.format(constant.name), (constant,), source, fixed=fixed)


def _rate(low: float, high: float, default: float) -> FreeConstant:
    return FreeConstant("rate", low, high, default, "log", is_scale=True)


def _adam_like(method: str) -> Mapping[Base, OptimizerName]:
    plain, decayed = f"{method}_adam", f"{method}_adamw"
    return msgspec.convert(
        {"sgd": plain, "momentum": plain, "adam": plain, "adamw": decayed}, dict[Base, OptimizerName]
    )


_RIVALS: Final = (
    Rival(
        "DoG averaged",
        {"sgd": "dog", "momentum": "dog", "adam": "dog", "adamw": "dog"},
        _family(
            "DoG averaged",
            _CONSTANT,
            _FACTOR,
            "Ivgi, Hinder and Carmon 2023: learning rate 1, judged by the average of its iterates; optax.contrib.dog",
        ),
    ),
    Rival(
        "D-Adaptation",
        _adam_like("dadapt"),
        _family(
            "D-Adaptation",
            _LINEAR,
            _FACTOR,
            "Defazio and Mishchenko 2023: learning rate 1 and the usual schedule; optax.contrib.dadapt_adamw, which advises a "
            "linear one",
        ),
    ),
    Rival(
        "Prodigy",
        _adam_like("prodigy"),
        _family(
            "Prodigy",
            _COSINE,
            _FACTOR,
            "Mishchenko and Defazio 2023: learning rate 1 and cosine annealing (the factor is its d_coef, but for its first "
            "estimate); optax.contrib.prodigy",
        ),
    ),
    Rival(
        "Mechanic",
        {"sgd": "mechanic_sgd", "momentum": "mechanic_momentum", "adam": "mechanic_adam", "adamw": "mechanic_adamw"},
        _family(
            "Mechanic",
            _COSINE,
            _FACTOR,
            "Cutkosky, Defazio and Mehta 2023: around the study's optimiser, at learning rate 1 and the usual schedule; "
            "optax.contrib.mechanize",
        ),
    ),
    Rival(
        "MoMo",
        {"sgd": "momo", "momentum": "momo"},
        _family(
            "MoMo",
            _CONSTANT,
            _rate(1e-2, 1e2, 1.0),
            "Schaipp, Ohana, Eickenberg, Defazio and Gower 2023: a constant learning rate of 1, momentum 0.9; optax.contrib.momo",
        ),
        {"momentum": 0.9},
    ),
    Rival(
        "MoMo-Adam",
        {"adam": "momo_adam", "adamw": "momo_adamw"},
        _family(
            "MoMo-Adam",
            _CONSTANT,
            _rate(1e-4, 1.0, 1e-2),
            "Schaipp, Ohana, Eickenberg, Defazio and Gower 2023: a constant learning rate of 0.01; optax.contrib.momo_adam",
        ),
    ),
    Rival(
        "schedule-free SGD",
        {"sgd": "schedule_free_sgd", "momentum": "schedule_free_sgd"},
        _family(
            "schedule-free SGD",
            _WARMED_UP,
            _rate(1e-2, 1e2, 1.0),
            "Defazio et al. 2024: a warm-up, here of 5 %, to 1, and β = 0.9; optax.contrib.schedule_free_sgd",
        ),
        {"momentum": 0.9},
    ),
    Rival(
        "schedule-free AdamW",
        {"adam": "schedule_free_adam", "adamw": "schedule_free_adamw"},
        _family(
            "schedule-free AdamW",
            _WARMED_UP,
            _rate(1e-4, 1.0, 2.5e-3),
            "Defazio et al. 2024: a warm-up, here of 5 %, to 0.0025; optax.contrib.schedule_free_adamw",
        ),
    ),
)
