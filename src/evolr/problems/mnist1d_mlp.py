"""The problem `mnist1d-mlp`: a small multilayer perceptron on mnist1d.

The network and the data are those of the first experiment: 40 → 100 → 100 → 10 with ReLU, batches of 100,
the published 4,000 training samples.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Final, Literal

import msgspec
import numpy as np

from evolr.problems.jax_problem import JaxProblem
from evolr.problems.mnist1d_data import CLASSES, FRESH_POOLS, LENGTH, PUBLISHED_TRAIN, Samples, fresh, published
from evolr.problems.problem import Metric, Pool, ProblemDefaults
from evolr.randomness import generator
from evolr.ranges import Whole, require_ranges
from evolr.training.task import Task

_WIDTHS: Final = (LENGTH, 100, 100, CLASSES)


class Mnist1dMlp(
    ProblemDefaults,
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="name",
    tag="mnist1d-mlp",
):
    """Settings of the problem.

    batch_size: samples in a batch, 1 … 4,000; what does not fill a batch is left out of its epoch.
    pools: `disjoint`, the fitness pool is a fresh draw of 10,000 samples; `original`, it is the monitor's
        published 1,000, as in the first experiment.
    """

    batch_size: Annotated[int, Whole(1, PUBLISHED_TRAIN)] = 100
    pools: Literal["disjoint", "original"] = "disjoint"

    def __post_init__(self) -> None:
        require_ranges("problem.", self)

    @property
    def metric(self) -> Metric:
        return Metric("accuracy", higher_is_better=True)

    @property
    def steps_per_epoch(self) -> int:
        return PUBLISHED_TRAIN // self.batch_size

    @property
    def notes(self) -> tuple[str, ...]:
        if self.pools == "disjoint":
            return ()
        return (
            "monitor = fitness = the published 1,000 samples, as in the first experiment: schedules are "
            "selected on the samples whose loss they see",
        )

    @property
    def draws_tasks(self) -> bool:
        return False

    def task(self, pool: Pool) -> Task:
        train, monitor = published()
        judge = self._judge(pool)

        def init(seed: int) -> list[tuple[Any, Any]]:
            rng = generator(seed, "mnist1d-mlp", "initial weights")
            return [_dense_layer(rng, *widths) for widths in pairwise(_WIDTHS)]

        problem = JaxProblem(
            init=init,
            loss=_loss,
            metric=_accuracy,
            data={"train": train, "monitor": monitor} | ({} if judge is None else {pool: judge}),
            batch_size=self.batch_size,
            metric_name=self.metric.name,
            name="mnist1d-mlp",
        )
        return problem.task("monitor" if judge is None else pool)

    def _judge(self, pool: Pool) -> Samples | None:
        if pool == "monitor" or (pool == "fitness" and self.pools == "original"):
            return None
        return fresh(*FRESH_POOLS[pool])


def _dense_layer(rng: np.random.Generator, inputs: int, outputs: int) -> tuple[Any, Any]:
    """Weights (inputs, outputs) and biases (outputs,), uniform in ±1/√inputs, as torch.nn.Linear draws them."""
    bound = inputs**-0.5
    draw = rng.uniform(-bound, bound, (inputs + 1, outputs)).astype(np.float32)
    return draw[:-1], draw[-1]


def _logits(parameters: list[tuple[Any, Any]], inputs: Any) -> Any:
    """(samples, classes)."""
    import jax

    activations = inputs
    for weights, biases in parameters[:-1]:
        activations = jax.nn.relu(activations @ weights + biases)
    weights, biases = parameters[-1]
    return activations @ weights + biases


def _loss(parameters: list[tuple[Any, Any]], samples: Samples) -> Any:
    """Mean cross-entropy."""
    import optax

    logits = _logits(parameters, samples.inputs)
    return optax.softmax_cross_entropy_with_integer_labels(logits, samples.labels).mean()


def _accuracy(parameters: list[tuple[Any, Any]], samples: Samples) -> Any:
    return (_logits(parameters, samples.inputs).argmax(axis=1) == samples.labels).mean()
