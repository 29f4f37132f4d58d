"""What a measurement says of the machine that it was made on."""

import platform
from pathlib import Path


def processor() -> str:
    """The processor's name, as Linux tells it; elsewhere what Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
