"""Evolves a learning-rate schedule for an Equinox CNN on mnist1d, and compares it with cosine, step decay and a constant.

    python examples/equinox_cnn.py            # some minutes on two cores
    python examples/equinox_cnn.py --quick    # a rehearsal of some seconds

The comparison is a table and a PNG of the training loss, the accuracy and the learning rate. Its baselines are not tuned;
`evolr.prove` tunes them, which takes longer than this program: its last line says how.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from rich.console import Console

import evolr
from evolr.config import config_of
from evolr.problems.mnist1d_data import fresh
from evolr.training.devices import prepare
from evolr.views.pictures import comparison_picture
from evolr.views.tables import comparison_table


class Convolution(eqx.Module):
    """A convolution of width 5 and stride 2, as a product of matrices: many times as fast as XLA's own on a CPU's loops."""

    weights: jax.Array  # (5 · inputs, outputs)
    biases: jax.Array  # (outputs,)

    def __init__(self, inputs: int, outputs: int, key: jax.Array) -> None:
        bound = (5 * inputs) ** -0.5
        self.weights = jax.random.uniform(key, (5 * inputs, outputs), minval=-bound, maxval=bound)
        self.biases = jnp.zeros(outputs)

    def __call__(self, values: jax.Array) -> jax.Array:
        """(length, inputs) → (length / 2, outputs)."""
        padded = jnp.pad(values, ((2, 2), (0, 0)))
        length = values.shape[0]
        windows = jnp.concatenate([padded[k : k + length : 2] for k in range(5)], axis=1)
        return windows @ self.weights + self.biases


class CNN(eqx.Module):
    """Three convolutions, from 40 values down to 5 of 32 channels, and 10 classes."""

    convolutions: list[Convolution]
    last: eqx.nn.Linear

    def __init__(self, key: jax.Array) -> None:
        *keys, last = jax.random.split(key, 4)
        widths = ((1, 16), (16, 32), (32, 32))
        self.convolutions = [Convolution(*pair, key) for pair, key in zip(widths, keys, strict=True)]
        self.last = eqx.nn.Linear(5 * 32, 10, key=last)

    def __call__(self, values: jax.Array) -> jax.Array:
        """The logits (10,) of one sample (40,)."""
        features = values[:, None]
        for convolution in self.convolutions:
            features = jax.nn.relu(convolution(features))
        return self.last(features.reshape(-1))


def problem_of(samples: int) -> evolr.JaxProblem:
    # The arrays of a model are its parameters; what is left of it is the same for all.
    static = eqx.partition(CNN(jax.random.key(0)), eqx.is_inexact_array)[1]

    def init(seed: int) -> CNN:
        return eqx.filter(CNN(jax.random.key(seed)), eqx.is_inexact_array)

    def logits(parameters: CNN, inputs: jax.Array) -> jax.Array:
        return jax.vmap(eqx.combine(parameters, static))(inputs)

    def loss(parameters: CNN, batch: tuple[jax.Array, jax.Array]) -> jax.Array:
        inputs, labels = batch
        return optax.softmax_cross_entropy_with_integer_labels(logits(parameters, inputs), labels).mean()

    def accuracy(parameters: CNN, examples: tuple[jax.Array, jax.Array]) -> jax.Array:
        inputs, labels = examples
        return (logits(parameters, inputs).argmax(axis=1) == labels).mean()

    data = evolr.pools(
        tuple(fresh(samples, seed=2_001)), train=0.4, monitor=0.1, fitness=0.2, selection=0.15, test=0.15
    )
    return evolr.JaxProblem(
        init=init,
        loss=loss,
        metric=accuracy,
        data=data,
        batch_size=50,
        metric_name="accuracy",
        name="mnist1d-cnn",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a rehearsal of some seconds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/equinox-cnn"), help="the run directory")
    arguments = parser.parse_args()

    prepare()  # one device a core; before the first array is made
    if arguments.quick:
        problem = problem_of(1_000)
        settings = {"training.epochs": 3, "search.population": 6, "search.generations": 2, "search.finalists": 0}
        settings |= {"comparison.seeds": 2}
    else:
        problem = problem_of(5_000)
        settings = {"training.epochs": 15, "search.generations": 10, "search.finalists": 9}
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
