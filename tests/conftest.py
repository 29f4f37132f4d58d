"""What every test shares."""

import os
from pathlib import Path

# Data and compiled programs are built once a checkout, out of the user's own cache.
os.environ["XDG_CACHE_HOME"] = str(Path(__file__).parent.parent / ".pytest_cache" / "evolr-cache")
os.environ["COLUMNS"] = "120"

import jax
import pytest

from evolr.training.devices import prepare

jax.config.update("jax_num_cpu_devices", 2)  # two devices on any machine: tests compare one with two
prepare()


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
