"""What is installed, and what is said where something is not."""

import os
import subprocess
import sys

import pytest

from evolr.errors import MissingExtraError
from evolr.libraries import FIGURES, require, versions

WITHOUT_JAX = "import sys; sys.modules.update(dict.fromkeys(('jax', 'jaxlib', 'optax', 'mnist1d')))\n"
FUNCTION = """
import evolr

def train(schedule, seed, epochs):
    return -abs(schedule(progress=0.5, loss=1.0, val_loss=1.0) - 0.01)

if __name__ == "__main__":
    print(evolr.evolve(train, "run", trainings=12, epochs=1, workers=1).trainings)
"""


def in_python(code, folder):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, check=False)


@pytest.mark.parametrize("command", [["evolve"], ["run"], ["compare", "--expression", "0.01"]])
def test_without_jax_what_evolr_trains_itself_is_refused_before_anything_is_written(command, tmp_path):
    code = f"{WITHOUT_JAX}from evolr.cli import main\nsys.argv = {['evolr', *command]!r}\nmain()"
    done = in_python(code, tmp_path)
    assert done.returncode == 2, done.stderr
    assert done.stderr == (
        "error: training mnist1d-mlp by evolr's own trainer needs a library that is not installed: pip install 'evolr[jax]'\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_without_jax_a_training_function_is_searched(tmp_path):
    (tmp_path / "script.py").write_text(WITHOUT_JAX + FUNCTION)
    done = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout) == (0, "12\n"), done.stderr


def test_versions_are_those_of_what_is_installed():
    assert set(versions()) == set(FIGURES)
    assert versions(["numpy", "no such library"]).keys() == {"numpy"}


def test_what_is_missing_is_named_by_its_extra():
    require("this", "jax", ["jax"])
    with pytest.raises(
        MissingExtraError, match=r"^this needs a library that is not installed: pip install 'evolr\[x\]'$"
    ):
        require("this", "x", ["jax", "nosuchlibrary"])


def test_a_backend_of_keras_that_is_not_installed_is_named(tmp_path):
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow"}
    done = subprocess.run(
        [sys.executable, "-c", "import evolr.keras"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        check=False,
    )
    assert done.stderr.rstrip().endswith(
        "MissingExtraError: Keras needs a library that is not installed: install tensorflow, or name another backend, "
        "KERAS_BACKEND=jax"
    ), done.stderr


@pytest.mark.parametrize("platform", ["cuda", "nothing"])
def test_a_platform_that_jax_does_not_have_is_an_error_in_words_and_leaves_no_run(platform, tmp_path):
    words = ("evolve", "--preset", "quadratic", "--trainings", "12", "--run", "run", "-q")
    done = subprocess.run(
        [sys.executable, "-m", "evolr", *words],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "JAX_PLATFORMS": platform},
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert f"JAX has no device to train on, as JAX_PLATFORMS={platform!r} says" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()
