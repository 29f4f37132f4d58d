"""What every test shares."""

import os
import sys
from pathlib import Path

# Data and compiled programs are built once a checkout, out of the user's own cache.
os.environ["XDG_CACHE_HOME"] = str(Path(__file__).parent.parent / ".pytest_cache" / "evolr-cache")
os.environ["COLUMNS"] = "120"
os.environ.setdefault("KERAS_BACKEND", "torch")

import jax
import pytest

from evolr import cli
from evolr.training.devices import prepare

jax.config.update("jax_num_cpu_devices", 2)  # two devices on any machine: tests compare one with two
prepare()


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def evolr(monkeypatch, capsys):
    """Runs a command line in this process; gives exit code, stdout and stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["evolr", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        captured = capsys.readouterr()
        return caught.value.code, captured.out, captured.err

    return run
