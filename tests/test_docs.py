"""What the documentation shows can be run."""

from pathlib import Path

import equinox as eqx
import numpy as np

DOCS = Path(__file__).parents[1] / "docs"


def test_the_problem_of_the_documentation_and_its_equinox_model_can_be_trained():
    text = (DOCS / "your-own-jax-model.md").read_text(encoding="utf-8")
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
