"""Who writes a study, on systems with fcntl and without it."""

import os
import subprocess
import sys

import pytest

from evolr.errors import StudyLockedError
from evolr.run_files import LOCK_FILE
from evolr.study.lock import WriterLock, is_held


@pytest.fixture(params=["with fcntl", "without fcntl"])
def _system(request, monkeypatch):
    if request.param == "without fcntl":
        monkeypatch.setitem(sys.modules, "fcntl", None)


@pytest.mark.usefixtures("_system")
def test_a_study_is_being_written_from_the_lock_to_its_release(tmp_path):
    assert not is_held(tmp_path)
    assert list(tmp_path.iterdir()) == []  # looking makes nothing
    lock = WriterLock(tmp_path, "a test")
    assert is_held(tmp_path)
    with pytest.raises(StudyLockedError, match="is being written by a test"):
        WriterLock(tmp_path, "a test")
    lock.release()
    assert not is_held(tmp_path)
    WriterLock(tmp_path, "another").release()


def test_the_core_is_imported_where_linux_has_its_own_modules_alone():
    code = "import sys; sys.modules.update(dict.fromkeys(('fcntl', 'resource', 'pwd', 'grp', 'termios', 'psutil')))\n"
    code += (
        "import evolr.cli, evolr.contest.prove, evolr.study.study, evolr.execution.workers, evolr.named, evolr.writing"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_pipe_in_the_place_of_the_lock_holds_up_no_reader(tmp_path):
    os.mkfifo(tmp_path / LOCK_FILE)
    assert not is_held(tmp_path)
