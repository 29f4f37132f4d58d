"""Tables and lines for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from evolr.config import Config
from evolr.contest.comparison import CHAMPION, ComparisonResult
from evolr.contest.explanation import Explanation
from evolr.contest.statistics import CONFIDENCE, Pairs, Relation
from evolr.contest.verdict import listed, lost_text, nothing_can_be_told
from evolr.errors import EvolrError, count
from evolr.expression import Expression, Token, ordinary_text
from evolr.legible import shell_word
from evolr.problems import Metric
from evolr.search.archive import knee
from evolr.search.individual import Evaluation
from evolr.study.results import SearchResult
from evolr.study.summary import Summary, deeper_folders, standing_text
from evolr.views.terminal_table import GAP, TerminalTable

_MOST_NAMED: Final = 5  # folders, in a line

MINUS: Final = f"{CHAMPION} minus it"
"""The column of paired differences: the champion's score minus that of the row, as in the pictures."""

_RELATIONS: Final[tuple[Relation, ...]] = ("better than", "worse than", "not distinguishable from")  # as they are said


def comparison_table(result: ComparisonResult) -> TerminalTable:
    """One row a contender: score with its interval, and by how much the champion's differs, pair by pair."""
    metric = result.metric
    title = f"{result.settings.epochs} epochs, {count(len(result.seeds), 'seed')}, {CONFIDENCE:.0%} intervals"
    table = TerminalTable(title)
    table.add_column("schedule", "name")
    for header in (f"final {metric.name}", MINUS, "p (Holm)"):
        table.add_column(header)
    if any(c.diverged for c in result.contenders):
        has_failures = any(outcome.failure for c in result.contenders for outcome in c.outcomes)
        table.add_column("unfinished" if has_failures else "diverged")
    for contender in result.contenders:
        pairs = contender.pairs
        score = score_text(metric, contender.mean, contender.low, contender.high)
        difference = "" if pairs is None else difference_text(metric, pairs)
        p_value = "" if pairs is None or pairs.p_value is None else f"{pairs.p_value:.2g}"
        diverged = f"{contender.diverged} of {len(contender.scores)}"
        row = (contender.name, score, difference, p_value, diverged)
        table.add_row(*row[: len(table.headers)], is_bold=pairs is None)
    return table


def verdict(result: ComparisonResult) -> str:
    """The comparison in a few sentences, by rule: a schedule is better or worse where Holm's p is below 0.05."""
    seeds, baselines = len(result.seeds), result.contenders[1:]
    lost = lost_text(result.contenders)
    sentences = [
        nothing_can_be_told(seeds, len(baselines)) or _main_sentence(result),
        lost,
        "The baselines are not tuned.",
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _main_sentence(result: ComparisonResult) -> str:
    groups: dict[str, list[str]] = {}
    for contender in result.contenders[1:]:
        if contender.pairs is not None:
            groups.setdefault(contender.pairs.relation, []).append(contender.name)
    parts = [f"is {relation} {listed(groups[relation])}" for relation in _RELATIONS if relation in groups]
    return f"By final {result.metric.name}, the {CHAMPION} schedule {'; it '.join(parts)}."


def explanation_table(explanation: Explanation) -> TerminalTable:
    """One row a signal: its median, and what freezing it there changes."""
    metric, champion = explanation.config.problem.metric, explanation.champion
    judged = "selection pool" if explanation.knows_pools else "fresh seeds"
    table = TerminalTable(
        f"{explanation.epochs} epochs, {count(len(champion.scores), 'seed')}, {judged}: "
        f"{score_text(metric, champion.mean, champion.low, champion.high)}"
    )
    for column in ("signal", "frozen at", f"final {metric.name}", MINUS, "p (Holm)"):
        table.add_column(column, "name" if column == "signal" else "figure")
    for name, (median, frozen) in explanation.frozen.items():
        pairs = frozen.pairs
        cells = [name, f"{median:.4g}", score_text(metric, frozen.mean, frozen.low, frozen.high)]
        if pairs is not None:
            cells += [difference_text(metric, pairs), "" if pairs.p_value is None else f"{pairs.p_value:.2g}"]
        table.add_row(*cells)
    return table


def hall_of_fame_table(front: Sequence[Evaluation], metric: Metric) -> TerminalTable:
    """The best formula of each size."""
    expressions = [(e.individual.expression, e.score) for e in front]
    return front_table([(expression.size, score, expression) for expression, score in expressions], metric)


def front_table(rows: Iterable[tuple[int, float, Expression]], metric: Metric) -> TerminalTable:
    """The table of (size, score, formula) rows, the knee marked: the size beyond which size buys little."""
    rows = list(rows)
    readable = knee([r[0] for r in rows], [metric.fitness(r[1]) for r in rows]) if rows else -1
    table = TerminalTable("best of each size")
    table.add_column("size")
    table.add_column(metric.name)
    table.add_column("", is_left=True)
    table.add_column("formula", "formula")
    for place, (size, score, formula) in enumerate(rows):
        is_knee = place == readable and len(rows) > 2
        cells = (str(size), metric.text(score), "knee" if is_knee else "", ordinary_text(formula))
        table.add_row(*cells, is_bold=is_knee)
    return table


def search_summary(result: SearchResult, config: Config, path: Path) -> list[str]:
    """What a search found and what it took, in a few lines."""
    metric, best = config.problem.metric, result.champion
    if best is not None:
        generation = best.individual.place.generation
        seeds, epochs = config.search.seeds_at(generation), config.epochs_at(generation)
        runs = count(seeds, "training") if result.history or seeds == 1 else f"at most {count(seeds, 'training')}"
        judged = "won the race on fresh seeds" if result.is_raced else runs
        fitness = f"{metric.name} {metric.text(best.score)} ({count(epochs, 'epoch')}, {judged})"
        found = [
            f"champion: {ordinary_text(best.individual.expression)}",
            f"fitness: {fitness}",
            *_preferred(result, config),
        ]
        if standing := standing_text(config, is_raced=result.is_raced, is_done=result.stopped_by is None):
            found.append(f"standing: {standing}")
    elif result.trainings:
        found = ["champion: none, for every training diverged or failed"]
    else:
        found = ["champion: none yet, for nothing was trained"]
    return [
        *found,
        f"took: {duration(result.seconds)}; {result.trainings_text} in the study",
        *([f"stopped: {result.stopped_by}"] if result.stopped_by else []),
        *(f"note: {note}" for note in config.problem.notes),
        f"saved: {path}",
    ]


def _preferred(result: SearchResult, config: Config) -> list[str]:
    """Why the champion is another formula than before the race, if it is one; other constants make no other formula."""
    best, before = result.champion, result.before_race
    if best is None or before is None or not result.is_raced or _is_alike(best, before):
        return []
    runs = count(config.search.seeds_at(before.individual.place.generation), "training")
    score = f"{config.problem.metric.text(before.score)} in {runs}, its luck included"
    return [f"race: on fresh seeds it was preferred to the best before, {before.individual.expression} ({score})"]


def _is_alike(one: Evaluation, other: Evaluation) -> bool:
    """Whether two formulas differ in their constants at most."""
    return without_constants(one.individual.expression) == without_constants(other.individual.expression)


def without_constants(expression: Expression) -> list[Token | None]:
    """The tokens of a formula, None for each constant: formulas that differ in these alone are alike."""
    return [None if isinstance(token, float) else token for token in expression.tokens]


def runs_table(found: Iterable[tuple[Path, Summary | EvolrError]]) -> TerminalTable:
    """One row a study: where it stands, its best score and formula, and when it was last written."""
    table = TerminalTable("")
    for column in ("run", "problem"):
        table.add_column(column, "name")
    for column in ("state", "generations", "best", "last activity"):
        table.add_column(column, is_left=column != "best")
    table.add_column("champion", "formula")
    for path, summary in found:
        if isinstance(summary, EvolrError):
            table.add_row(path.name, "", "unreadable", "", "", "", str(summary))
            continue
        metric, config = summary.config.problem.metric, summary.config
        table.add_row(
            path.name,
            config.problem.name,
            summary.state_word,
            summary.bred_text + (", then the race" if summary.is_race_next else ""),
            "" if summary.best is None else metric.text(summary.best),
            summary.active_at[:16].replace("T", GAP),
            ordinary_text(summary.champion.expression) if summary.champion else "",
        )
    return table


def deeper_text(folder: Path) -> str:
    """Which folders of a folder hold more studies, in words; empty where none does."""
    found = deeper_folders(folder, _MOST_NAMED + 1)
    named = ", ".join(map(shell_word, found[:_MOST_NAMED])) + (", …" if len(found) > _MOST_NAMED else "")
    return f"more studies are in folders of {folder}; name one of these to see them: {named}" if found else ""


def summary_document(path: Path, summary: Summary | EvolrError) -> dict[str, Any]:
    """A row of `runs_table`, for JSON."""
    if isinstance(summary, EvolrError):
        return {"run": str(path), "state": "unreadable", "message": str(summary)}
    return {
        "run": str(path),
        "state": summary.state,
        "problem": summary.config.problem.name,
        "generations_done": summary.bred,
        "generations": summary.config.search.race_generation,
        "best": summary.best,
        "champion": str(summary.champion.expression) if summary.champion else None,
        "raced": summary.is_raced,
        "trainings": summary.trainings,
        "whole_trainings": summary.whole_trainings,
        "active_at": summary.active_at,
    }


def trainings_done(summary: Summary) -> str:
    """How many trainings, of about how many."""
    has_short = summary.whole_trainings < summary.trainings
    done = f"{summary.trainings:,}" + (f", which count as {summary.whole_trainings:,}" if has_short else "")
    return done + (f", of about {summary.expected:,}" if summary.expected > summary.whole_trainings else "")


def trainings_and_failures(summary: Summary) -> str:
    """The same, and how many of them failed."""
    return trainings_done(summary) + (f", {summary.failed:,} failed" if summary.failed else "")


def moment(text: str) -> str:
    """A time as it is recorded, in words."""
    return f"{text[:19].replace('T', ' ')} UTC"


def duration(seconds: float) -> str:
    """A time for people: 8 s, 3 min 20 s, 2 h 05 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def _interval(metric: Metric, low: float | None, high: float | None, sign: str = "") -> str:
    if low is None or high is None:
        return ""
    return f"{GAP}{metric.number(low, sign)} … {metric.number(high, sign)}"


def score_text(metric: Metric, mean: float, low: float | None, high: float | None) -> str:
    """A mean with its interval, accuracy in per cent."""
    return f"{metric.text(mean)}{_interval(metric, low, high)}"


def difference_text(metric: Metric, pairs: Pairs) -> str:
    """The mean of champion minus contender with its interval, accuracy in points."""
    if pairs.difference is None:
        return "–"
    return metric.number(pairs.difference, "+") + _interval(metric, pairs.low, pairs.high, "+")
