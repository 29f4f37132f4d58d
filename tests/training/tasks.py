"""Tasks to train, and whether two outcomes are equal."""

from dataclasses import replace

import numpy as np

from evolr.expression import parse
from evolr.problems import Mnist1dMlp, Quadratic
from evolr.schedule import Schedule
from evolr.training.optimizers import Optimizer

MLP = Mnist1dMlp(pools="original").task("fitness")
SMALL = Quadratic(dimension=10, steps_per_epoch=7).task("fitness")
SGD = Optimizer(name="sgd")


def schedule(text, **settings):
    return Schedule(expression=parse(text), **settings)


FEEDBACK = schedule("0.002*exp(sin(loss) - progress) + 0.0001*val_loss + 0.0001*epoch + step*1e-7")


def same(one, two):
    """Whether two outcomes are equal to the bit."""
    return all(
        np.array_equal(np.asarray(getattr(one, name), float), np.asarray(getattr(two, name), float), equal_nan=True)
        for name in ("score", "train_loss", "val_loss", "val_score", "learning_rate", "learning_rates")
    ) and (one.diverged_at == two.diverged_at)


def anew(task):
    """The task with a loss of its own: nothing that was compiled before serves it."""

    def loss(*arguments):
        return task.loss(*arguments)

    return replace(task, loss=loss)
