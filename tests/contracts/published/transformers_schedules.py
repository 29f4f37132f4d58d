"""transformers.optimization: every open-loop schedule that `get_scheduler` knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from transformers import optimization as hf

from tests.contracts.published.case import TOTAL_STEPS, Published, from_torch

_WARMED: Final = "step/max(1, num_warmup_steps) if step < num_warmup_steps else "
_PROGRESS: Final = "(step - num_warmup_steps)/max(1, num_training_steps - num_warmup_steps)"
_STEPS: Final = {"num_warmup_steps": 100, "num_training_steps": TOTAL_STEPS}
_WSD: Final = {"num_warmup_steps": 100, "num_stable_steps": 600, "num_decay_steps": 300, "min_lr_ratio": 0.1}
_WSD_PROGRESS: Final = "(step - num_warmup_steps - num_stable_steps)/max(1, num_decay_steps)"


def _published(
    name: str, source: str, text: str, schedule: Any, *, lr: float, constants: Mapping[str, float]
) -> Published:
    return Published(name, f"transformers {source}", text, from_torch(schedule, lr), constants)


def _wsd(warmup_type: str, warmup: str, decay_type: str, decay: str) -> Published:
    """A warm-up, stable and decay schedule by the factors of its two slopes, which `ratio` then lifts from zero."""
    text = (
        f"3e-4*(({warmup})*(1 - min_lr_ratio) + min_lr_ratio if step < num_warmup_steps "
        "else 1.0 if step < num_warmup_steps + num_stable_steps "
        f"else ({decay})*(1.0 - min_lr_ratio) + min_lr_ratio)"
    )
    return _published(
        f"WSD, {warmup_type} and {decay_type}",
        f"get_wsd_schedule(warmup_type='{warmup_type}', decay_type='{decay_type}')",
        text,
        lambda o: hf.get_wsd_schedule(o, **_WSD, warmup_type=warmup_type, decay_type=decay_type),
        lr=3e-4,
        constants=_WSD,
    )


CASES: Final = (
    _published(
        "constant with warm-up", "get_constant_schedule_with_warmup", f"5e-5*({_WARMED}1.0)",
        lambda o: hf.get_constant_schedule_with_warmup(o, 100), lr=5e-5, constants=_STEPS,
    ),
    _published(
        "linear with warm-up", "get_linear_schedule_with_warmup; Devlin et al. 2019 (BERT)",
        f"5e-5*({_WARMED}max(0.0, (num_training_steps - step)/max(1, num_training_steps - num_warmup_steps)))",
        lambda o: hf.get_linear_schedule_with_warmup(o, 100, TOTAL_STEPS), lr=5e-5, constants=_STEPS,
    ),
    _published(
        "linear with warm-up, at once", "get_linear_schedule_with_warmup, as people write it",
        "5e-5*min(step/100, (total_steps - step)/(total_steps - 100))",
        lambda o: hf.get_linear_schedule_with_warmup(o, 100, TOTAL_STEPS), lr=5e-5, constants={},
    ),
    _published(
        "cosine with warm-up", "get_cosine_schedule_with_warmup",
        f"5e-5*({_WARMED}max(0.0, 0.5*(1.0 + math.cos(math.pi*0.5*2.0*{_PROGRESS}))))",
        lambda o: hf.get_cosine_schedule_with_warmup(o, 100, TOTAL_STEPS), lr=5e-5, constants=_STEPS,
    ),
    _published(
        "cosine with warm-up, three half waves", "get_cosine_schedule_with_warmup(num_cycles=1.5)",
        f"5e-5*({_WARMED}max(0.0, 0.5*(1.0 + math.cos(math.pi*1.5*2.0*{_PROGRESS}))))",
        lambda o: hf.get_cosine_schedule_with_warmup(o, 100, TOTAL_STEPS, num_cycles=1.5), lr=5e-5, constants=_STEPS,
    ),
    _published(
        "cosine with hard restarts", "get_cosine_with_hard_restarts_schedule_with_warmup(num_cycles=3)",
        f"5e-5*({_WARMED}max(0.0, 0.5*(1.0 + math.cos(math.pi*((3*({_PROGRESS})) % 1.0)))))",
        lambda o: hf.get_cosine_with_hard_restarts_schedule_with_warmup(o, 100, TOTAL_STEPS, num_cycles=3),
        lr=5e-5, constants=_STEPS,
    ),
    _published(
        "polynomial with warm-up", "get_polynomial_decay_schedule_with_warmup(lr_end=1e-7, power=1)",
        "lr_init*step/100 if step < 100 else (lr_init - lr_end)*(1 - (step - 100)/900)**power + lr_end",
        lambda o: hf.get_polynomial_decay_schedule_with_warmup(o, 100, TOTAL_STEPS), lr=5e-5,
        constants={"lr_init": 5e-5, "lr_end": 1e-7, "power": 1.0},
    ),
    _published(
        "polynomial with warm-up, past its end", "get_polynomial_decay_schedule_with_warmup(700 steps, power=3)",
        "lr_init*step/100 if step < 100 else lr_end if step > 700 "
        "else (lr_init - lr_end)*(1 - (step - 100)/(700 - 100))**power + lr_end",
        lambda o: hf.get_polynomial_decay_schedule_with_warmup(o, 100, 700, lr_end=1e-6, power=3.0), lr=5e-5,
        constants={"lr_init": 5e-5, "lr_end": 1e-6, "power": 3.0},
    ),
    _published(
        "inverse square root", "get_inverse_sqrt_schedule(num_warmup_steps=100)",
        f"1e-3*({_WARMED}1.0/math.sqrt(step/num_warmup_steps))",
        lambda o: hf.get_inverse_sqrt_schedule(o, 100), lr=1e-3, constants=_STEPS,
    ),
    _published(
        "inverse square root, timescale", "get_inverse_sqrt_schedule(timescale=10_000)",
        f"1e-3*({_WARMED}1.0/math.sqrt((step + 10_000 - num_warmup_steps)/10_000))",
        lambda o: hf.get_inverse_sqrt_schedule(o, 100, timescale=10_000), lr=1e-3, constants=_STEPS,
    ),
    _published(
        "cosine to a least rate", "get_cosine_with_min_lr_schedule_with_warmup(min_lr_rate=0.1)",
        f"1e-4*({_WARMED}0.5*(1.0 + math.cos(math.pi*{_PROGRESS}))*(1 - 0.1) + 0.1)",
        lambda o: hf.get_cosine_with_min_lr_schedule_with_warmup(o, 100, TOTAL_STEPS, min_lr_rate=0.1), lr=1e-4, constants=_STEPS,
    ),
    _published(
        "cosine to a least rate, warm-up from another",
        "get_cosine_with_min_lr_schedule_with_warmup_lr_rate(min_lr_rate=0.1, warmup_lr_rate=0.01)",
        "1e-4*((step*(1.0 - 0.01)/max(1, num_warmup_steps - 1)) + 0.01 if step < num_warmup_steps "
        "else 0.5*(1.0 + math.cos(math.pi*(step - num_warmup_steps + 1.0)/(num_training_steps - num_warmup_steps)))"
        "*(1 - 0.1) + 0.1)",
        lambda o: hf.get_cosine_with_min_lr_schedule_with_warmup_lr_rate(
            o, 100, TOTAL_STEPS, min_lr_rate=0.1, warmup_lr_rate=0.01
        ),
        lr=1e-4, constants=_STEPS,
    ),
    _wsd("linear", "step/num_warmup_steps", "linear", f"1.0 - {_WSD_PROGRESS}"),
    _wsd(
        "cosine", "0.5*(1.0 - math.cos(math.pi*step/num_warmup_steps))",
        "cosine", f"0.5*(1.0 + math.cos(math.pi*0.5*2.0*{_WSD_PROGRESS}))",
    ),
    _wsd(
        "1-sqrt", "1.0 - math.sqrt(1.0 - step/num_warmup_steps)",
        "1-sqrt", f"1.0 - math.sqrt({_WSD_PROGRESS})",
    ),
)  # fmt: skip
