"""The command line: arguments → configuration → one call.

Results go to stdout, everything else to stderr. Exit codes: 0 done, 2 bad input, 128 + signal interrupted. What a command
needs is imported when it runs, so that `evolr --help` is quick.
"""

from __future__ import annotations

from evolr.cli import export, gallery, judge, report, search, serve, show
from evolr.cli.app import main

__all__ = ["export", "gallery", "judge", "main", "report", "search", "serve", "show"]
