"""How much memory another process holds."""

from __future__ import annotations

import importlib
import os
from typing import Any

from evolr.errors import ConfigError


def resident_memory(process: int) -> int | None:
    """The resident set of a process, in bytes; None where the process is gone.

    Of this process alone, not of those that it started. Read from /proc on Linux, by psutil elsewhere.
    Raises ConfigError where there is neither.
    """
    if os.path.isdir("/proc/self"):
        try:
            return int(_content(f"/proc/{process}/statm").split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, IndexError):
            return None
    try:
        psutil: Any = importlib.import_module("psutil")
    except ImportError as error:
        raise ConfigError("a memory limit needs psutil on this system: pip install psutil") from error
    try:
        return int(psutil.Process(process).memory_info().rss)
    except psutil.Error:
        return None


def _content(path: str) -> bytes:
    """The content of a small file, four times as fast as by pathlib: many workers are looked at 50 times a second."""
    file = os.open(path, os.O_RDONLY)
    try:
        return os.read(file, 256)
    finally:
        os.close(file)
