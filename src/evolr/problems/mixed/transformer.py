"""The kind `transformer` of the problem `mixed`: one block of a transformer that recalls what was associated.

A sequence shows pairs of a key and a value, then asks for one of the keys; the answer is its value. A pair is one token, the
sum of both embeddings. The score is the logarithm, to base 10, of the cross-entropy, which falls by orders of magnitude.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from evolr.problems.distributions import log_uniform, require_within, whole
from evolr.problems.jax_problem import JaxProblem
from evolr.problems.mixed.batches import JUDGED, LARGEST, TRAINED, layer, mean_of
from evolr.randomness import generator

_PAIRS: Final = 8
_VALUES: Final = 8
_WIDTH: Final = 16  # of a token


class Sequences(NamedTuple):
    """n sequences. keys: (n, 8), all keys in an order; values: (n, 8). asked: (n,) in 0 … 1, the place that is asked for."""

    keys: Any
    values: Any
    asked: Any


class Task(NamedTuple):
    """What the compiled functions take of a task: scalars. pairs, values: how many there are."""

    batch_size: np.int32
    pairs: np.int32
    values: np.int32


class Transformer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What its tasks are drawn from; pairs, the least value and the greatest, log-uniform.

    hidden: units between the block's two last layers. batch_sizes. pairs: shown in a sequence. values: different ones.
    embedding_scale: of the initial embeddings. weight_scale: of the other weights, in torch.nn.Linear's.
    """

    hidden: tuple[int, int] = (8, 64)
    batch_sizes: tuple[int, int] = (8, 64)
    pairs: tuple[int, int] = (2, _PAIRS)
    values: tuple[int, int] = (2, _VALUES)
    embedding_scale: tuple[float, float] = (0.3, 1.0)
    weight_scale: tuple[float, float] = (0.7, 2.0)

    def __post_init__(self) -> None:
        bounds = {"hidden": (1, 512), "batch_sizes": (1, LARGEST), "pairs": (2, _PAIRS), "values": (2, _VALUES)}
        bounds |= {"embedding_scale": (1e-3, 1e3), "weight_scale": (1e-3, 1e3)}
        require_within(self, bounds, "problem.transformer.")

    def context(self, seed: int) -> Task:
        """The task of a seed."""
        rng = generator(seed, "mixed", "transformer", "task")
        drawn = (whole(rng, bounds) for bounds in (self.batch_sizes, self.pairs, self.values))
        return Task(*map(np.int32, drawn))

    def init(self, seed: int) -> Any:
        """Embeddings, the block's layers, and the last one."""
        rng, most = generator(seed, "mixed", "transformer", "weights"), self.hidden[1]
        hidden, scale = whole(rng, self.hidden), log_uniform(rng, self.weight_scale)
        spread = log_uniform(rng, self.embedding_scale)
        square = (_WIDTH, _WIDTH)
        return {
            "keys": spread * rng.standard_normal((_PAIRS, _WIDTH), np.float32),
            "values": spread * rng.standard_normal((_VALUES, _WIDTH), np.float32),
            **{name: layer(rng, square, square, scale)[0] for name in ("query", "key", "value", "output")},
            "first": layer(rng, (_WIDTH, hidden), (_WIDTH, most), scale),
            "second": layer(rng, (hidden, _WIDTH), (most, _WIDTH), scale),
            "last": layer(rng, (_WIDTH, _VALUES), (_WIDTH, _VALUES), scale),
        }

    def problem(self) -> JaxProblem:
        """The problem that makes its tasks."""
        return JaxProblem(
            init=self.init,
            loss=mean_of(_entropies),
            metric=_log_loss,
            metric_name="log10 of the cross-entropy",
            higher_is_better=False,
            data={pool: _sequences(pool, count) for pool, count in {"train": TRAINED, **JUDGED}.items()},
            batch_size=LARGEST,
            context=self.context,
            name="transformer",
        )


def _sequences(pool: str, count: int) -> Sequences:
    rng = generator("mixed", "transformer", pool)
    keys = rng.permuted(np.tile(np.arange(_PAIRS, dtype=np.int32), (count, 1)), axis=1)
    values = rng.integers(0, 2**20, (count, _PAIRS)).astype(np.int32)
    return Sequences(keys, values, rng.random(count, np.float32))


def _log_loss(parameters: Any, examples: Sequences, task: Task) -> Any:
    import jax.numpy as jnp

    return jnp.log10(_entropies(parameters, examples, task).mean() + 1e-9)


def _entropies(parameters: Any, batch: Sequences, task: Task) -> Any:
    """(sequences,): the cross-entropy of each answer."""
    import optax

    logits, answers = _answered(parameters, batch, task)
    return optax.softmax_cross_entropy_with_integer_labels(logits, answers)


def _answered(parameters: Any, batch: Sequences, task: Task) -> tuple[Any, Any]:
    """The logits (sequences, values) of what follows the last key, and the right values."""
    import jax
    import jax.numpy as jnp

    values = batch.values % task.values
    place = jnp.floor(batch.asked * task.pairs).astype(jnp.int32)[:, None]
    answers, key = (jnp.take_along_axis(each, place, axis=1)[:, 0] for each in (values, batch.keys))
    shown = parameters["keys"][batch.keys] + parameters["values"][values]
    asked = parameters["keys"][key]
    query = _normed(asked) @ parameters["query"]
    keys, told = (_normed(shown) @ parameters[name] for name in ("key", "value"))
    scores = jnp.einsum("bd,bpd->bp", query, keys) * _WIDTH**-0.5
    weights = jax.nn.softmax(jnp.where(jnp.arange(_PAIRS) < task.pairs, scores, -1e9))
    stream = asked + jnp.einsum("bp,bpd->bd", weights, told) @ parameters["output"]
    first, second, last = (parameters[name] for name in ("first", "second", "last"))
    stream = stream + jax.nn.relu(_normed(stream) @ first[0] + first[1]) @ second[0] + second[1]
    return _normed(stream) @ last[0] + last[1], answers


def _normed(values: Any) -> Any:
    """To a root mean square of 1 (Zhang and Sennrich 2019)."""
    import jax

    return values * jax.lax.rsqrt((values**2).mean(axis=-1, keepdims=True) + 1e-6)
