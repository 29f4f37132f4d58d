"""Any JAX model as a problem: pure functions and arrays, trained a population at a time.

Equinox, Flax, Haiku, a dict of arrays: whatever is a function of parameters and examples. docs/your-own-jax-model.md
shows each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Final, cast

import numpy as np

from evolr.errors import ConfigError, ProblemError, require_type, shown, whole_number
from evolr.problems.jax_functions import (
    called,
    checked_context,
    checked_parameters,
    require_alike,
    require_gradient,
    require_loss,
    require_metric,
)
from evolr.problems.pools import checked_pools, digest, number_of
from evolr.problems.problem import Metric, Pool, ProblemDefaults, require_name
from evolr.randomness import generator
from evolr.training.task import Task, Tree

_INITIAL_KEPT: Final = 8  # initial parameters: chunks of one seed come one after another, and init may be slow


class JaxProblem(ProblemDefaults):
    """A problem of pure functions and arrays.

    init: seed → parameters, a pytree of float arrays; `jax.random.key(seed)` makes a key of the seed.
    loss: (parameters, batch) → the training loss, a scalar float. It is traced by JAX, and its value on the monitor pool
        is the signal `val_loss`, so it must take any number of examples.
    metric: (parameters, examples) → the score, a real scalar. Where None, the loss is the score.
    data: examples by pool, `train`, `monitor`, `fitness`, `selection`, `test`; each a pytree of arrays whose leading
        axis, of equal length, counts the examples. `train` and `monitor` are required, the others where they are asked
        for: a search selects by `fitness`, and picks its champion by `selection`; the contest judges by `test`.
        `evolr.pools` makes disjoint ones.
    batch_size: examples of a batch; those that do not fill a batch are left out of their epoch.
    metric_name: `score` where None; `accuracy` is shown in per cent. higher_is_better: True where None. Where there is no
        metric, they are `loss` and False.
    context: seed → what the seed's task is beside its weights, a pytree of arrays or numbers of the same shapes for every seed (a batch
        size, the scale of the inputs, which layers there are), for a suite: each seed is another task then, and one compiled program
        trains them all. loss and metric take it as a third argument; nothing trains it, and no norm counts it.
    name: the problem's, in tables; it keys the batch order.

    64-bit data and parameters become 32-bit, as JAX has it. The seed decides the initial weights and the batch order, so
    that schedules meet the same luck; a loss draws no random numbers and keeps no state.

    >>> import numpy as np
    >>> inputs = np.linspace(-1, 1, 100)
    >>> problem = JaxProblem(
    ...     init=lambda seed: {"slope": np.float32(seed % 3)},
    ...     loss=lambda parameters, batch: ((parameters["slope"] * batch[0] - batch[1]) ** 2).mean(),
    ...     data={"train": (inputs, 2 * inputs), "monitor": (inputs, 2 * inputs)},
    ...     batch_size=10,
    ... )
    >>> problem.steps_per_epoch, problem.metric.name
    (10, 'loss')

    Raises ConfigError for settings out of range, ProblemError for examples that are none; `task` raises ProblemError
    where the functions do not fit them.
    """

    preset: Final = "memetic"
    """The preset from which its search starts."""

    def __init__(
        self,
        *,
        init: Callable[[int], Tree],
        loss: Callable[..., Any],
        metric: Callable[..., Any] | None = None,
        data: Mapping[str, Tree],
        batch_size: int,
        metric_name: str | None = None,
        higher_is_better: bool | None = None,
        context: Callable[[int], Tree] | None = None,
        name: str = "jax",
    ) -> None:
        for what, function in {"init": init, "loss": loss, "metric": metric, "context": context}.items():
            if not (callable(cast("Any", function)) or (function is None and what in ("metric", "context"))):
                raise ConfigError(f"{what} must be a function, got a {type(function).__name__}")
        if metric is None and (metric_name is not None or higher_is_better):
            raise ConfigError(
                "where there is no metric, the score is the loss, and lower is better; metric_name and higher_is_better "
                "need a metric"
            )
        require_name("name", name)
        self._name = name
        self._init = init
        self._loss = loss
        self._score = metric
        self._context = context
        if metric is None:
            self._metric = Metric("loss", higher_is_better=False)
        else:
            metric_name = "score" if metric_name is None else metric_name
            higher_is_better = True if higher_is_better is None else higher_is_better
            require_name("metric_name", metric_name)
            require_type("higher_is_better", higher_is_better, (bool, np.bool_), "True or False")
            self._metric = Metric(metric_name, bool(higher_is_better))
        self._data = checked_pools(data)
        count = number_of(self._data["train"])
        batch_size = whole_number("batch_size", batch_size)
        if not 1 <= batch_size <= count:
            raise ConfigError(
                f"batch_size must be from 1 to the number of training examples, {count}, got {shown(batch_size)}"
            )
        self._batch_size = batch_size

    @property
    def name(self) -> str:
        return self._name

    @property
    def metric(self) -> Metric:
        return self._metric

    @property
    def steps_per_epoch(self) -> int:
        return number_of(self._data["train"]) // self._batch_size

    @cached_property
    def digest(self) -> str:
        """The SHA-256, in hexadecimal, of its data and settings; what its functions compute is not in it."""
        settings = f"{self.name!r} {self._batch_size} {self._metric}\n"
        return hashlib.sha256(settings.encode() + digest(self._data).encode()).hexdigest()

    @property
    def key(self) -> Any:
        return [self.name, self.digest]

    @property
    def identity(self) -> str:
        """What a study writes down of who trains it."""
        return f"JaxProblem {self.name!r}, SHA-256 {self.digest[:16]}"

    @property
    def draws_tasks(self) -> bool:
        return self._context is not None

    def task(self, pool: Pool) -> Task:
        """The task for the trainer. Traces the functions on the data's shapes.

        Raises ProblemError where the pool's examples are missing, or the functions and the examples do not fit.
        """
        from evolr.training.devices import prepare

        prepare()  # before init makes the first array, after which the devices are what they are
        if pool not in self._data:
            raise ProblemError(
                f"the problem {self.name!r} has no examples to judge on in the pool {pool!r}, only {', '.join(self._data)}; "
                f"give data[{pool!r}], or let evolr.pools make all pools of your examples"
            )
        monitor, judge = self._data["monitor"], self._data[pool]
        first = self._parameters(0)

        def initial(seed: int) -> Tree:
            parameters = self._parameters(seed)
            require_alike(parameters, f"init({seed})", first, "init(0)")
            return parameters

        beside = self._drawn(0)

        def drawn(seed: int) -> tuple[Tree, ...]:
            found = self._drawn(seed)
            if found:
                require_alike(found[0], f"context({seed})", beside[0], "context(0)", "arrays")
            return found

        initial(1)  # so that what differs between seeds is refused before anything trains
        drawn(1)
        require_gradient(self._loss, first, self._first_batch(), beside)
        for name in dict.fromkeys(("monitor", pool)):
            examples = f"data[{name!r}]"
            require_loss(self._loss, first, self._data[name], examples, beside)
            if self._score is not None:
                require_metric(self._score, first, self._data[name], examples, beside)
        return Task(
            steps_per_epoch=self.steps_per_epoch,
            initial=lru_cache(_INITIAL_KEPT)(initial),
            batches=self._batches,
            loss=self._loss,
            evaluate=_Evaluation(self._loss, self._score),
            monitor=monitor,
            judge=None if pool == "monitor" else judge,
            drawn=drawn,
        )

    def _drawn(self, seed: int) -> tuple[Tree, ...]:
        """What a seed's task is beside its weights: the context, or nothing."""
        if self._context is None:
            return ()
        call = f"context({seed})"
        return (checked_context(called(call, self._context, seed), call),)

    def _parameters(self, seed: int) -> Tree:
        call = f"init({seed})"
        return checked_parameters(called(call, self._init, seed), call)

    def _batches(self, seed: int, epoch: int) -> Tree:
        """The batches of an epoch: each array (steps, batch, …)."""
        import jax

        train, steps, size = self._data["train"], self.steps_per_epoch, self._batch_size
        order = generator(seed, epoch, self.name, "batch order").permutation(number_of(train))[: steps * size]
        return jax.tree.map(lambda array: array[order].reshape(steps, size, *array.shape[1:]), train)

    def _first_batch(self) -> Tree:
        """Examples of the shape of a batch."""
        import jax

        return jax.tree.map(lambda array: array[: self._batch_size], self._data["train"])


@dataclass(frozen=True, slots=True, weakref_slot=True)  # jax.jit keeps weak references to what it compiles
class _Evaluation:
    """Loss and score of examples; equal to another of the same functions, so that trainers share what is compiled of it."""

    loss: Callable[..., Any]
    score: Callable[..., Any] | None

    def __call__(self, parameters: Tree, examples: Tree, *drawn: Tree) -> tuple[Any, Any]:
        """What both compute of the same examples, XLA computes once."""
        loss = self.loss(parameters, examples, *drawn)
        return loss, loss if self.score is None else self.score(parameters, examples, *drawn)
