"""How much memory another process holds."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

from evolr.errors import ConfigError


def resident_memory(process: int) -> int | None:
    """The resident set of a process, in bytes; None where the process is gone.

    Of this process alone, not of those that it started. Read from /proc on Linux, by psutil elsewhere.
    Raises ConfigError where there is neither.
    """
    if os.path.isdir("/proc/self"):
        try:
            return int(Path(f"/proc/{process}/statm").read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
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
