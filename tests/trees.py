"""Directory trees: one to be compared with what it was, every name, kind, permission and byte; and who may enter one."""

import hashlib
import os
import stat
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory


def refused(evolr, *arguments):
    """The message of a command that is refused, and leaves everything as it was. evolr: the fixture."""
    before = tree()
    code, out, err = evolr(*arguments)
    assert (code, out) == (2, ""), err
    assert "Traceback" not in err
    assert tree() == before
    return err


def tree(path="."):
    """By path: kind and permissions, and the content of a file, the target of a link."""
    found = {}
    for entry in sorted(Path(path).rglob("*")):
        mode = entry.lstat().st_mode
        content = ""
        if stat.S_ISREG(mode):
            content = hashlib.sha256(entry.read_bytes()).hexdigest()
        elif stat.S_ISLNK(mode):
            content = os.readlink(entry)
        found[str(entry)] = (stat.filemode(mode), content)
    return found


@contextmanager
def directory_open_to_others():
    """An empty directory that other users may enter; root tries as another what root itself may do anyway.

    It is none of pytest's own: whenever another pytest begins, it closes the directory of all of them.
    """
    with TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o755)
        yield path
