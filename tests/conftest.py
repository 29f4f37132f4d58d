"""What every test shares."""

import os
import signal
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

# Data and compiled programs are built once a checkout, out of the user's own cache.
os.environ["XDG_CACHE_HOME"] = str(Path(__file__).parent.parent / ".pytest_cache" / "evolr-cache")
os.environ["COLUMNS"] = "120"
os.environ.setdefault("KERAS_BACKEND", "torch")
# torch's threads wait for one another in busy loops: for tests' small tensors, and beside another process, they cost most of the time.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import jax
import pytest

from evolr import cli
from evolr.training import trainer
from evolr.training.devices import prepare
from evolr.training.task import Task

jax.config.update("jax_num_cpu_devices", 2)  # two devices on any machine: tests compare one with two
prepare()

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("evolr", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("evolr")


def _once(build: Callable[..., Any]) -> Callable[..., Any]:
    """`build`, which makes the programs of a task, but once in this process for each of evolr's own problems.

    Tracing and loading them takes seconds, and most tests make an executor of their own. What another test's trainer made
    differs in nothing: the functions of these problems read no state, and they, the optimiser, the devices and the level are
    all that a program is made of. A problem that a test makes has its own programs, as in any process.
    """

    @cache
    def built(functions: tuple[Any, ...], steps: int, optimizer: Any, mesh: Any, options: frozenset[Any]) -> Any:
        loss, evaluate = functions
        nothing: Any = None  # a program is made of neither data nor luck
        task = Task(steps, initial=nothing, batches=nothing, loss=loss, evaluate=evaluate, monitor=nothing)
        return build(task, optimizer, mesh, **dict(options))

    def building(task: Task, optimizer: Any, mesh: Any, **options: Any) -> Any:
        if not getattr(task.loss, "__module__", "").startswith("evolr.problems."):
            return build(task, optimizer, mesh, **options)
        functions = (task.loss, task.evaluate)
        return built(functions, task.steps_per_epoch, optimizer, mesh, frozenset(options.items()))

    return building


trainer.build = _once(trainer.build)


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
def no_room():
    """Inside `with no_room(size)`, no file of this process grows beyond so many bytes: writing fails as on a full disk."""
    resource = pytest.importorskip("resource")  # of Linux and macOS

    @contextmanager
    def limited(size):
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, before)

    return limited


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


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """A run of each kind, by name, as tests/views/page/pages.py makes them."""
    from tests.views.page.pages import made

    return made(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="session")
def pages(runs):
    """The report of each, as HTML."""
    from evolr.views.page.report import report

    return {name: report(path).html for name, path in runs.items()}


@pytest.fixture
def importable(monkeypatch):
    """Lets a worker's process import the functions of tests."""
    monkeypatch.syspath_prepend(Path(__file__).parents[1])
