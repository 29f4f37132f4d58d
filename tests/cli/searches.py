"""Searches of the command line that are short, and the files that they leave."""

from pathlib import Path

SHORT = (
    "--population",
    "6",
    "--generations",
    "2",
    "--epochs",
    "1",
    "--set",
    "comparison.epochs=2",
)
QUICK = (*SHORT, "--set", "search.youth=2")  # of the memetic method
ORIGINAL = ("--preset", "original", *SHORT)
PUBLISHED = "(((epoch mul -0.001537) mul -0.75568) sub -0.001537)"


def names(path):
    """What a directory holds, but for what SQLite keeps beside a database for its readers."""
    return sorted(p.name for p in Path(path).iterdir() if not p.name.endswith(("-shm", "-wal")))


SEARCH_FILES = [
    "champion.json",
    "champion.txt",
    "config.toml",
    "front.csv",
    "front.png",
    "history.csv",
    "study.db",
    "writer.lock",
]
ALL_FILES = sorted([*SEARCH_FILES, "comparison.csv", "comparison.json", "comparison.png"])
