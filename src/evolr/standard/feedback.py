"""The families that read the training: its validation loss, its losses, gradients and weights.

Those of gradients are their papers' rules, of the batch before: a schedule sets a learning rate before the step of which
it would be. At the first step it is the same batch, since the untrained network's gradient on it is shown. All of them are
checked against optax, where it has them, on real trainings.

Since a rate meets the gradient after the one that it was made of, one batch without a gradient would make the next step's
rate as large as the rule's own guard against 0 lets it: `most` bounds what the rule gives before its scale.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from evolr.errors import ScheduleError
from evolr.signals.plateau import Plateau
from evolr.standard.family import Family, FreeConstant


def _least_of_plateaus(values: Mapping[str, float]) -> dict[str, float]:
    """Where reductions end: at min_lr, or at the first learning rate of which a reduction would take no more than eps."""
    base, factor, min_lr, eps = (values[name] for name in ("base", "factor", "min_lr", "eps"))
    if not (base > 0 and 0 <= factor < 1 and min_lr >= 0 and eps >= 0):
        raise ScheduleError(
            f"reduce on plateau has base > 0, 0 ≤ factor < 1, min_lr ≥ 0 and eps ≥ 0, got {base}, {factor}, {min_lr}, {eps}"
        )

    def reduced(rate: float) -> float:
        lower = max(rate * factor, min_lr)
        return lower if rate - lower > eps else rate

    if eps == min_lr == 0:
        return {"least": 0.0}
    rate = base
    if min_lr < base and factor > 0:  # to some reductions before the last one
        ends = [min(end / base, 1.0) for end in (min_lr, eps / (1 - factor)) if end > 0]
        done = min(math.log(end) / math.log(factor) for end in ends)
        rate = base * factor ** max(math.floor(done) - 2, 0)
    while (lower := reduced(rate)) != rate:
        rate = lower
    return {"least": rate}


REDUCE_ON_PLATEAU: Final = Family(
    "reduce on plateau",
    "max(least, base*factor**plateaus)",
    (
        FreeConstant("base", 1e-4, 2.0, 1e-2, "log", is_scale=True),
        FreeConstant("factor", 0.05, 0.9, 0.1, "log"),
        FreeConstant("patience", 0, 8, 3, "integer"),
    ),
    "torch ReduceLROnPlateau, by val_loss, with its defaults for the rest",
    _least_of_plateaus,
    (("threshold", 1e-4), ("cooldown", 0), ("min_lr", 0.0), ("eps", 1e-8)),
    lambda values: Plateau(
        patience=_whole(values["patience"]), threshold=values["threshold"], cooldown=_whole(values["cooldown"])
    ),
)


def _whole(value: float) -> Any:
    """A whole number as int; what is none is left for Plateau to refuse."""
    return int(value) if float(value).is_integer() else value


# --- of the gradient ------------------------------------------------------------------------------------------------------

_UNIT: Final = FreeConstant("scale", 1e-2, 1e2, 1.0, "log", is_scale=True)

ADAGRAD_NORM: Final = Family(
    "AdaGrad-Norm",
    "base/sqrt(start**2 + grad_norm_rss**2)",
    (
        FreeConstant("base", 1e-3, 1e2, 1.0, "log", is_scale=True),
        FreeConstant("start", 1e-4, 1e2, 1e-1, "log"),
    ),
    "Ward, Wu and Bottou 2019; Streeter and McMahan 2010",
)

DOG: Final = Family(
    "DoG",
    "scale*distance/sqrt(grad_norm_rss**2 + 1e-8)",
    (_UNIT,),
    "Ivgi, Hinder and Carmon 2023; optax.contrib.dog",
)

NORMALISED: Final = Family(
    "normalised gradient",
    "base*min(most, 1/(grad_norm + 1e-8))",
    (FreeConstant("base", 1e-4, 10.0, 1e-2, "log", is_scale=True),),
    "Hazan, Levy and Shalev-Shwartz 2015; Cutkosky and Mehta 2020",
    fixed=(("most", 1e4),),
)

POLYAK: Final = Family(
    "Polyak step",
    "scale*min(most, max(0, loss - least)/grad_norm**2)",
    (_UNIT, FreeConstant("most", 1e-3, 1e2, 1.0, "log")),
    "Loizou et al. 2021 (SPS_max; scale is its 1/c, scale·most its γ); optax.polyak_sgd",
    fixed=(("least", 0.0),),
)

TRUST_RATIO: Final = Family(
    "trust ratio",
    "base*min(most, weight_norm/(update_norm + 1e-8))",
    (FreeConstant("base", 1e-5, 1.0, 1e-3, "log", is_scale=True),),
    "You, Gitman and Ginsburg 2017 (LARS), of all weights together; optax.scale_by_trust_ratio",
    fixed=(("most", 1e4),),
)

L4: Final = Family(
    "L4",
    "pace*min(most, max(0, loss - kept*best_loss)/(grad_norm*update_norm + 1e-12))",
    (FreeConstant("pace", 1e-3, 10.0, 0.15, "log", is_scale=True), FreeConstant("kept", 0.1, 1.0, 0.9)),
    "Rolinek and Martius 2018, the optimiser's direction taken as the gradient's, the least loss not forgotten",
    fixed=(("most", 1e3),),
)

FEEDBACK: Final = (REDUCE_ON_PLATEAU, ADAGRAD_NORM, DOG, NORMALISED, POLYAK, TRUST_RATIO, L4)
