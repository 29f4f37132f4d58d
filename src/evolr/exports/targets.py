"""The targets of an export: what each is for, which signals it can supply, and how its file is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, cast

from evolr.errors import ScheduleError, unknown_name
from evolr.exports.document import document, reads_plateaus
from evolr.exports.example import ExampleOptimizer
from evolr.exports.formula import JAX
from evolr.exports.linking import Import
from evolr.schedule import Schedule
from evolr.signals import OBSERVATIONS, SIGNALS, in_order, observation_named, observed, signal_named
from evolr.signals.signal import USER_SOURCE
from evolr.training.optimizers import Optimizer

_ANY: Final = Import("typing", "Any", None)


@dataclass(frozen=True, slots=True)
class Target:
    """What a schedule can be exported to.

    write: (schedule, provenance, the optimiser of its example) → the file's text. cannot: sources of signals (signals/table.py) that it cannot supply;
    is_open_loop: whether it can supply the clock alone.
    """

    name: str
    write: Callable[[Schedule, Mapping[str, Any], ExampleOptimizer], str]
    cannot: tuple[str, ...] = ()
    is_open_loop: bool = False

    def lacks(self, signals: Iterable[str]) -> list[str]:
        """Those of some signals that it cannot supply, by name."""
        rows = map(signal_named, sorted(signals))
        return [
            row.name
            for row in rows
            if row.live and (self.is_open_loop or observation_named(row.of).source in self.cannot)
        ]


def source(
    schedule: Schedule, target: str, provenance: Mapping[str, Any] | None = None, optimizer: Optimizer | None = None
) -> str:
    """The text of a Python file that holds a schedule for a target, and needs no evolr.

    >>> from evolr.expression import parse
    >>> "def learning_rate(*, progress: float)" in source(Schedule(expression=parse("1 - progress")), "python")
    True

    provenance: what the file's docstring is to say of where the schedule comes from. optimizer: that it was found with, of
    which its example is; Adam where None, since nobody knows it.
    Raises ScheduleError for an unknown target, and where the schedule reads a signal that the target cannot supply.
    """
    require_target(target)
    chosen = TARGETS[target]
    if missing := chosen.lacks(schedule.signals):
        able = [t.name for t in TARGETS.values() if not t.lacks(schedule.signals)]
        raise ScheduleError(
            f"the target {target!r} cannot supply {', '.join(missing)}, which the schedule reads; {', '.join(able)} can. "
            "Or export a run's typical curve, frozen: --frozen"
        )
    return chosen.write(schedule, provenance or {}, ExampleOptimizer(optimizer or Optimizer()))


def require_target(target: str) -> None:
    """Raises ScheduleError for an unknown target."""
    if not isinstance(cast("Any", target), str) or target not in TARGETS:
        raise ScheduleError(unknown_name("target", target, TARGETS))


def _python(schedule: Schedule, provenance: Mapping[str, Any], _: ExampleOptimizer) -> str:
    given = {"progress": "step / total_steps", "epoch_progress": "batch / batches"}
    given |= {name: f"counts.{name}" for name, signal in SIGNALS.items() if signal.needs_plateau}
    arguments = [f"{name}={given.get(name, name)}" for name in in_order(schedule.signals)]
    call = ", ".join(arguments) if len(arguments) < 4 else "\n        " + ",\n        ".join(arguments) + ",\n    "
    if not reads_plateaus(schedule):
        usage = f"for step in range(total_steps):\n    lr = learning_rate({call})\n    ..."
        return document(schedule, provenance, usage=usage)
    usage = f"""
counts = PlateauCounts(*FIRST)
for epoch in range(epochs):
    lr = learning_rate({call})
    ...
    counts = validated(counts, val_loss, 1, PLATEAU)
"""
    return document(
        schedule,
        provenance,
        usage=usage,
        roots=[("evolr.signals.plateau", name) for name in ("FIRST", "PlateauCounts", "PlateauRule", "validated")],
        closing=f"PLATEAU = {schedule.plateau_rule}",
        has_rule=False,
    )


def _told(schedule: Schedule) -> tuple[str, str]:
    """The arguments of a training's first losses, and of a step's, as far as the schedule reads them."""
    begins_with = [signal_named(name).begins_with for name in in_order(schedule.signals) if signal_named(name).live]
    needed = {name for name in begins_with if name is not None}
    told = [name for name in (*OBSERVATIONS, *sorted(needed - OBSERVATIONS.keys())) if name in needed]
    told = [name for name in told if not observation_named(name).is_measured]
    steps = [name for name in told if not observation_named(name).is_of_validation]
    return "".join(f", {name}=first_{name}" for name in told), ", ".join(f"{name}={name}" for name in steps)


def _validations(schedule: Schedule) -> list[str]:
    """What the schedule needs of validations, by name."""
    read = observed(schedule.signals)
    return [name for name, observation in OBSERVATIONS.items() if name in read and observation.is_of_validation]


def _reads_network(schedule: Schedule) -> bool:
    """Whether the schedule needs what an adapter measures."""
    return any(observation_named(name).is_measured for name in observed(schedule.signals))


def _torch(schedule: Schedule, provenance: Mapping[str, Any], optimizer: ExampleOptimizer) -> str:
    first, step = _told(schedule)
    usage = f"""
optimizer = {optimizer.torch("model.parameters()")}
horizon = {{"total_steps": epochs * len(loader), "steps_per_epoch": len(loader)}}
lr_scheduler = scheduler(optimizer, **horizon{first})
for epoch in range(epochs):
    for inputs, targets in loader:
        ...
        optimizer.step()
        lr_scheduler.step({step})
"""
    if validations := _validations(schedule):
        arguments = ", ".join(f"{name}={name}" for name in validations)
        usage += f"    {', '.join(validations)} = validate(model)\n    lr_scheduler.observe({arguments})\n"
    return document(
        schedule,
        provenance,
        usage=usage,
        roots=[("evolr.torch", "ExpressionLR")],
        imports=[_ANY],
        closing='''
def scheduler(
    optimizer: Optimizer, *, total_steps: int, steps_per_epoch: int | None = None, **settings: Any
) -> ExpressionLR:
    """The scheduler of this schedule; for the settings see ExpressionLR."""
    return ExpressionLR(optimizer, Champion, total_steps=total_steps, steps_per_epoch=steps_per_epoch, **settings)
''',
    )


def _huggingface(schedule: Schedule, provenance: Mapping[str, Any], optimizer: ExampleOptimizer) -> str:
    usage = f"""
optimizer = {optimizer.torch("model.parameters()")}
lr_scheduler = scheduler(optimizer, 1e-3, total_steps=total_steps, steps_per_epoch=steps_per_epoch)
trainer = transformers.Trainer(model, arguments, optimizers=(optimizer, lr_scheduler), ...)
"""
    return document(
        schedule,
        provenance,
        usage=usage,
        roots=[("evolr.torch", "lr_lambda")],
        imports=[Import("torch.optim", "Optimizer", None), Import("torch.optim.lr_scheduler", "LambdaLR", None)],
        closing='''
def scheduler(
    optimizer: Optimizer, base_lr: float, *, total_steps: int, steps_per_epoch: int | None = None
) -> LambdaLR:
    """The schedule as torch's LambdaLR. base_lr: the optimiser's own; parameter groups keep their ratio to it."""
    return LambdaLR(optimizer, lr_lambda(Champion, base_lr, total_steps=total_steps, steps_per_epoch=steps_per_epoch))
''',
    )


def _optax(schedule: Schedule, provenance: Mapping[str, Any], optimizer: ExampleOptimizer) -> str:
    if schedule.expression.is_open_loop:
        return document(
            schedule,
            provenance,
            usage=f"optimizer = {optimizer.optax('schedule(total_steps=3000, steps_per_epoch=100)')}",
            roots=[("evolr.loop", "open_loop_rates"), ("evolr.optax", "table")],
            imports=[Import("optax", None, None)],
            closing='''
def schedule(*, total_steps: int, steps_per_epoch: int | None = None) -> optax.Schedule:
    """The learning rate of each count, for any optimiser of optax; from total_steps on, that of the last step."""
    return table(open_loop_rates(Champion, total_steps, steps_per_epoch))
''',
        )
    first, _ = _told(schedule)
    told = [*(["value=loss"] if "loss=" in first else []), *(f"{name}={name}" for name in _validations(schedule))]
    call = ", ".join(["gradients", "state", "parameters", *told])
    if _reads_network(schedule):
        return document(
            schedule,
            provenance,
            usage=f"""
optimizer = champion_optimizer({optimizer.optax_direction}, total_steps=3000, steps_per_epoch=100)
updates, state = optimizer.update({call})
""",
            dialect=JAX,
            roots=[("evolr.optax", "scaled_by")],
            imports=[Import("optax", None, None), Import("jax", None, None)],
            closing='''
def champion_optimizer(
    direction: optax.GradientTransformation, *, total_steps: int, steps_per_epoch: int | None = None
) -> optax.GradientTransformationExtraArgs:
    """An optimiser whose schedule sees gradients, directions and weights. direction: scale_by_adam(), trace(0.9)."""
    return scaled_by(
        Champion, total_steps=total_steps, steps_per_epoch=steps_per_epoch, flip_sign=True, direction=direction
    )
''',
        )
    usage = f"""
optimizer = optax.chain({optimizer.optax_direction}, scale_by_champion(total_steps=3000, steps_per_epoch=100))
updates, state = optimizer.update({call})
"""
    return document(
        schedule,
        provenance,
        usage=usage,
        dialect=JAX,
        roots=[("evolr.optax", "scaled_by")],
        imports=[Import("optax", None, None), Import("jax", None, None)],
        closing='''
def scale_by_champion(
    *, total_steps: int, steps_per_epoch: int | None = None, flip_sign: bool = True
) -> optax.GradientTransformationExtraArgs:
    """Multiplies updates by this schedule's learning rate: the last link of a chain."""
    return scaled_by(Champion, total_steps=total_steps, steps_per_epoch=steps_per_epoch, flip_sign=flip_sign)
''',
    )


def _keras(schedule: Schedule, provenance: Mapping[str, Any], optimizer: ExampleOptimizer) -> str:
    if schedule.expression.is_open_loop:
        return document(
            schedule,
            provenance,
            usage=f"optimizer = {optimizer.keras('ChampionSchedule(total_steps=3000, steps_per_epoch=100)')}",
            roots=[("evolr.keras", "RatesSchedule")],
            imports=[Import("keras", None, None)],
            closing='''
@keras.saving.register_keras_serializable("evolved")
class ChampionSchedule(RatesSchedule):
    """This schedule for any optimiser of Keras. Import this file before you load a model that was saved with it."""

    def __init__(self, *, total_steps: int, steps_per_epoch: int | None = None) -> None:
        super().__init__(Champion, total_steps=total_steps, steps_per_epoch=steps_per_epoch)
''',
        )
    first, _ = _told(schedule)
    first += ', score="val_accuracy"' if "val_score" in _validations(schedule) else ""
    before = f"told = dict({first.removeprefix(', ')})\n" if first else ""
    observed_optimizer = '''

def observed_optimizer(optimizer: Any) -> ObservedOptimizer:
    """An optimiser's steps, and what they show this schedule; a LossScaleOptimizer goes around it."""
    return ObservedOptimizer(optimizer, Champion.signals)
'''
    if _reads_network(schedule):
        before = f"model.compile(observed_optimizer({optimizer.keras('0.001')}), ...)\n{before}"
    return document(
        schedule,
        provenance,
        usage=f"""
{before}feedback = callback(total_steps=epochs * batches, steps_per_epoch=batches{", **told" if first else ""})
model.fit(x, y, validation_data=(x_val, y_val), epochs=epochs, callbacks=[feedback])
""",
        roots=[("evolr.keras", "ExpressionCallback")],
        imports=[_ANY],
        closing='''
def callback(*, total_steps: int, steps_per_epoch: int | None = None, **settings: Any) -> ExpressionCallback:
    """The callback of this schedule; for the settings see ExpressionCallback."""
    return ExpressionCallback(Champion, total_steps=total_steps, steps_per_epoch=steps_per_epoch, **settings)
'''
        + (observed_optimizer if _reads_network(schedule) else ""),
    )


def _lightning(schedule: Schedule, provenance: Mapping[str, Any], optimizer: ExampleOptimizer) -> str:
    first, _ = _told(schedule)
    is_fed = not schedule.expression.is_open_loop
    before = f"    first = dict({first.removeprefix(', ')})\n" if first else ""
    told = ", ".join(f'{name}="{name}"' for name in _validations(schedule))
    usage = f"""
def configure_optimizers(self):
    optimizer = {optimizer.torch("self.parameters()")}
{before}    scheduler = lr_scheduler(optimizer, self.trainer{", **first" if first else ""})
    return {{"optimizer": optimizer, "lr_scheduler": scheduler}}
"""
    if is_fed:
        usage += f"\ntrainer = lightning.Trainer(callbacks=[TellLosses({told})], ...)\n"
    return document(
        schedule,
        provenance,
        usage=usage,
        roots=[
            ("evolr.torch", "ExpressionLR"),
            ("evolr.lightning", "horizon"),
            *([("evolr.lightning", "TellLosses")] if is_fed else []),
        ],
        imports=[_ANY, Import("lightning.pytorch", "Trainer", None)],
        closing='''
def lr_scheduler(optimizer: Optimizer, trainer: Trainer, **first_losses: Any) -> dict[str, Any]:
    """What configure_optimizers returns as "lr_scheduler"; first_losses: loss and val_loss of the untrained network."""
    scheduler = ExpressionLR(optimizer, Champion, **horizon(trainer), **first_losses)
    return {"scheduler": scheduler, "interval": "step"}
''',
    )


_TARGETS = (
    Target("python", _python),
    Target("torch", _torch),
    Target("optax", _optax),
    Target("keras", _keras, cannot=(USER_SOURCE,)),
    Target("lightning", _lightning, cannot=(USER_SOURCE,)),
    Target("huggingface", _huggingface, is_open_loop=True),
)

TARGETS: Final[Mapping[str, Target]] = MappingProxyType({target.name: target for target in _TARGETS})
"""Every target by name."""
