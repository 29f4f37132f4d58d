"""The compiled functions of the trainer: what happens to a run, in terms of one run, and spread over devices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

from evolr.expression import SIGNALS
from evolr.expression.plateau import FIRST, PlateauCounts, validated
from evolr.expression.signals import EMA_DECAY, clock
from evolr.training.interpreter import PackedSchedules, learning_rate
from evolr.training.optimizers import Optimizer
from evolr.training.primitives import unfolded
from evolr.training.task import Task, Tree

_NAN = float("nan")


class Run(NamedTuple):
    """The state of a run between epochs. A run whose loss is not finite is over: it takes no more steps.

    seed_number: the place of its seed among those of its chunk. epoch, epochs: done, and in all.
    loss: of the latest batch. val_loss: at the latest epoch's end. lr: of the latest step. validations: what counts the
    stale epochs and the plateaus. loss_ema: as the signal.
    """

    schedule: PackedSchedules
    seed_number: Any
    epoch: Any
    epochs: Any
    parameters: Tree
    optimizer: Tree
    loss: Any
    val_loss: Any
    lr: Any
    validations: PlateauCounts
    loss_ema: Any


class Record(NamedTuple):
    """What an epoch leaves behind: scalars, and learning_rates (steps,); NaN where there was no step."""

    train_loss: Any
    val_loss: Any
    val_score: Any
    learning_rates: Any


class Start(NamedTuple):
    """What a run starts from. is_active: False for a slot that has no trial, whose run is over at once."""

    schedule: PackedSchedules
    seed_number: Any
    epochs: Any
    is_active: Any


class Programs(NamedTuple):
    """The compiled functions. What is per run has a leading axis of runs, what is per seed one of seeds.

    begin: (starts, initial parameters by seed, first batches by seed, monitor) → runs.
    advance: (runs, batches by seed, monitor) → (runs, record); the runs given are consumed.
    judge: (runs, examples) → scores.
    """

    begin: Callable[..., Run]
    advance: Callable[..., tuple[Run, Record]]
    judge: Callable[..., Any]


def build(task: Task, optimizer: Optimizer, mesh: Mesh, *, batched: bool) -> Programs:
    """The functions of a task; compiled on first use. batched: a device trains its runs all at once."""
    single = _SingleRun(task, optimizer.direction())

    def each(function: Callable[..., Any], *per_run: Any) -> Any:
        return jax.vmap(function)(*per_run) if batched else jax.lax.map(lambda a: function(*a), per_run)

    def begin(starts: Start, initial: Tree, batches: Tree, monitor: Tree) -> Run:
        losses = each(lambda p, b: single.untrained_losses(p, b, monitor), initial, batches)
        return each(lambda start: single.begin(start, initial, losses), starts)

    def advance(runs: Run, batches: Tree, monitor: Tree) -> tuple[Run, Record]:
        return each(lambda run: single.epoch(run, batches, monitor), runs)

    def judge(runs: Run, examples: Tree) -> Any:
        return each(lambda run: single.evaluate(run, examples)[1], runs)

    def spread(function: Callable[..., Any], shared: int, **options: Any) -> Callable[..., Any]:
        """The function with its first argument spread over the devices and `shared` others on each of them."""
        runs, copied = PartitionSpec("runs"), PartitionSpec()
        specs = (runs, *[copied] * shared)
        mapped = jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=runs, check_vma=False)
        return jax.jit(mapped, **options)

    return Programs(spread(begin, 3), spread(advance, 2, donate_argnums=0), spread(judge, 1))


@dataclass(frozen=True, slots=True)
class _SingleRun:
    """What happens to one run."""

    task: Task
    direction: Any  # optax.GradientTransformation

    def untrained_losses(self, parameters: Tree, batches: Tree, monitor: Tree) -> tuple[Any, Any]:
        """The signals `loss` and `val_loss` before the first step."""
        first = jax.tree.map(lambda a: a[0], batches)
        return _float32(self.task.loss(parameters, first)), _float32(self.task.evaluate(parameters, monitor)[0])

    def begin(self, start: Start, initial: Tree, losses: tuple[Any, Any]) -> Run:
        parameters = jax.tree.map(lambda a: a[start.seed_number], initial)
        loss, val_loss = (by_seed[start.seed_number] for by_seed in losses)
        return Run(
            schedule=start.schedule,
            seed_number=start.seed_number,
            epoch=jnp.int32(0),
            epochs=start.epochs,
            parameters=parameters,
            optimizer=self.direction.init(parameters),
            loss=jnp.where(start.is_active, loss, _NAN),
            val_loss=val_loss,
            lr=jnp.float32(0),
            validations=PlateauCounts(*map(_float32, FIRST)),
            loss_ema=loss,
        )

    def epoch(self, run: Run, batches: Tree, monitor: Tree) -> tuple[Run, Record]:
        """The run after an epoch; batches by seed, each array (seeds, steps, …)."""
        steps = self.task.steps_per_epoch

        def is_running(carry: Any) -> Any:
            step, run, *_ = carry
            return (step < steps) & jnp.isfinite(run.loss)

        def train_step(carry: Any) -> Any:
            step, run, total_loss, rates = carry
            rate = learning_rate(run.schedule, _signals(run, step, steps))
            batch = jax.tree.map(lambda a: a[run.seed_number, step], batches)
            run = self.step(run, batch, rate)
            return step + 1, run, total_loss + run.loss, rates.at[step].set(rate)

        start = (jnp.int32(0), run, jnp.float32(0), jnp.full(steps, _NAN, jnp.float32))
        _, run, total_loss, rates = jax.lax.while_loop(is_running, train_step, start)
        val_loss, val_score = self.evaluate(run, monitor)
        # An epoch that ends with a validation loss that is not finite is the run's last.
        loss = jnp.where(jnp.isfinite(val_loss), run.loss, _NAN)
        run = run._replace(
            epoch=run.epoch + 1,
            loss=loss,
            val_loss=val_loss,
            validations=validated(run.validations, val_loss, 1, run.schedule.plateau, jnp.where),
        )
        return run, Record(total_loss / steps, val_loss, val_score, rates)

    def step(self, run: Run, batch: Tree, rate: Any) -> Run:
        loss, gradients = jax.value_and_grad(self.task.loss)(run.parameters, batch)
        directions, optimizer = self.direction.update(gradients, run.optimizer, run.parameters)
        parameters = jax.tree.map(lambda p, d: p - rate * d, run.parameters, directions)
        loss = _float32(loss)
        loss_ema = EMA_DECAY * run.loss_ema + (1 - EMA_DECAY) * loss
        return run._replace(parameters=parameters, optimizer=optimizer, loss=loss, lr=rate, loss_ema=loss_ema)

    def evaluate(self, run: Run, examples: Tree) -> tuple[Any, Any]:
        """Loss and score on examples; NaN for a run that is over, which costs no time."""

        def value(parameters: Tree) -> tuple[Any, Any]:
            loss, score = self.task.evaluate(parameters, examples)
            return _float32(loss), _float32(score)

        nothing = (jnp.float32(_NAN), jnp.float32(_NAN))
        return jax.lax.cond(jnp.isfinite(run.loss), value, lambda _: nothing, run.parameters)


def _signals(run: Run, step: Any, steps: int) -> Any:
    """What a run shows its schedule before a step: (number of signals,), in the table's order."""
    taken = run.epoch * steps + step
    values = {
        **clock(taken, run.epochs * steps, unfolded(steps, taken)),
        "loss": run.loss,
        "val_loss": run.val_loss,
        "lr": run.lr,
        "stale_epochs": run.validations.stale_epochs,
        "plateaus": run.validations.plateaus,
        "loss_ema": run.loss_ema,
    }
    return jnp.stack([_float32(values[name]) for name in SIGNALS])


def _float32(value: Any) -> Any:
    return jnp.asarray(value, jnp.float32)
