"""The program `evolr`, and `python -m evolr`. From here on Ctrl-C is an interruption, while the rest is imported too."""

from __future__ import annotations

import signal

from evolr.interruption import end_now


def main() -> None:
    """Runs a command line; see cli/app.py."""
    signal.signal(signal.SIGINT, end_now)
    from evolr import cli

    cli.main()


if __name__ == "__main__":
    main()
