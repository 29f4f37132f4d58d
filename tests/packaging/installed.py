"""What a fresh installation of the core must do; `make package` runs it by the wheel and by the source distribution.

It is no test of pytest's: it runs where there is nothing but evolr and what the core needs.
"""

import math
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
from importlib.metadata import metadata
from pathlib import Path

import evolr

EVOLR = Path(sysconfig.get_path("scripts")) / "evolr"


def train(schedule, seed, epochs):
    """Gradient descent on x², a little noisy by the seed; the negative distance from its minimum."""
    x, steps = 1.0, 20 * epochs
    for step in range(steps):
        x -= 2 * x * schedule(progress=step / steps, loss=x * x, val_loss=x * x) + 1e-3 * math.sin(seed + step)
    return -abs(x) if math.isfinite(x) else -math.inf


def done(*arguments):
    return subprocess.run([EVOLR, *arguments], capture_output=True, text=True, check=False)


def main():
    assert "site-packages" in evolr.__file__, f"not the installed evolr: {evolr.__file__}"
    description = metadata("evolr").get_payload()
    assert "evolr evolves learning-rate schedules" in description
    assert not re.search(r"\]\((?!https?:)", description), "a link into the repository leads nowhere on a package index"
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        assert done("--version").stdout.strip() == evolr.__version__
        assert done("gallery").stdout.count("momentum-suite") == 1
        assert "LaTeX" in done("show", "0.01*(1 - progress)").stdout
        assert done("show", "momentum-suite", "-o", "curve.png").returncode == 0
        assert Path("curve.png").read_bytes().startswith(b"\x89PNG")
        refused = done("evolve")
        assert refused.returncode == 2, refused.stderr
        assert "evolr[jax]" in refused.stderr, refused.stderr
        result = evolr.evolve(train, "run", trainings=24, epochs=2, workers=1)
        assert result.trainings == 24
        assert result.schedule is not None
        assert evolr.tune(train, "one-cycle", trainings=5, epochs=2, workers=1).schedule is not None
        for target in ("python", "torch", "optax", "keras", "lightning", "huggingface"):
            assert done("export", "run", "--to", target, "-o", f"{target}.py").returncode == 0, target
        assert done("report", "run", "-o", "report.html").returncode == 0
        assert "<svg" in Path("report.html").read_text(encoding="utf-8")
        assert done("runs", ".").returncode == 0
    sys.stdout.write(f"evolr {evolr.__version__} works as it is installed in {sys.prefix}\n")


if __name__ == "__main__":
    main()
