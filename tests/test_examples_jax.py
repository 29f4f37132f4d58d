"""The examples of one's own JAX model run, and leave something to look at."""

import os
import subprocess
import sys
from pathlib import Path

import equinox as eqx
import numpy as np
import pytest

import evolr

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"


@pytest.mark.parametrize("name", ["equinox_cnn", "transformer"])
def test_an_example_ends_in_a_table_and_a_picture(name, tmp_path):
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), "--quick", "--output", str(tmp_path / "run")]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    assert "cosine" in done.stdout
    assert "minus evolved" in done.stdout
    assert (tmp_path / "run" / "comparison.png").read_bytes().startswith(b"\x89PNG")
    assert evolr.Schedule.from_json((tmp_path / "run" / "champion.json").read_bytes())


def test_the_problem_of_the_documentation_and_its_equinox_model_can_be_trained():
    text = (ROOT / "docs" / "your-own-jax-model.md").read_text(encoding="utf-8")
    whole, equinox = (block.split("```")[0] for block in text.split("```python\n")[1:3])
    rng = np.random.default_rng(0)
    names = {"inputs": rng.normal(size=(600, 20)), "labels": rng.integers(3, size=600), "eqx": eqx}
    problem = whole[: whole.index("result = ")]
    exec(problem, names)  # noqa: S102
    assert names["problem"].task("test").steps_per_epoch == 360 // 32
    exec(equinox, names)  # noqa: S102
    names["problem"] = None
    exec(problem[problem.index("def loss") :], names)  # noqa: S102
    assert isinstance(names["problem"].task("test").initial(0), eqx.nn.MLP)
