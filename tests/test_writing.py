"""The one writer: whole or not at all, over regular files alone, and nothing left behind."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evolr.errors import ConfigError
from evolr.run_files import belongs_to_a_run, contest_files
from evolr.writing import Output, is_leftover, remove_leftovers, write
from tests.trees import directory_open_to_others, tree

KILLED = """
import os, signal
from pathlib import Path
from evolr.writing import write
os.{moment} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
write(Path("file"), b"new")
"""


def killed(moment):
    done = subprocess.run([sys.executable, "-c", KILLED.format(moment=moment)], check=False)
    assert done.returncode == -signal.SIGKILL


def test_a_file_is_written_over_with_the_permissions_that_it_had():
    write(Path("file"), b"old")
    os.chmod("file", 0o640)
    write(Path("file"), b"new")
    assert tree() == {"file": ("-rw-r-----", tree()["file"][1])}
    assert Path("file").read_bytes() == b"new"


def test_a_new_file_has_the_permissions_that_any_program_gives():
    Path("usual").write_text("")
    write(Path("file"), b"")
    assert Path("file").stat().st_mode == Path("usual").stat().st_mode


def test_a_name_as_long_as_a_name_may_be_can_be_written():
    write(Path("x" * 255), b"content")
    assert Path("x" * 255).read_bytes() == b"content"


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_what_a_kill_left_is_removed_by_the_next_write(moment):
    write(Path("file"), b"old")
    killed(moment)
    assert Path("file").read_bytes() == b"old"
    assert [is_leftover(name) for name in sorted(os.listdir())] == [True, False]
    write(Path("other"), b"content")
    assert sorted(os.listdir()) == ["file", "other"]


AT_EACH_LINE = """
import os, signal, sys
from pathlib import Path
from evolr import writing

def written(line):
    # Writes in a process of its own, which is killed at a line of the writer, by its number; whether it was.
    seen = 0
    def trace(frame, event, argument):
        nonlocal seen
        if frame.f_code.co_filename != writing.__file__:
            return None
        seen += event == "line"
        if seen > line:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace
    process = os.fork()
    if process == 0:
        sys.settrace(trace)
        writing.Output("file", True).write(b"new")
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGKILL

line = 0
while True:
    Path("file").write_bytes(b"old")
    if not written(line):
        break
    content = Path("file").read_bytes()
    left = len(os.listdir()) - 1
    Path("file").write_bytes(b"old")
    writing.write(Path("file"), b"next")
    print(content.decode(), left, os.listdir(), Path("file").read_bytes().decode())
    line += 1
"""


def test_a_kill_at_any_line_leaves_the_former_file_and_is_no_obstacle():
    done = subprocess.run([sys.executable, "-c", AT_EACH_LINE], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) > 30
    # Before the temporary file is made, and while it is written; the renaming comes last.
    assert set(lines) == {"old 0 ['file'] next", "old 1 ['file'] next"}


def test_what_others_are_writing_stays():
    killed("fsync")
    (left,) = (name for name in os.listdir() if is_leftover(name))
    _, here, process, own, _ = left.split("-")
    living = f".evolr-{here}-{os.getppid()}-{own}-0.tmp"
    elsewhere = f".evolr-{int(here, 16) ^ 1:08x}-{process}-{own}-0.tmp"
    of_a_former_process = f".evolr-{here}-{os.getpid()}-{own}-0.tmp"  # whose number this one has now
    for name in (living, elsewhere, of_a_former_process):
        Path(name).write_text("half")
    remove_leftovers(Path())
    assert set(os.listdir()) == {living, elsewhere}
    long_ago = time.time() - 4000
    for name in (living, elsewhere):
        os.utime(name, (long_ago, long_ago))
    remove_leftovers(Path())
    assert os.listdir() == []


def test_a_full_disk_leaves_the_former_file_and_nothing_else(no_room):
    write(Path("file"), b"old")
    before = tree()
    with no_room(1000), pytest.raises(OSError, match="too large") as caught:
        write(Path("file"), bytes(2000))
    assert caught.value.errno == errno.EFBIG
    assert tree() == before


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("folder", "folder is a directory"),
        ("folder/", "folder/ is a directory"),
        ("new/", "new/ ends as a directory does"),
        (".", "is a directory"),
        ("", "a file is named by a text that is not empty or a Path, got ''"),
        ("nowhere/file", "there is no directory nowhere"),
        ("file/x", "cannot write file/x: Not a directory"),
        ("~/x", "write the path in full"),
        ("~nobody/x", "write the path in full"),
        ("pipe", "it is a pipe"),
        ("/dev/null", "it is a device"),
        ("to_pipe", "it is a pipe"),
        ("to_device", "it is a device"),
        ("loop", "it is a link"),
        ("to_nowhere", "there is no directory"),
        ("x" * 256, "File name too long"),
        ("a\0b", "nothing can be called"),
        ("\ud800", "nothing can be called"),
    ],
)
def test_what_no_file_can_be_written_at_is_refused_with_force_too(name, problem, force):
    Path("folder").mkdir()
    Path("file").write_text("precious")
    os.mkfifo("pipe")
    links = {"to_pipe": "pipe", "to_device": "/dev/full", "loop": "loop", "to_nowhere": "nowhere/file"}
    for link, target in links.items():
        os.symlink(target, link)
    before = tree()
    with pytest.raises(ConfigError, match=problem):
        Output.checked(name, force=force)
    assert tree() == before


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="it is a file of Unix")
@pytest.mark.parametrize("name", ["said", "/dev/stdout"])
def test_what_is_printed_into_is_not_replaced(name):
    code = f"from evolr.writing import Output; Output.checked({name!r}, force=True)"
    with open("said", "wb") as said:
        done = subprocess.run([sys.executable, "-c", code], check=False, stdout=said, stderr=subprocess.PIPE, text=True)
    assert f"{name} is what standard output or standard error is written to; name another file" in done.stderr
    Output.checked("said", force=True)


@pytest.mark.parametrize("name", ["file", "link", "./folder/../file", "$PWD/file"])
def test_a_file_that_is_there_is_written_over_by_force_alone_and_a_link_stays(name):
    Path("folder").mkdir()
    Path("file").write_text("old")
    Path("link").symlink_to("file")
    name = os.path.expandvars(name.replace("$PWD", os.getcwd()))
    with pytest.raises(ConfigError, match="exists already"):
        Output.checked(name)
    Output.checked(name, force=True).write(b"new")
    assert Path("file").read_text() == "new"
    assert Path("link").is_symlink()


def test_a_place_that_was_taken_since_it_was_checked_is_left_alone():
    output = Output.checked("file")
    Path("file").write_text("precious")
    with pytest.raises(ConfigError, match="exists already"):
        output.write(b"new")
    assert Path("file").read_text() == "precious"


OF_A_RUN = [
    "study.db",
    "Study.DB",
    "study.db-wal",
    "study.db-shm",
    "study.db.new",
    "contest.db",
    "contest.db-wal",
    "writer.lock",
]
DERIVED = ["champion.json", "history.csv", "front.png", "comparison.png", "explanation.json", *contest_files("contest")]


@pytest.mark.parametrize("name", OF_A_RUN)
def test_the_memory_of_a_study_is_written_by_nobody_else_wherever_it_lies(name):
    assert belongs_to_a_run(Path(name))
    with pytest.raises(ConfigError, match="is one of the files that a run keeps"):
        Output.checked(name, force=True)


@pytest.mark.parametrize("memory", ["study.db", "contest.db"])
@pytest.mark.parametrize("name", DERIVED)
def test_the_derived_files_of_a_run_are_written_by_nobody_else(name, memory):
    Output.checked(name)
    Path("run").mkdir()
    Path("run", memory).write_text("")
    Path("link").symlink_to(f"run/{name}")
    for named in (f"run/{name}", f"run/../run/{name}", "link"):
        with pytest.raises(ConfigError, match="is one of the files that a run keeps"):
            Output.checked(named, force=True)
    Output.checked("run/champion.py").write(b"mine")


READ_ONLY = """
import os
from pathlib import Path
from evolr.errors import ConfigError
from evolr.writing import Output, write
if os.geteuid() == 0:
    os.setuid(65534)
try:
    Output.checked("folder/file")
except ConfigError as error:
    print(error)
try:
    write(Path("folder/file"), b"")
except OSError as error:
    print(error.strerror)
"""


def test_a_directory_that_may_not_be_written_is_refused():
    with directory_open_to_others() as place:
        folder = place / "folder"
        folder.mkdir()
        folder.chmod(0o555)
        done = subprocess.run([sys.executable, "-c", READ_ONLY], cwd=place, capture_output=True, text=True, check=True)
    assert done.stdout == (
        f"cannot write folder/file: no right to write in {folder.resolve()}, or it is read-only\nPermission denied\n"
    )
