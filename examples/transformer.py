"""Evolves a learning-rate schedule for a small transformer, in plain JAX, that learns to sort.

    python examples/transformer.py            # some minutes on two cores
    python examples/transformer.py --quick    # a rehearsal of some seconds

It reads eight digits and says, at each place, which digit stands there once they are sorted. At the end, the champion
meets constant, step decay and cosine, untuned: a table, and a PNG of their curves.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from rich.console import Console

import evolr
from evolr.config import config_of
from evolr.training.devices import prepare
from evolr.views.pictures import comparison_picture
from evolr.views.tables import comparison_table

LENGTH, DIGITS, WIDTH, HEADS, LAYERS = 8, 10, 32, 2, 2

Parameters = dict[str, Any]


def init(seed: int) -> Parameters:
    """The parameters, a dict of arrays and of layers."""
    rng = np.random.default_rng(seed)

    def dense(inputs: int, outputs: int) -> np.ndarray:
        return rng.normal(0, inputs**-0.5, (inputs, outputs))

    def layer() -> Parameters:
        return {
            "attention": {"in": dense(WIDTH, 3 * WIDTH), "out": dense(WIDTH, WIDTH)},
            "feed forward": {"in": dense(WIDTH, 4 * WIDTH), "out": dense(4 * WIDTH, WIDTH)},
            "scales": np.ones((2, WIDTH)),
        }

    return {
        "digits": rng.normal(0, 0.5, (DIGITS, WIDTH)),
        "places": rng.normal(0, 0.5, (LENGTH, WIDTH)),
        "layers": [layer() for _ in range(LAYERS)],
        "last": dense(WIDTH, DIGITS),
    }


def normalised(x: jax.Array, scale: jax.Array) -> jax.Array:
    return scale * x * jax.lax.rsqrt((x**2).mean(axis=-1, keepdims=True) + 1e-6)


def attention(p: Parameters, x: jax.Array) -> jax.Array:
    """Every place looks at every place; x: (batch, length, width)."""
    heads = (x @ p["in"]).reshape(*x.shape[:2], 3, HEADS, WIDTH // HEADS)
    query, key, value = jnp.moveaxis(heads, 2, 0)  # each (batch, length, heads, width of a head)
    weights = jax.nn.softmax(jnp.einsum("bqhd,bkhd->bhqk", query, key) * (WIDTH // HEADS) ** -0.5)
    return jnp.einsum("bhqk,bkhd->bqhd", weights, value).reshape(x.shape) @ p["out"]


def logits(parameters: Parameters, sequences: jax.Array) -> jax.Array:
    """(batch, length) digits → (batch, length, digits)."""
    x = parameters["digits"][sequences] + parameters["places"]
    for p in parameters["layers"]:
        x += attention(p["attention"], normalised(x, p["scales"][0]))
        hidden = jax.nn.relu(normalised(x, p["scales"][1]) @ p["feed forward"]["in"])
        x += hidden @ p["feed forward"]["out"]
    return x @ parameters["last"]


def loss(parameters: Parameters, batch: dict[str, jax.Array]) -> jax.Array:
    losses = optax.softmax_cross_entropy_with_integer_labels(logits(parameters, batch["given"]), batch["sorted"])
    return losses.mean()


def accuracy(parameters: Parameters, examples: dict[str, jax.Array]) -> jax.Array:
    """The part of the places at which the right digit is said."""
    return (logits(parameters, examples["given"]).argmax(axis=-1) == examples["sorted"]).mean()


def problem_of(sequences: int) -> evolr.JaxProblem:
    given = np.unique(np.random.default_rng(0).integers(DIGITS, size=(sequences, LENGTH)), axis=0)  # pools share none
    return evolr.JaxProblem(
        init=init,
        loss=loss,
        metric=accuracy,
        metric_name="accuracy",
        data=evolr.pools({"given": given, "sorted": np.sort(given, axis=1)}),
        batch_size=32,
        name="sorting",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a rehearsal of some seconds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/transformer"), help="the run directory")
    arguments = parser.parse_args()

    prepare()  # one device a core; before the first array is made
    if arguments.quick:
        problem = problem_of(600)
        settings = {"training.epochs": 2, "search.population": 6, "search.generations": 2, "search.finalists": 0}
        settings |= {"comparison.seeds": 2}
    else:
        problem = problem_of(1_000)
        settings = {"training.epochs": 4, "search.generations": 10, "search.finalists": 9}
    settings["comparison.base_lr"] = 0.01  # where the baselines start; 0.001 is far too low here

    result = evolr.evolve(
        problem,
        arguments.output,
        settings=settings,
        seed=arguments.seed,
        on_generation=lambda report: print(
            f"generation {report.generation + 1}: {report.champion.score:.4f}", flush=True
        ),
    )
    assert result.schedule is not None
    print(
        f"\nthe champion after {result.trainings} trainings, {result.seconds:.0f} s:\n  {result.schedule.expression}\n"
    )

    config = config_of(problem, settings, arguments.seed)
    comparison = evolr.compare_schedule(result.schedule, config, problem)
    Console().print(comparison_table(comparison))
    picture = arguments.output / "comparison.png"
    picture.write_bytes(comparison_picture(comparison))
    print(f"\n{picture}")
    print(f"proof: evolr.prove(problem, {str(arguments.output)!r}, budget=200)")


if __name__ == "__main__":
    main()
