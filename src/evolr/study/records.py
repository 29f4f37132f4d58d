"""What a study remembers, in and out of its database: configuration, populations, outcomes, evaluations."""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

import evolr
from evolr import config as configuration
from evolr.config import Config
from evolr.errors import StudyError
from evolr.expression import LANGUAGE_VERSION, UPGRADES, Expression, original_text, parse, read_back
from evolr.libraries import versions
from evolr.problems import Pool
from evolr.run_files import DATABASE
from evolr.search.individual import Evaluation, Individual, Place
from evolr.study import curves
from evolr.study import stored_values as stored
from evolr.study.counts import Counts
from evolr.study.database import Database, now
from evolr.training.task import Outcome

TOLD = "told"
"""In the place of a pool: the score came from outside, by Study.tell."""


class Writer(NamedTuple):
    """Who began to write last. ended_at: None while it writes, and after a kill."""

    host: str
    process: int
    started_at: str
    ended_at: str | None

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}, since {self.started_at}"


class Best(NamedTuple):
    """The best formula of a size. text: as it is stored."""

    generation: int
    score: float
    text: str
    expression: Expression


class Records:
    """The records of one study."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.counts = Counts(database)
        self._ids: dict[Place, int] = {}
        self._session = 0
        self._language = 0  # not read yet
        self._expressions: dict[Any, Expression] = {}  # by their texts, of which a search repeats half

    # --- the study itself -------------------------------------------------------------------------------------------

    def create(self, config: Config) -> None:
        """Stores the configuration, once."""
        with self._database.transaction():
            values = (configuration.to_toml(config).decode(), now(), now())
            self._database.write("INSERT INTO study (id, config, created_at, active_at) VALUES (1, ?, ?, ?)", values)

    def config(self) -> Config:
        row = self._database.row("study", "SELECT id, config FROM study", id=stored.whole, config=self._config)
        if row is None:
            raise self._database.damaged("study", "it is missing, and so is the configuration")
        return row[1]

    def asked(self) -> Config | None:
        """The configuration that was asked for, if a budget has shortened the search; None otherwise."""
        if self._database.version < 2:  # a reader may look at an older schema, which has no such column
            return None
        row = self._database.row(
            "study", "SELECT id, asked FROM study", id=stored.whole, asked=stored.optional(self._config)
        )
        return None if row is None else row[1]

    def _config(self, value: Any) -> Config:
        """The configuration of a stored TOML document."""
        return _config_of(stored.text(value), self.language)

    @property
    def language(self) -> int:
        """The version of the language that the study was begun in. Whoever goes on with it writes names that mean the
        same in that one and in this.
        """
        if self._language == 0:
            query = "SELECT coalesce(min(language), ?) FROM session"
            found = self._database.value("session", query, (LANGUAGE_VERSION,), language=stored.positive)
            if found > LANGUAGE_VERSION:
                raise StudyError(
                    f"{self._database.path} is of version {found} of the language, this evolr knows {LANGUAGE_VERSION} and "
                    "older; a newer evolr wrote it: update evolr to open it"
                )
            self._language = found
        return self._language

    def expression(self, value: Any) -> Expression:
        """The expression of a stored formula; a decoder, as of stored_values.py."""
        if (known := self._expressions.get(value)) is None:
            text = stored.text(value)
            is_today = self.language == LANGUAGE_VERSION
            known = self._expressions[value] = read_back(text) if is_today else parse(text, language=self.language)
        return known

    def replace_config(self, config: Config) -> None:
        with self._database.transaction():
            self._database.write("UPDATE study SET config = ?", (configuration.to_toml(config).decode(),))

    def shorten(self, config: Config) -> None:
        """Stores the configuration of a search that ends early, and that it was asked for as it was."""
        with self._database.transaction():
            values = (configuration.to_toml(config).decode(),)
            self._database.write("UPDATE study SET asked = coalesce(asked, config), config = ?", values)

    def begin_session(self) -> None:
        values = (now(), socket.gethostname(), os.getpid(), evolr.__version__, versions(["jax"]).get("jax", "none"))
        values = (*values, platform.python_version(), LANGUAGE_VERSION)
        with self._database.transaction():
            self._session = self._database.write(
                "INSERT INTO session (started_at, host, process, evolr, jax, python, language) VALUES (?, ?, ?, ?, ?, ?, ?)",
                values,
            )
        query = "SELECT id, generation, slot FROM individual"
        rows = self._database.rows("individual", query, id=stored.whole, generation=stored.count, slot=stored.count)
        self._ids = {Place(generation, slot): number for number, generation, slot in rows}

    def end_session(self) -> None:
        with self._database.transaction():
            self._database.write("UPDATE session SET ended_at = ? WHERE id = ?", (now(), self._session))

    def active_at(self) -> str:
        """The time of the latest write."""
        return self._database.value("study", "SELECT active_at FROM study", active_at=stored.text)

    def session_starts(self) -> list[datetime]:
        """When each session began."""
        query = "SELECT id, started_at FROM session ORDER BY id"
        rows = self._database.rows("session", query, id=stored.whole, started_at=stored.moment)
        return [start for _, start in rows]

    def writer(self) -> Writer | None:
        """Who writes or wrote last; None where nobody has."""
        row = self._database.row(
            "session",
            "SELECT id, host, process, started_at, ended_at FROM session ORDER BY id DESC LIMIT 1",
            id=stored.whole,
            host=stored.text,
            process=stored.whole,
            started_at=stored.text,
            ended_at=stored.optional(stored.text),
        )
        return None if row is None else Writer(*row[1:])

    # --- populations ------------------------------------------------------------------------------------------------

    def add_population(self, config: Config, population: Sequence[Individual]) -> None:
        generation = population[0].place.generation
        first = self._database.value(
            "individual", "SELECT coalesce(max(id), 0) + 1 FROM individual", id=stored.positive
        )
        ids = {individual.place: number for number, individual in enumerate(population, start=first)}
        self._ids |= ids
        with self._database.transaction():
            self._database.write("INSERT INTO generation (number) VALUES (?)", (generation,))
            self._database.write_many(
                "INSERT INTO individual (id, generation, slot, expression, transform, size, depth, operator, oversize) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        ids[individual.place],
                        *individual.place,
                        original_text(individual.expression),
                        config.search.transform,
                        individual.expression.size,
                        individual.expression.depth,
                        individual.operator,
                        individual.oversize,
                    )
                    for individual in population
                ],
            )
            self._database.write_many(
                "INSERT INTO parent (individual, position, parent) VALUES (?, ?, ?)",
                [
                    (ids[individual.place], position, self._ids[parent])
                    for individual in population
                    for position, parent in enumerate(individual.parents)
                ],
            )

    def drop_population(self, generation: int) -> None:
        """Removes a generation of which nothing was trained."""
        with self._database.transaction():
            self._database.write(
                "DELETE FROM parent WHERE individual IN (SELECT id FROM individual WHERE generation = ?)", (generation,)
            )
            self._database.write("DELETE FROM individual WHERE generation = ?", (generation,))
            self._database.write("DELETE FROM generation WHERE number = ?", (generation,))

    def population(self, generation: int) -> list[Individual]:
        """The individuals of a generation, by slot; none where it has not been made."""
        parents: dict[int, list[Place]] = {}
        for child, *place in self._database.rows(
            "parent",
            "SELECT child.id, parent.generation, parent.slot FROM individual AS child "
            "JOIN parent AS link ON link.individual = child.id LEFT JOIN individual AS parent ON parent.id = link.parent "
            "WHERE child.generation = ? ORDER BY child.id, link.position",
            (generation,),
            id=stored.whole,
            generation=stored.count,
            slot=stored.count,
        ):
            parents.setdefault(child, []).append(Place(*place))
        rows = self._database.rows(
            "individual",
            "SELECT id, slot, expression, operator, oversize FROM individual WHERE generation = ? ORDER BY slot",
            (generation,),
            id=stored.whole,
            slot=stored.count,
            expression=self.expression,
            operator=stored.text,
            oversize=stored.flag,
        )
        if [slot for _, slot, *_ in rows] != list(range(len(rows))):
            raise self._database.damaged(f"generation {generation}", "individuals of it are missing")
        return [
            Individual(Place(generation, slot), expression, operator, tuple(parents.get(number, ())), oversize)
            for number, slot, expression, operator, oversize in rows
        ]

    def generations(self) -> list[int]:
        """The numbers of the generations that have been made, the last of which may be unfinished: from 0 on."""
        rows = self._database.rows(
            "generation",
            "SELECT number, EXISTS (SELECT 1 FROM individual WHERE generation = number) FROM generation ORDER BY number",
            number=stored.count,
            has_individuals=stored.flag,
        )
        for expected, (number, has_individuals) in enumerate(rows):
            if number != expected:
                raise self._database.damaged(f"generation {expected}", "it is missing")
            if not has_individuals:
                raise self._database.damaged(f"generation {number}", "it has no individuals")
        return [number for number, _ in rows]

    # --- trials -----------------------------------------------------------------------------------------------------

    def add_outcomes(self, outcomes: Sequence[tuple[Place, int, Outcome]], pool: str, epochs: int) -> None:
        """Stores the outcomes of trials, each by its individual's place and its seed, in one transaction."""
        rows = [
            (
                self._ids[place],
                self._session,
                pool,
                seed,
                epochs,
                _status(outcome),
                None if np.isnan(outcome.score) else outcome.score,
                outcome.diverged_at,
                outcome.failure,
                None if outcome.failure or not len(outcome.train_loss) else curves.packed(outcome),
            )
            for place, seed, outcome in outcomes
        ]
        with self._database.transaction():
            self._database.write_many(
                "INSERT INTO trial (individual, session, pool, seed, epochs, status, score, diverged_at, message, curves) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )
            self._database.write("UPDATE study SET active_at = ?", (now(),))

    def scores(self, generation: int) -> dict[tuple[Place, str, int], float]:
        """The scores of a generation's trials by place, pool and seed; NaN for what diverged or failed."""
        rows = self._database.rows(
            "trial",
            "SELECT trial.id, slot, pool, seed, score FROM trial JOIN individual ON individual.id = trial.individual "
            "WHERE generation = ?",
            (generation,),
            id=stored.whole,
            slot=stored.count,
            pool=stored.text,
            seed=stored.whole,
            score=stored.score,
        )
        return {(Place(generation, slot), pool, seed): value for _, slot, pool, seed, value in rows}

    def any_trained(self) -> bool:
        """Whether any trial of the whole study has come to an end that is no failure."""
        query = "SELECT EXISTS (SELECT 1 FROM trial WHERE status != 'failed')"
        return self._database.value("trial", query, is_any=stored.flag)

    def success(self) -> tuple[Expression, int, int, str] | None:
        """Formula, seed, epochs and pool of a trial that this study trained to a score; None where there is none."""
        row = self._database.row(
            "trial",
            "SELECT trial.id, expression, seed, epochs, pool FROM trial "
            "JOIN individual ON individual.id = trial.individual WHERE status = 'finished' AND pool != ? LIMIT 1",
            (TOLD,),
            id=stored.whole,
            expression=self.expression,
            seed=stored.whole,
            epochs=stored.positive,
            pool=stored.one_of(*get_args(Pool)),
        )
        return None if row is None else (row[1], row[2], row[3], row[4])

    def failures(self, generation: int) -> list[str]:
        """The messages of a generation's failed trials, in order."""
        rows = self._database.rows(
            "trial",
            "SELECT trial.id, message FROM trial JOIN individual ON individual.id = trial.individual "
            "WHERE generation = ? AND status = 'failed' ORDER BY trial.id",
            (generation,),
            id=stored.whole,
            message=stored.text,
        )
        return [message for _, message in rows]

    def forget_failures(self, generation: int) -> None:
        """Removes a generation's failed trials, so that going on tries them again."""
        with self._database.transaction():
            self._database.write(
                "DELETE FROM trial WHERE status = 'failed' AND individual IN "
                "(SELECT id FROM individual WHERE generation = ?)",
                (generation,),
            )

    # --- evaluations ------------------------------------------------------------------------------------------------

    def finish_generation(self, evaluations: Sequence[Evaluation], hall_of_fame: Sequence[Evaluation]) -> None:
        """Stores the evaluations of a whole generation, and the hall of fame after it."""
        generation = evaluations[0].individual.place.generation
        fitness = [evaluation.fitness for evaluation in evaluations]
        with self._database.transaction():
            self._database.write_many(
                "INSERT INTO evaluation (individual, fitness, score, source, known_from) VALUES (?, ?, ?, ?, ?)",
                [
                    (
                        self._ids[e.individual.place],
                        e.fitness,
                        None if np.isnan(e.score) else e.score,
                        e.source,
                        None if e.known_from is None else self._ids[e.known_from],
                    )
                    for e in evaluations
                ],
            )
            self._database.write(
                "UPDATE generation SET finished_at = ?, best = ?, median = ? WHERE number = ?",
                (now(), max(fitness), float(np.median(fitness)), generation),
            )
            self._database.write("DELETE FROM hall_of_fame")
            self._database.write_many(
                "INSERT INTO hall_of_fame (size, individual) VALUES (?, ?)",
                [(e.individual.expression.size, self._ids[e.individual.place]) for e in hall_of_fame],
            )
            self._database.write("UPDATE study SET active_at = ?", (now(),))

    def hall_of_fame(self) -> list[Best]:
        """The fittest of each size, by size; the last one is the champion."""
        rows = self._database.rows(
            "hall_of_fame",
            "SELECT hall_of_fame.size, generation, score, expression, expression FROM hall_of_fame "
            "LEFT JOIN evaluation USING (individual) LEFT JOIN individual ON individual.id = hall_of_fame.individual "
            "ORDER BY hall_of_fame.size",
            size=stored.whole,
            generation=stored.count,
            score=stored.score,
            text=stored.text,
            expression=self.expression,
        )
        return [Best(*best) for _, *best in rows]

    def best_trained(self, count: int, first: int = 0) -> list[tuple[Expression, float]]:
        """The formula and score of the fittest different formulas that were trained from a generation on, the fittest first."""
        rows = self._database.rows(
            "individual",
            "SELECT individual.id, expression, score FROM evaluation "
            "JOIN individual ON individual.id = evaluation.individual "
            "WHERE source = 'trained' AND generation >= ? "
            "GROUP BY expression ORDER BY max(fitness) DESC, size, individual.id LIMIT ?",
            (first, count),
            id=stored.whole,
            expression=self.expression,
            score=stored.score,
        )
        return [(expression, value) for _, expression, value in rows]

    def recorded(self, formula: str) -> NDArray[np.float32]:
        """The curves of a formula's finished trainings, of the longest of them, (trainings, 4, epochs), in the order of curves.CURVES."""
        rows = self._database.rows(
            "trial",
            "SELECT id, epochs, curves FROM trial WHERE individual IN (SELECT id FROM individual WHERE expression = ?) "
            "AND status = 'finished' AND curves IS NOT NULL ORDER BY id",
            (formula,),
            id=stored.whole,
            epochs=stored.positive,
            curves=lambda value: curves.unpacked(stored.blob(value)),
        )
        longest = max((epochs for _, epochs, _ in rows), default=0)
        found = [(number, own) for number, epochs, own in rows if own.size and epochs == longest]
        for number, own in found:
            if own.shape != found[0][1].shape:
                raise self._database.damaged(f"trial {number}", "its curves are not as long as those of the others")
        return np.array([own for _, own in found]) if found else np.empty((0, len(curves.CURVES), 0), np.float32)

    def evaluations(self, population: Sequence[Individual]) -> list[Evaluation]:
        """The evaluations of a generation's individuals, in order; none while it is unfinished."""
        number = population[0].place.generation
        rows = self._database.rows(
            "evaluation",
            "SELECT individual, own.slot, fitness, score, source, other.generation, other.slot FROM evaluation "
            "JOIN individual AS own ON own.id = evaluation.individual "
            "LEFT JOIN individual AS other ON other.id = evaluation.known_from "
            "WHERE own.generation = ? ORDER BY own.slot",
            (number,),
            individual=stored.whole,
            slot=stored.count,
            fitness=stored.real,
            score=stored.score,
            source=stored.one_of("trained", "same text", "same values"),
            known_from=stored.optional(stored.count),
            known_slot=stored.optional(stored.count),
        )
        if rows and [row[1] for row in rows] != list(range(len(population))):
            raise self._database.damaged(f"generation {number}", "evaluations of it are missing")
        return [
            Evaluation(
                population[slot], fitness, value, source, None if generation is None else Place(generation, other)
            )
            for _, slot, fitness, value, source, generation, other in rows
        ]


@lru_cache(maxsize=32)
def _config_of(text: str, language: int) -> Config:
    """The configuration of a TOML document that a study stored, which was begun in this version of the language."""
    data = configuration.from_toml(text)
    if missing := {"seed", "problem", "training", "search"} - data.keys():
        raise ValueError(f"it has no {min(missing)}")
    if names := UPGRADES.get(language):
        search = data["search"]
        search["functions"] = [names.get(name, name) for name in search["functions"]]
    return configuration.from_stored(data)


def holder(directory: Path) -> str:
    """Who writes a study, for the message to whoever may not."""
    try:
        database = Database.open(directory / DATABASE, write=False)
    except StudyError:
        return "another process"
    with closing(database):
        writer = Records(database).writer()
    return str(writer) if writer and writer.ended_at is None else "another process"


def _status(outcome: Outcome) -> str:
    return "failed" if outcome.failure else "diverged" if outcome.diverged or np.isnan(outcome.score) else "finished"
