"""The compiled functions of the trainer: what happens to a run, in terms of one run, and spread over devices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

from evolr.signals import SIGNALS, Moment, begun, clock, updated, values
from evolr.training.interpreter import PackedSchedules, learning_rate
from evolr.training.measures import (
    ARRAYS,
    Level,
    Network,
    measured,
    signals_at,
    unless_still,
)
from evolr.training.moves import Moves, moves_of
from evolr.training.optimizers import Optimizer
from evolr.training.primitives import unfolded
from evolr.training.task import Task, Tree

_NAN = float("nan")


class Run(NamedTuple):
    """The state of a run between epochs. A run whose loss is not finite is over: it takes no more steps.

    seed_number: the place of its seed among those of its chunk. epoch, epochs: done, and in all.
    loss: of the latest batch. memory: what the signals remember (signals/memory.py). kept: initial weights and the latest
    direction, if everything is measured, else nothing. drawn: what its task's functions take besides, see Task.
    """

    schedule: PackedSchedules
    seed_number: Any
    epoch: Any
    epochs: Any
    parameters: Tree
    optimizer: Tree
    loss: Any
    memory: Tree
    kept: Tree
    drawn: tuple[Tree, ...]


class Record(NamedTuple):
    """What an epoch leaves behind: scalars, and learning_rates (steps,); NaN where there was no step.

    signals: (number of signals,), the mean over the epoch's steps of what the schedule saw.
    """

    train_loss: Any
    val_loss: Any
    val_score: Any
    learning_rates: Any
    signals: Any


class Start(NamedTuple):
    """What a run starts from. is_active: False for a slot that has no trial, whose run is over at once."""

    schedule: PackedSchedules
    seed_number: Any
    epochs: Any
    is_active: Any


class Programs(NamedTuple):
    """The compiled functions. What is per run has a leading axis of runs, what is per seed one of seeds.

    begin: (starts, initial parameters by seed, what is drawn by seed, first batches by seed, monitor) → runs.
    advance: (runs, batches by seed, monitor) → (runs, record); the runs given are consumed.
    judge: (runs, examples) → scores.
    """

    begin: Callable[..., Run]
    advance: Callable[..., tuple[Run, Record]]
    judge: Callable[..., Any]


def build(
    task: Task, optimizer: Optimizer, mesh: Mesh, *, batched: bool, level: frozenset[str] = Level.NOTHING
) -> Programs:
    """The functions of a task; compiled on first use. batched: a device trains its runs all at once. level: what of a
    network is measured.
    """
    single = _SingleRun(task, moves_of(optimizer), optimizer.untold, level)

    def each(function: Callable[..., Any], *per_run: Any) -> Any:
        return jax.vmap(function)(*per_run) if batched else jax.lax.map(lambda a: function(*a), per_run)

    def begin(starts: Start, initial: Tree, drawn: Tree, batches: Tree, monitor: Tree) -> Run:
        told = each(lambda p, d, b: single.untrained(p, d, b, monitor), initial, drawn, batches)
        return each(lambda start: single.begin(start, initial, drawn, told), starts)

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

    return Programs(spread(begin, 4), spread(advance, 2, donate_argnums=0), spread(judge, 1))


@dataclass(frozen=True, slots=True)
class _SingleRun:
    """What happens to one run."""

    task: Task
    moves: Moves
    untold: frozenset[str]  # signals that are not defined under the optimiser
    level: frozenset[str]  # the observations that are measured

    def untrained(self, parameters: Tree, drawn: tuple[Tree, ...], batches: Tree, monitor: Tree) -> dict[str, Any]:
        """What the training tells before its first step."""
        first = jax.tree.map(lambda a: a[0], batches)
        val_loss, val_score = self.task.evaluate(parameters, monitor, *drawn)
        told = {"val_loss": _float32(val_loss), "val_score": _float32(val_score)}
        if not self.level:
            return {**told, "loss": _float32(self.task.loss(parameters, first, *drawn))}
        loss, gradients = jax.value_and_grad(self.task.loss)(parameters, first, *drawn)
        first = self.level & {SIGNALS[name].begins_with for name in signals_at(self.level)}
        return {**told, "loss": _float32(loss), **measured(first, Network(gradients, parameters=parameters))}

    def begin(self, start: Start, initial: Tree, drawn: Tree, told_by_seed: Tree) -> Run:
        parameters, drawn = jax.tree.map(lambda a: a[start.seed_number], (initial, drawn))
        told = {name: by_seed[start.seed_number] for name, by_seed in told_by_seed.items()}
        memory = begun(signals_at(self.level), told)
        is_kept = self.level == Level.EVERYTHING
        return Run(
            schedule=start.schedule,
            seed_number=start.seed_number,
            epoch=jnp.int32(0),
            epochs=start.epochs,
            parameters=parameters,
            optimizer=self.moves.init(parameters),
            loss=jnp.where(start.is_active, told["loss"], _NAN),
            memory=jax.tree.map(_float32, memory),
            kept=(parameters, jax.tree.map(jnp.zeros_like, parameters)) if is_kept else (),
            drawn=drawn,
        )

    def epoch(self, run: Run, batches: Tree, monitor: Tree) -> tuple[Run, Record]:
        """The run after an epoch; batches by seed, each array (seeds, steps, …)."""
        steps = self.task.steps_per_epoch

        def is_running(carry: Any) -> Any:
            step, run, *_ = carry
            return (step < steps) & jnp.isfinite(run.loss)

        def train_step(carry: Any) -> Any:
            step, run, total_loss, total_seen, rates = carry
            seen = _signals(run, step, steps)
            rate = learning_rate(run.schedule, seen)
            batch = jax.tree.map(lambda a: a[run.seed_number, step], batches)
            run = self.step(run, batch, rate)
            return step + 1, run, total_loss + run.loss, total_seen + seen, rates.at[step].set(rate)

        nothing_seen = jnp.zeros(len(SIGNALS), jnp.float32)
        start = (jnp.int32(0), run, jnp.float32(0), nothing_seen, jnp.full(steps, _NAN, jnp.float32))
        _, run, total_loss, total_seen, rates = jax.lax.while_loop(is_running, train_step, start)
        val_loss, val_score = self.evaluate(run, monitor)
        # An epoch that ends with a validation loss that is not finite is the run's last.
        loss = jnp.where(jnp.isfinite(val_loss), run.loss, _NAN)
        told = {"val_loss": val_loss, "val_score": val_score}
        run = run._replace(
            epoch=run.epoch + 1,
            loss=loss,
            memory=_remembered(run.memory, told, Moment(plateau=run.schedule.plateau)),
        )
        return run, Record(total_loss / steps, val_loss, val_score, rates, total_seen / steps)

    def step(self, run: Run, batch: Tree, rate: Any) -> Run:
        loss, gradients = jax.value_and_grad(self.task.loss)(run.parameters, batch, *run.drawn)
        parameters, directions, optimizer = self.moves.move(gradients, run.optimizer, run.parameters, rate, loss)
        loss = _float32(loss)
        initial, before = run.kept or (None, None)
        network = Network(gradients, directions, parameters, initial, before)
        told = {"loss": loss, "lr": rate, **unless_still(measured(self.level - self.untold, network), rate)}
        kept = (initial, directions) if run.kept else ()
        memory = _remembered(run.memory, told, Moment())
        return run._replace(parameters=parameters, optimizer=optimizer, loss=loss, memory=memory, kept=kept)

    def evaluate(self, run: Run, examples: Tree) -> tuple[Any, Any]:
        """Loss and score on examples; NaN for a run that is over, which costs no time."""

        def value(parameters: Tree) -> tuple[Any, Any]:
            judged = self.moves.judged(run.optimizer, parameters)
            loss, score = self.task.evaluate(judged, examples, *run.drawn)
            return _float32(loss), _float32(score)

        nothing = (jnp.float32(_NAN), jnp.float32(_NAN))
        return jax.lax.cond(jnp.isfinite(run.loss), value, lambda _: nothing, run.parameters)


def _remembered(memory: Tree, told: dict[str, Any], moment: Moment) -> Tree:
    """The memory after what was told, in float32."""
    return jax.tree.map(_float32, updated(memory, told, moment, ARRAYS))


def _signals(run: Run, step: Any, steps: int) -> Any:
    """What a run shows its schedule before a step: (number of signals,), in the table's order; 0 for what is not read."""
    taken = run.epoch * steps + step
    seen = clock(taken, run.epochs * steps, unfolded(steps, taken)) | values(run.memory)
    return jnp.stack([_float32(seen.get(name, 0.0)) for name in SIGNALS])


def _float32(value: Any) -> Any:
    return jnp.asarray(value, jnp.float32)
