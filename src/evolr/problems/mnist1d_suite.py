"""The problem `mnist1d-suite`: the seed of a trial draws its task, and one compiled program trains them all.

Tasks differ in depth, widths, batch size, label noise, and in the scales of inputs and initial weights. All have the same
shapes: a narrow layer is padded with zeros, a small batch with examples that do not count. Padding takes no part: its
gradient is 0, so weights that begin at 0 stay there under any optimiser, and no norm counts them.

Seeds of different purposes (search, race, contest) never meet, so neither do their tasks.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from evolr.errors import ConfigError
from evolr.problems.distributions import log_uniform, require_within, whole
from evolr.problems.mnist1d_data import CLASSES, FRESH_POOLS, LENGTH, PUBLISHED_TRAIN, Samples, fresh, published
from evolr.problems.padding import at_size
from evolr.problems.problem import Metric, Pool, ProblemDefaults
from evolr.randomness import generator
from evolr.ranges import Whole, require_ranges
from evolr.training.task import Task

STEPS: Final = 31
"""Of an epoch, whatever the batch size."""

_WIDEST: Final = 1_024  # that a layer may have
_LARGEST: Final = PUBLISHED_TRAIN // STEPS  # that a batch may be


class Setting(NamedTuple):
    """What a task is. widths: of its one or two hidden layers."""

    widths: tuple[int, ...]
    batch_size: int
    label_noise: float
    input_scale: float
    weight_scale: float


class Drawn(NamedTuple):
    """What the compiled functions take of a task: scalars. widest: the width of its wider layer."""

    batch_size: np.int32
    input_scale: np.float32
    widest: np.int32
    has_two_layers: np.bool_


class Mnist1dSuite(
    ProblemDefaults,
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="name",
    tag="mnist1d-suite",
):
    """Settings of the problem: what its tasks are drawn from. A pair is the least and the greatest value.

    widths: of a hidden layer, log-uniform. two_layers: the share of tasks with a second hidden layer. batch_sizes: log-uniform.
    label_noise: the share of training labels that are wrong, uniform. input_scale: of the inputs, log-uniform.
    weight_scale: of initial weights and biases, in torch.nn.Linear's, log-uniform.
    repetition: the number of the luck that a seed's task is trained with: its initial weights, the order of its batches and
        which labels are wrong. The task itself is the seed's alone.
    """

    widths: tuple[int, int] = (8, 128)
    two_layers: float = 0.7
    batch_sizes: tuple[int, int] = (8, 128)
    label_noise: tuple[float, float] = (0.0, 0.4)
    input_scale: tuple[float, float] = (0.3, 3.0)
    weight_scale: tuple[float, float] = (0.5, 2.0)
    repetition: Annotated[int, Whole(0, 1_000_000)] = 0

    path: ClassVar[str] = "problem."
    """What stands before the name of a setting."""

    def __post_init__(self) -> None:
        bounds = {
            "widths": (1, _WIDEST),
            "batch_sizes": (1, _LARGEST),
            "label_noise": (0.0, 1.0),
            "input_scale": (1e-3, 1e3),
            "weight_scale": (1e-3, 1e3),
        }
        require_within(self, bounds, self.path)
        if not 0 <= self.two_layers <= 1:
            raise ConfigError(f"{self.path}two_layers must be a share from 0 to 1, got {self.two_layers}")
        require_ranges(self.path, self)

    @property
    def metric(self) -> Metric:
        return Metric("accuracy", higher_is_better=True)

    @property
    def steps_per_epoch(self) -> int:
        return STEPS

    @property
    def notes(self) -> tuple[str, ...]:
        return ("each seed is another task",)

    @property
    def draws_tasks(self) -> bool:
        return True

    def setting(self, seed: int) -> Setting:
        """The task of a seed."""
        rng = generator(seed, "mnist1d-suite", "task")
        widths = tuple(whole(rng, self.widths) for _ in range(2))
        return Setting(
            widths=widths if rng.random() < self.two_layers else widths[:1],
            batch_size=whole(rng, self.batch_sizes),
            label_noise=rng.uniform(*self.label_noise),
            input_scale=log_uniform(rng, self.input_scale),
            weight_scale=log_uniform(rng, self.weight_scale),
        )

    def drawn(self, seed: int) -> tuple[Drawn]:
        """What the loss of a seed's task takes beside weights and batch."""
        task = self.setting(seed)
        size, widest = np.int32(task.batch_size), np.int32(max(task.widths))
        return (Drawn(size, np.float32(task.input_scale), widest, np.bool_(len(task.widths) == 2)),)

    def task(self, pool: Pool) -> Task:
        from evolr.training.devices import prepare

        prepare()
        train, monitor = published()
        noisy = cache(lambda seed: self._noisy_labels(seed, train.labels))

        def batches(seed: int, epoch: int) -> Samples:
            size = self.batch_sizes[1]
            order = self._luck(seed, "batch order", epoch).permutation(len(train.labels))[: STEPS * size]
            return Samples(train.inputs[order].reshape(STEPS, size, LENGTH), noisy(seed)[order].reshape(STEPS, size))

        return Task(
            steps_per_epoch=STEPS,
            initial=self._initial,
            batches=batches,
            loss=loss,
            evaluate=evaluate,
            monitor=monitor,
            judge=None if pool == "monitor" else fresh(*FRESH_POOLS[pool]),
            drawn=self.drawn,
        )

    def _luck(self, seed: int, purpose: str, epoch: int = 0) -> np.random.Generator:
        return generator(seed, self.repetition, epoch, "mnist1d-suite", purpose)

    def _initial(self, seed: int) -> list[tuple[Any, Any]]:
        """The layers of the widest network, each weights and biases: the task's own, and zeros around them.

        A task with one hidden layer has zeros for the second.
        """
        task, rng = self.setting(seed), self._luck(seed, "initial weights")
        widest = (LENGTH, self.widths[1], self.widths[1], CLASSES)
        inputs = [LENGTH, *task.widths]
        outputs = [*task.widths, CLASSES]
        places = [0, 1, 2] if len(task.widths) == 2 else [0, 2]
        layers = [(np.zeros(shape, np.float32), np.zeros(shape[1], np.float32)) for shape in pairwise(widest)]
        for place, of, to in zip(places, inputs, outputs, strict=True):
            bound = task.weight_scale * of**-0.5
            weights, biases = layers[place]
            weights[:of, :to] = rng.uniform(-bound, bound, (of, to))
            biases[:to] = rng.uniform(-bound, bound, to)
        return layers

    def _noisy_labels(self, seed: int, labels: NDArray[np.int32]) -> NDArray[np.int32]:
        """The training labels, a share of them wrong: each any other class. They are the same in every epoch."""
        rng = self._luck(seed, "label noise")
        is_wrong = rng.random(len(labels)) < self.setting(seed).label_noise
        other = (labels + rng.integers(1, CLASSES, len(labels))) % CLASSES
        return np.where(is_wrong, other, labels).astype(np.int32)


def logits(parameters: list[tuple[Any, Any]], inputs: Any, task: Drawn) -> Any:
    """(samples, classes)."""
    import jax

    def deeper(hidden: Any) -> Any:
        return jax.nn.relu(hidden @ second[0] + second[1])

    first, second, last = parameters
    hidden = jax.nn.relu(task.input_scale * inputs @ first[0] + first[1])
    return jax.lax.cond(task.has_two_layers, deeper, lambda hidden: hidden, hidden) @ last[0] + last[1]


def loss(parameters: list[tuple[Any, Any]], batch: Samples, task: Drawn) -> Any:
    """Mean cross-entropy of the batch's first examples, as many as the task's batches have."""
    return at_size(
        _loss, [_widest(parameters), len(batch.labels)], [task.widest, task.batch_size], parameters, batch, task
    )


def evaluate(parameters: list[tuple[Any, Any]], samples: Samples, task: Drawn) -> tuple[Any, Any]:
    """Mean cross-entropy and accuracy of all samples."""
    return at_size(_evaluated, [_widest(parameters)], [task.widest], parameters, samples, task)


def _loss(width: int, count: int, parameters: list[tuple[Any, Any]], batch: Samples, task: Drawn) -> Any:
    import jax.numpy as jnp
    import optax

    found = logits(_cut(parameters, width), batch.inputs[:count], task)
    each = optax.softmax_cross_entropy_with_integer_labels(found, batch.labels[:count])
    return jnp.where(jnp.arange(count) < task.batch_size, each, 0.0).sum() / task.batch_size


def _evaluated(width: int, parameters: list[tuple[Any, Any]], samples: Samples, task: Drawn) -> tuple[Any, Any]:
    import optax

    found = logits(_cut(parameters, width), samples.inputs, task)
    each = optax.softmax_cross_entropy_with_integer_labels(found, samples.labels)
    return each.mean(), (found.argmax(axis=1) == samples.labels).mean()


def _widest(parameters: list[tuple[Any, Any]]) -> int:
    return len(parameters[0][1])


def _cut(parameters: list[tuple[Any, Any]], width: int) -> list[tuple[Any, Any]]:
    """The layers, of hidden ones the first units."""
    (first, first_biases), (second, second_biases), (last, last_biases) = parameters
    return [
        (first[:, :width], first_biases[:width]),
        (second[:width, :width], second_biases[:width]),
        (last[:width], last_biases),
    ]
