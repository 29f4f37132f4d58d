"""A suite of one's own: one schedule for several kinds of problem, two to search on and one that is held out.

    python examples/own_suite.py            # about a minute on two cores
    python examples/own_suite.py --quick    # a rehearsal of some seconds

The kinds are polynomials to be fitted, which are the harder the higher their degree; each seed draws another one. The last
lines are what the champion and a constant reach on tasks of the degree that the search has not met: 0 is what no training
reaches, 1 what linear decay does that was tuned for that degree alone.
"""

import sys

import jax.numpy as jnp
import numpy as np

import evolr
from evolr.execution.local import Local
from evolr.training.optimizers import Optimizer
from evolr.training.task import Trial


def polynomial(degree: int) -> evolr.JaxProblem:
    """A polynomial to be fitted, whose coefficients the seed draws."""
    x = np.random.default_rng(degree).uniform(-1, 1, (1_000, 1)) ** np.arange(degree + 1)

    def loss(found, batch, wanted):
        return jnp.mean((batch @ (found - wanted)) ** 2)

    return evolr.JaxProblem(
        init=lambda _: np.zeros(degree + 1),
        context=lambda seed: np.random.default_rng(seed).normal(size=degree + 1),
        loss=loss,
        metric=lambda found, examples, wanted: jnp.log10(loss(found, examples, wanted) + 1e-6),
        higher_is_better=False,
        data=evolr.pools(x),
        batch_size=30,
        name=f"degree {degree}",
    )


problems = {f"degree {degree}": polynomial(degree) for degree in (1, 3, 6)}
suite = evolr.Suite.measured(problems, epochs=4, held_out=["degree 6"])
settings = {"training.epochs": 4, "search.generations": 4, "search.seeds": 6, "search.finalists": 9}
if "--quick" in sys.argv:
    settings |= {"search.generations": 1, "search.seeds": 2, "search.finalists": 0}
result = evolr.evolve(suite, "runs/own-suite", settings=settings, seed=1)

print("scales:", suite.scales)
print("champion:", result.schedule.expression)
for name, schedule in {"champion": result.schedule, "constant": evolr.load("0.1")}.items():
    outcomes = Local(suite, Optimizer(name="momentum")).run([Trial(schedule, seed) for seed in range(32)], 4, "test")
    print(f"{name} on the kind held out: {np.mean([outcome.score for outcome in outcomes]):.3f}")
