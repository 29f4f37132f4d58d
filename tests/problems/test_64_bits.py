"""A program that has switched JAX's 64 bits on: what evolr trains is the same to the bit, and the program keeps its 64 bits."""

import json
import subprocess
import sys

import pytest

SCRIPT = """
import json
import sys

import jax
import jax.numpy as jnp
import numpy as np

if sys.argv[1] == "64":
    jax.config.update("jax_enable_x64", True)
import evolr
from evolr.problems import JaxProblem

inputs = jnp.asarray(np.random.default_rng(0).normal(size=(60, 3)))
scale = jnp.asarray([0.5, 1.0, 2.0])  # the user's own, which the loss holds
data = {"x": inputs, "y": inputs @ scale}
problem = JaxProblem(
    init=lambda seed: {"w": jax.random.normal(jax.random.key(seed), (3,))},
    loss=lambda p, batch: jnp.mean((batch["x"] @ (p["w"] * scale) - batch["y"]) ** 2),
    data={pool: data for pool in ("train", "monitor", "fitness", "selection", "test")},
    batch_size=20,
)
initial = ["0.05*(1 - progress) + 0.01*(loss < 1) + 0.001*sign(progress)"]
settings = {
    "search.population": 3,
    "search.youth": 1,
    "search.generations": 1,
    "search.finalists": 0,
    "search.samples": 4,
    "search.seed_families": False,
    "search.terminals": ["progress", "loss", "constant"],
    "search.functions": ["add", "mul", "sub", "less", "sign"],
    "training.epochs": 2,
}
quadratic = evolr.resolve("quadratic", settings=settings | {"search.seeds": 1})
bits = []
own = evolr.evolve(
    problem, "own", initial=initial, settings=settings, on_trial=lambda _: bits.append(str(jnp.zeros(1).dtype))
)
ours = evolr.evolve(quadratic, "quadratic", initial=initial)
print(json.dumps({"bits": sorted(set(bits)), "scores": [own.champion.score, ours.champion.score]}))
"""


@pytest.fixture
def told(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)

    def run(bits):
        folder = tmp_path / bits
        folder.mkdir()
        done = subprocess.run(
            [sys.executable, script, bits], check=False, capture_output=True, text=True, cwd=folder, timeout=200
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


def test_what_is_trained_is_the_same_in_both_modes_and_callbacks_have_their_own(told):
    wide, narrow = told("64"), told("32")
    assert (wide["bits"], narrow["bits"]) == (["float64"], ["float32"])
    assert wide["scores"] == narrow["scores"]
