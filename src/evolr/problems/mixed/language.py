"""The kind `language` of the problem `mixed`: a character language model, a recurrent unit on text of a Markov chain.

Each task has a language of its own, in which a character depends on the two before it. The text is drawn inside the compiled
functions, of uniform numbers that all tasks share. The score is by how much the model's cross-entropy exceeds that of the
language itself, in nats a character.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from evolr.problems.distributions import log_uniform, require_within, whole
from evolr.problems.jax_problem import JaxProblem
from evolr.problems.mixed.batches import JUDGED, LARGEST, TRAINED, layer, mean_of
from evolr.problems.mixed.recurrent import gates, step
from evolr.randomness import generator

_CHARACTERS: Final = 8
_LENGTH: Final = 12  # of a text


class Task(NamedTuple):
    """What the compiled functions take of a task. table: (8, 8, 8), of the two characters before, the next one's cumulative
    probabilities.
    """

    batch_size: np.int32
    table: NDArray[np.float32]


class Language(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What its tasks are drawn from; pairs, the least value and the greatest, log-uniform.

    widths: of the model's state. batch_sizes. concentration: of the Dirichlet distribution that the probabilities of next
    characters are drawn from; the lower, the more predictable. weight_scale: of the initial weights, in torch.nn.GRU's.
    """

    widths: tuple[int, int] = (8, 32)
    batch_sizes: tuple[int, int] = (8, 64)
    concentration: tuple[float, float] = (0.05, 0.5)
    weight_scale: tuple[float, float] = (0.5, 2.0)

    def __post_init__(self) -> None:
        bounds = {"widths": (1, 256), "batch_sizes": (1, LARGEST)}
        bounds |= {"concentration": (1e-2, 1e2), "weight_scale": (1e-3, 1e3)}
        require_within(self, bounds, "problem.language.")

    def context(self, seed: int) -> Task:
        """The task of a seed."""
        rng = generator(seed, "mixed", "language", "task")
        size, concentration = whole(rng, self.batch_sizes), log_uniform(rng, self.concentration)
        table = rng.dirichlet(np.full(_CHARACTERS, concentration), (_CHARACTERS, _CHARACTERS)).cumsum(axis=-1)
        table[..., -1] = 2.0  # above every uniform number, whatever rounding did
        return Task(np.int32(size), table.astype(np.float32))

    def init(self, seed: int) -> Any:
        """The model's gates, and the last layer."""
        rng, most = generator(seed, "mixed", "language", "weights"), self.widths[1]
        width, scale = whole(rng, self.widths), log_uniform(rng, self.weight_scale)
        last = layer(rng, (width, _CHARACTERS), (most, _CHARACTERS), scale)
        return {"gates": gates(rng, _CHARACTERS, width, most, scale), "last": last}

    def problem(self) -> JaxProblem:
        """The problem that makes its tasks."""
        counts = {"train": TRAINED, **JUDGED}
        data = {
            pool: generator("mixed", "language", pool).random((count, _LENGTH + 2), np.float32)
            for pool, count in counts.items()
        }
        return JaxProblem(
            init=self.init,
            loss=mean_of(lambda parameters, texts, task: _entropies(parameters, texts, task)[0]),
            metric=_excess,
            metric_name="excess cross-entropy",
            higher_is_better=False,
            data=data,
            batch_size=LARGEST,
            context=self.context,
            name="language",
        )


def _excess(parameters: Any, examples: Any, task: Task) -> Any:
    models, own = _entropies(parameters, examples, task)
    return (models - own).mean()


def _entropies(parameters: Any, uniform: Any, task: Task) -> tuple[Any, Any]:
    """(samples,): the cross-entropy of the model and of the language, the mean over each text's characters."""
    import jax
    import jax.numpy as jnp

    weights, biases = parameters["last"]

    def read(carry: Any, luck: Any) -> Any:
        state, before, latest = carry
        state = step(parameters["gates"], state, jax.nn.one_hot(latest, _CHARACTERS))
        chances = task.table[before, latest]
        drawn = (luck[:, None] >= chances).sum(axis=1)
        own = jnp.diff(jnp.minimum(chances, 1.0), prepend=0.0, axis=1)
        model = jax.nn.log_softmax(state @ weights + biases)
        place = drawn[:, None]
        told = [jnp.take_along_axis(values, place, axis=1)[:, 0] for values in (model, jnp.log(own + 1e-9))]
        return (state, latest, drawn), jnp.stack(told)

    first, second = (jnp.floor(_CHARACTERS * uniform[:, k]).astype(jnp.int32) for k in range(2))
    start = (jnp.zeros((uniform.shape[0], weights.shape[0])), first, second)
    _, logs = jax.lax.scan(read, start, uniform[:, 2:].T)
    model, own = -logs.mean(axis=0)
    return model, own
