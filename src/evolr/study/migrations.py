"""The schema of study.db, as the ordered migrations that lead to it.

A migration is never changed once released: a new one follows it, and a database file of the schema before is kept in
tests/study/databases. Each runs in one transaction with its own record.
"""

from __future__ import annotations

from typing import Final

_VERSION_1: Final = """
CREATE TABLE study (
    id            INTEGER PRIMARY KEY CHECK (id = 1),
    config        TEXT NOT NULL,             -- TOML, as resolved
    created_at    TEXT NOT NULL,             -- ISO 8601, UTC; so are all times
    active_at     TEXT NOT NULL              -- the latest write
) STRICT;

CREATE TABLE session (                       -- one for each time that somebody wrote
    id            INTEGER PRIMARY KEY,
    started_at    TEXT NOT NULL,
    ended_at      TEXT,                      -- NULL while it writes, and after a kill
    host          TEXT NOT NULL,
    process       INTEGER NOT NULL,
    evolr         TEXT NOT NULL,
    jax           TEXT NOT NULL,
    python        TEXT NOT NULL,
    language      INTEGER NOT NULL
) STRICT;

CREATE TABLE generation (
    number        INTEGER PRIMARY KEY,
    finished_at   TEXT,                      -- NULL while its evaluations are not all known
    best          REAL,                      -- fitness
    median        REAL                       -- fitness
) STRICT;

CREATE TABLE individual (
    id            INTEGER PRIMARY KEY,
    generation    INTEGER NOT NULL REFERENCES generation (number),
    slot          INTEGER NOT NULL,
    expression    TEXT NOT NULL,             -- in the original text form
    transform     TEXT NOT NULL,
    size          INTEGER NOT NULL,
    depth         INTEGER NOT NULL,
    operator      TEXT NOT NULL,
    oversize      INTEGER NOT NULL CHECK (oversize IN (0, 1)),
    UNIQUE (generation, slot)
) STRICT;

CREATE TABLE parent (
    individual    INTEGER NOT NULL REFERENCES individual (id),
    position      INTEGER NOT NULL,
    parent        INTEGER NOT NULL REFERENCES individual (id),
    PRIMARY KEY (individual, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE trial (
    id            INTEGER PRIMARY KEY,
    individual    INTEGER NOT NULL REFERENCES individual (id),
    session       INTEGER NOT NULL REFERENCES session (id),
    pool          TEXT NOT NULL,             -- `told` for a score from outside
    seed          INTEGER NOT NULL,
    epochs        INTEGER NOT NULL,
    status        TEXT NOT NULL CHECK (status IN ('finished', 'diverged', 'failed')),
    score         REAL,                      -- NULL unless finished
    diverged_at   INTEGER,                   -- epoch
    message       TEXT,                      -- of a failed one
    curves        BLOB,                      -- float32, little-endian: train_loss, val_loss, val_score, learning_rate
    UNIQUE (individual, pool, seed, epochs)
) STRICT;

CREATE TABLE evaluation (
    individual    INTEGER PRIMARY KEY REFERENCES individual (id),
    fitness       REAL NOT NULL,             -- greater is better; -Inf for a diverged or failed individual
    score         REAL,                      -- in the problem's metric
    source        TEXT NOT NULL,
    known_from    INTEGER REFERENCES individual (id)
) STRICT;

CREATE TABLE hall_of_fame (                  -- the fittest of each size that is fitter than everything smaller
    size          INTEGER PRIMARY KEY,
    individual    INTEGER NOT NULL REFERENCES individual (id)
) STRICT;
"""

_VERSION_2: Final = """
ALTER TABLE study ADD COLUMN asked TEXT;     -- TOML: the configuration that was asked for; NULL unless a budget has shortened it
"""

MIGRATIONS: Final = (_VERSION_1, _VERSION_2)
"""MIGRATIONS[v - 1] leads from schema version v - 1 to v."""
