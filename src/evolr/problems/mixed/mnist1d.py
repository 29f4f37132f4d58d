"""mnist1d for the kinds of `mixed` that learn it: a part of the published samples, with labels that a task may take for wrong;
what such a task draws, and the problem that makes it of a network.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, Protocol

import numpy as np

from evolr.problems.distributions import log_uniform, whole
from evolr.problems.jax_problem import JaxProblem
from evolr.problems.mixed.batches import JUDGED, LARGEST, TRAINED, mean_of
from evolr.problems.mnist1d_data import CLASSES, FRESH_POOLS, Samples, fresh, published
from evolr.randomness import generator


class Labelled(NamedTuple):
    """n samples. inputs: (n, 40). labels: (n,). wrong: (n,) another class each. luck: (n,) in 0 … 1; below the task's label
    noise, a label is the wrong one. It is 1 where samples judge.
    """

    inputs: Any
    labels: Any
    wrong: Any
    luck: Any


@cache
def by_pool() -> dict[str, Labelled]:
    """The samples of each pool."""
    train, monitor = published()
    samples = {"train": train, "monitor": monitor, **{name: fresh(*each) for name, each in FRESH_POOLS.items()}}
    return {name: _labelled(name, own) for name, own in samples.items()}


def _labelled(pool: str, samples: Samples) -> Labelled:
    count, rng = JUDGED.get(pool, TRAINED), generator("mixed", pool, "label noise")
    inputs, labels = samples.inputs[:count], samples.labels[:count]
    wrong = (labels + rng.integers(1, CLASSES, count).astype(np.int32)) % CLASSES
    luck = rng.random(count).astype(np.float32) if pool == "train" else np.ones(count, np.float32)
    return Labelled(inputs, labels, wrong, luck)


class Task(NamedTuple):
    """What the compiled functions take of a task: scalars."""

    batch_size: np.int32
    label_noise: np.float32
    input_scale: np.float32


class Drawn(Protocol):
    """The settings that its tasks are drawn from; pairs, the least value and the greatest."""

    @property
    def batch_sizes(self) -> tuple[int, int]: ...

    @property
    def label_noise(self) -> tuple[float, float]: ...

    @property
    def input_scale(self) -> tuple[float, float]: ...


def task(kind: str, seed: int, settings: Drawn) -> Task:
    """The task of a seed; label_noise uniform, the rest log-uniform."""
    rng = generator(seed, "mixed", kind, "task")
    size, noise = whole(rng, settings.batch_sizes), rng.uniform(*settings.label_noise)
    return Task(np.int32(size), np.float32(noise), np.float32(log_uniform(rng, settings.input_scale)))


def problem(
    kind: str, init: Callable[[int], Any], context: Callable[[int], Task], logits: Callable[..., Any]
) -> JaxProblem:
    """The problem that makes the tasks of a kind. logits: (parameters, samples, task) → (samples, classes)."""

    def losses(parameters: Any, samples: Labelled, drawn: Task) -> Any:
        return cross_entropies(logits(parameters, samples, drawn), samples, drawn.label_noise)

    return JaxProblem(
        init=init,
        loss=mean_of(losses),
        metric=lambda parameters, examples, drawn: accuracy(logits(parameters, examples, drawn), examples),
        metric_name="accuracy",
        data=by_pool(),
        batch_size=LARGEST,
        context=context,
        name=kind,
    )


def cross_entropies(logits: Any, samples: Labelled, label_noise: Any) -> Any:
    """(samples,), some labels wrong."""
    import jax.numpy as jnp
    import optax

    labels = jnp.where(samples.luck < label_noise, samples.wrong, samples.labels)
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)


def accuracy(logits: Any, examples: Labelled) -> Any:
    """By the right labels."""
    return (logits.argmax(axis=1) == examples.labels).mean()
