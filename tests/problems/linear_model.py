"""A linear model of three inputs and two classes, as a JaxProblem."""

import jax
import jax.numpy as jnp
import numpy as np

from evolr.expression import parse
from evolr.problems import JaxProblem
from evolr.problems.pools import pools
from evolr.schedule import Schedule
from evolr.training.task import Trial

RNG = np.random.default_rng(0)
INPUTS = RNG.standard_normal((200, 3)).astype(np.float32)
LABELS = (INPUTS @ np.array([1.0, -2.0, 0.5]) > 0).astype(np.int32)
DATA = pools((INPUTS, LABELS))


def init(seed):
    return {"w": np.random.default_rng(seed).standard_normal((3, 2)) / 10, "b": np.zeros(2)}


def logits(parameters, inputs):
    return inputs @ parameters["w"] + parameters["b"]


def loss(parameters, batch):
    inputs, labels = batch
    return -jnp.take_along_axis(jax.nn.log_softmax(logits(parameters, inputs)), labels[:, None], axis=1).mean()


def accuracy(parameters, examples):
    inputs, labels = examples
    return (logits(parameters, inputs).argmax(axis=1) == labels).mean()


def problem(**changes):
    settings = {
        "init": init,
        "loss": loss,
        "metric": accuracy,
        "data": DATA,
        "batch_size": 10,
        "metric_name": "accuracy",
    }
    return JaxProblem(**(settings | changes))


def trials(*texts, seeds=(0, 1)):
    return [Trial(Schedule(expression=parse(text)), seed) for seed in seeds for text in texts]
