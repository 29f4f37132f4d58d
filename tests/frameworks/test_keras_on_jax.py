import os
import subprocess
import sys
from pathlib import Path

import pytest

FILES = (
    "test_keras.py",
    "test_keras_gradients.py",
    "test_keras_goes_on.py",
    "test_keras_refused.py",
    "test_keras_steps.py",
    "test_keras_others.py",
)


@pytest.mark.timeout(1200)  # of all these files
def test_all_of_it_holds_on_the_jax_backend():
    """Keras has one backend a process, so the files run again in another: all in one, since its imports take longest."""
    paths = [Path(__file__).with_name(file) for file in FILES]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *map(str, paths)],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
