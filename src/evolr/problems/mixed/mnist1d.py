"""mnist1d for the kinds of `mixed` that learn it: a part of the published samples, with labels that a task may take for wrong."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from evolr.problems.mixed.batches import JUDGED, TRAINED, mean
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


def cross_entropy(logits: Any, batch: Labelled, label_noise: Any, batch_size: Any) -> Any:
    """The mean over a batch, some labels wrong."""
    import jax.numpy as jnp
    import optax

    labels = jnp.where(batch.luck < label_noise, batch.wrong, batch.labels)
    return mean(optax.softmax_cross_entropy_with_integer_labels(logits, labels), batch_size)


def accuracy(logits: Any, examples: Labelled) -> Any:
    """By the right labels."""
    return (logits.argmax(axis=1) == examples.labels).mean()
