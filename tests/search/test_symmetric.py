"""Cholesky's factors in an order of their own, and what is bred by them on machines of another number of cores."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from evolr.randomness import generator
from evolr.search.symmetric import backward, factored, forward


def matrices(count, size):
    roots = generator("matrices", count, size).normal(size=(count, size, size))
    return np.einsum("nij,nkj->nik", roots, roots) + 0.1 * np.eye(size)


@pytest.mark.parametrize("size", [1, 2, 7, 60])
def test_factors_and_solutions_are_those_of_linear_algebra(size):
    several = matrices(3, size)
    factors = factored(several)
    np.testing.assert_allclose(factors, np.linalg.cholesky(several), rtol=1e-9, atol=1e-12)
    right = generator("right", size).normal(size=(5, size))
    whitened = forward(factors[0], right)
    np.testing.assert_allclose(whitened, np.linalg.solve(factors[0], right.T).T, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(backward(factors[0], whitened[0]), np.linalg.solve(several[0], right[0]), rtol=1e-6)


def test_several_are_each_as_it_is_alone_and_what_is_given_stays_as_it_is():
    several, right = matrices(4, 9), np.arange(9.0)
    before = several.copy()
    factors = factored(several)
    assert np.array_equal(several, before)
    assert np.array_equal(factors, np.stack([factored(each) for each in several]))
    assert np.array_equal(forward(factors, right), np.stack([forward(each, right) for each in factors]))
    backward(factors[0], right)
    assert np.array_equal(right, np.arange(9.0))


BRED = """
import hashlib
import numpy as np
from evolr.expression import original_text
from evolr.randomness import generator
from evolr.search.landscape import Landscape
from tests.search.test_bayesian import evolved

method, history = evolved(4)
points = generator("many").normal(size=(150, 12))
landscape = Landscape(points, -(points**2).sum(axis=1), np.arange(150) // 4)
mean, covariance = landscape.posterior(generator("more").normal(size=(300, 12)))
print(hashlib.sha256(mean.tobytes() + covariance.tobytes()).hexdigest())
for individual in [each for population, _ in history for each in population] + method.population():
    print(individual.operator, original_text(individual.expression))
"""


def test_what_is_bred_does_not_depend_on_the_threads_of_linear_algebra():
    root = Path(__file__).parents[2]
    programs = []
    for threads in "12":
        told = {f"{library}_NUM_THREADS": threads for library in ("OPENBLAS", "OMP", "MKL", "VECLIB")}
        environment = {**os.environ, **told, "PYTHONPATH": os.pathsep.join([str(root), *sys.path])}
        command = [sys.executable, "-c", BRED]
        programs.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
    one, two = (program.communicate()[0] for program in programs)
    assert [program.returncode for program in programs] == [0, 0]
    assert len(one.splitlines()) > 20
    assert one == two
