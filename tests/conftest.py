"""What every test shares."""

import os
import signal
import sys
from collections.abc import Generator
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


@pytest.fixture(autouse=True)
def _signals_of_a_terminal() -> Generator[None]:
    """Ctrl-C and SIGTERM as a terminal's program has them, here and in every process that a test starts.

    What runs in the background of a script inherits Ctrl-C as ignored, and a test that waits for what Ctrl-C does would wait for
    ever. The command line's own handlers go again too.
    """
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, usual) if hasattr(signal, "pthread_sigmask") else None
    yield
    if mask is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    for number, handler in before.items():
        signal.signal(number, handler)


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
