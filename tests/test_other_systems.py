"""What evolr needs of a system: searches, and all that reads them, where Linux' own is missing, and in any place that can be named."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from evolr.study.evolve import evolve
from evolr.study.summary import summaries
from tests.study.small import small

ELSEWHERE = '''
"""A search, and commands that read it, without what Windows and macOS have not; `sys.platform` as it is on Windows."""

import os
import sys

def no_proc(event, arguments):
    if event in ("open", "os.listdir", "os.scandir") and str(arguments[0]).startswith("/proc"):
        frame = sys._getframe()
        while frame is not None:
            if "psutil" in frame.f_code.co_filename:  # which needs it here, and something else elsewhere
                return
            frame = frame.f_back
        raise FileNotFoundError(2, "there is no /proc", arguments[0])


def train(schedule, seed, epochs):
    return -abs(schedule(progress=0.5) - 0.01)


if __name__ == "__main__":
    # The standard library and others choose by the platform when they are imported: as what this system is.
    import filelock, jinja2, matplotlib.figure, numpy, optuna, platformdirs, psutil, rich.console, scipy.stats, subprocess, typer
    import multiprocessing.connection, multiprocessing.popen_spawn_posix, multiprocessing.resource_tracker, multiprocessing.spawn

    for name in ("fcntl", "grp", "pwd", "resource", "syslog", "termios"):
        sys.modules[name] = None
    for name in ("fork", "getpgid", "getuid", "killpg", "setsid", "sched_getaffinity", "sysconf", "uname"):
        delattr(os, name)
    sys.addaudithook(no_proc)
    sys.platform = "win32"

    import evolr
    from evolr import cli

    result = evolr.evolve(
        train, "runs/a run", epochs=2, signals=["progress"], trainings=10, workers=1, memory_limit=4
    )
    assert result.champion is not None, result
    for arguments in (["runs"], ["show", "runs/a run"], ["export", "runs/a run", "--to", "python"]):
        sys.argv = ["evolr", *arguments]
        try:
            cli.main()
        except SystemExit as end:
            assert not end.code, (arguments, end.code)
    print("all done")
'''


@pytest.mark.skipif(sys.platform == "win32", reason="that is one of them")
def test_a_search_and_what_reads_it_need_nothing_of_linux_alone(tmp_path):
    (tmp_path / "elsewhere.py").write_text(ELSEWHERE)
    done = subprocess.run([sys.executable, "elsewhere.py"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["all done"]), done.stderr


PLACES = [
    "C:\\runs\\ünïcödé 学習, 50% of #1?a=b&c;d",
    '-it\'s "quoted" [glob]*',
]


@pytest.mark.skipif(os.name == "nt", reason="names that Windows does not allow")
@pytest.mark.parametrize("place", PLACES)
def test_a_study_may_lie_in_any_place_that_can_be_named(evolr, place):
    run = Path(place) / "a run"
    assert evolve(small(), run).champion is not None
    assert [(path, summary.state) for path, summary in summaries(Path(place))] == [(run, "done")]
    named, folder = f"./{run}", f"./{place}"
    for arguments in (
        ("runs", folder),
        ("show", named, "-o", f"{folder}/curve of it.png"),
        ("export", named, "--to", "torch", "-o", f"{folder}/a schedule.py"),
        ("report", named),
    ):
        code, _, error = evolr(*arguments)
        assert code == 0, (arguments, error)
    assert {"curve of it.png", "a schedule.py", "a run"} == {path.name for path in Path(place).iterdir()}
