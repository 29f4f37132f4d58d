"""How many steps an epoch has is asked for by everything that needs to know it."""

import warnings

import jax.numpy as jnp
import pytest
import torch

import evolr.optax
from evolr.expression import parse
from evolr.keras import ExpressionCallback, ExpressionSchedule
from evolr.loop import Loop, follow, open_loop_rates
from evolr.schedule import Schedule
from evolr.torch import ExpressionLR, lr_lambda
from evolr.views.curve import curve
from tests.frameworks.exported import exported


def sgd():
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)


def followed(schedule, *, total_steps, **settings):
    return follow(schedule, [1.0] * total_steps, [1.0] * total_steps, **settings)


CLASSES = {
    "Loop": Loop,
    "follow": followed,
    "open_loop_rates": open_loop_rates,
    "a curve": lambda schedule, *, total_steps, steps_per_epoch=None: curve(schedule, total_steps, steps_per_epoch),
    "torch": lambda schedule, **horizon: ExpressionLR(sgd(), schedule, **horizon),
    "torch, once an epoch": lambda schedule, **horizon: ExpressionLR(sgd(), schedule, interval="epoch", **horizon),
    "lr_lambda": lambda schedule, **horizon: lr_lambda(schedule, 0.1, **horizon),
    "optax": evolr.optax.schedule,
    "optax transformation": evolr.optax.scale_by_expression,
    "keras": ExpressionSchedule,
    "keras callback": ExpressionCallback,
}
FILES = {
    "torch": lambda module, **horizon: module.scheduler(sgd(), **horizon),
    "huggingface": lambda module, **horizon: module.scheduler(sgd(), 0.1, **horizon),
    "optax": lambda module, **horizon: module.schedule(**horizon),
    "keras": lambda module, **horizon: module.ChampionSchedule(**horizon),
}


def schedule(text):
    return Schedule(expression=parse(text))


def warned(make, *given, **horizon):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        make(*given, **horizon)
    assert all(w.category is UserWarning and w.filename == __file__ for w in caught)
    return [str(w.message) for w in caught]


EXPECTED = (
    "the schedule reads {}, and nobody said how many steps an epoch has: each step counts as one epoch. Give "
    "steps_per_epoch=len(loader), or steps_per_epoch=1 if a step is an epoch"
)


@pytest.mark.parametrize("name", CLASSES)
def test_a_schedule_that_reads_the_epoch_asks_for_its_steps(name):
    make = CLASSES[name]
    for text in ("epoch", "epoch_progress"):
        reads = schedule(f"0.1/(1 + {text})")
        assert warned(make, reads, total_steps=40) == [EXPECTED.format(text)]
        assert warned(make, reads, total_steps=40, steps_per_epoch=10) == []
        assert warned(make, reads, total_steps=40, steps_per_epoch=1) == []
        assert warned(make, reads, total_steps=1) == []
    assert warned(make, schedule("0.1*(1 - progress) + 0*step"), total_steps=40) == []


@pytest.mark.parametrize("name", ["Loop", "follow", "torch", "optax transformation", "keras callback"])
def test_so_does_one_that_counts_stale_epochs(name):
    reads = schedule("0.1/(1 + stale_epochs + epoch)")
    assert warned(CLASSES[name], reads, total_steps=40) == [EXPECTED.format("epoch, stale_epochs")]
    assert warned(CLASSES[name], reads, total_steps=40, steps_per_epoch=4) == []


@pytest.mark.parametrize("target", FILES)
def test_so_does_an_exported_file(target, tmp_path):
    module = exported(schedule("0.1/(1 + epoch)"), target, tmp_path)
    assert warned(FILES[target], module, total_steps=40) == [EXPECTED.format("epoch")]
    assert warned(FILES[target], module, total_steps=40, steps_per_epoch=10) == []


def test_a_saved_keras_schedule_that_was_warned_of_once_loads_in_silence():
    with pytest.warns(UserWarning, match="nobody said"):
        saved = ExpressionSchedule(schedule("0.1/(1 + epoch)"), total_steps=4).get_config()
    assert saved["steps_per_epoch"] == 1
    assert ExpressionSchedule.from_config(saved).get_config() == saved


def test_a_step_is_an_epoch_where_nobody_said_more():
    with pytest.warns(UserWarning, match="nobody said"):
        transformation = evolr.optax.scale_by_expression(schedule("epoch"), total_steps=4)
    state, found = transformation.init(jnp.ones(1)), []
    for _ in range(4):
        update, state = transformation.update(jnp.ones(1), state)
        found.append(-float(update[0]))
    with pytest.warns(UserWarning, match="nobody said"):
        assert found == pytest.approx(open_loop_rates(schedule("epoch"), 4))
