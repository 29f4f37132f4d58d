"""The contest in the terminal and on a page of its own."""

from __future__ import annotations

import math
from pathlib import Path

import evolr
from evolr.contest.results import ContestResult, Entry
from evolr.contest.statistics import CONFIDENCE
from evolr.contest.verdict import verdict
from evolr.errors import count
from evolr.expression import ordinary_text
from evolr.legible import markdown, markdown_code, markdown_table
from evolr.simplification import simplified
from evolr.views.tables import MINUS, difference_text, score_text
from evolr.views.terminal_table import TerminalTable

_COLUMNS = ("contender", "{metric}", MINUS, "p (Holm)", "optimism", "P(better)", "d")

_TASKS = (
    "Each seed is another task: every mean, interval and test is over tasks. {name}-profile.png shows, over τ, the share of tasks on "
    "which a contender is within τ of the best one."
)


def contest_table(result: ContestResult) -> TerminalTable:
    """One row a contender, the best first: its score, the paired difference, and what search believed of it."""
    table = TerminalTable(_title(result))
    for name in _COLUMNS:
        kind = "name" if name == "contender" else "figure"
        table.add_column(name.format(metric=result.config.problem.metric.name), kind)
    for entry in result.ranked:
        table.add_row(*_cells(entry, result), is_bold=entry is result.champion)
    return table


def page(result: ContestResult) -> str:
    """The contest on one page of Markdown, fit for an appendix."""
    settings, metric = result.settings, result.config.problem.metric
    header = [name.format(metric=f"{metric.name} ({CONFIDENCE:.0%} interval)") for name in _COLUMNS]
    rows = [
        [
            *_cells(entry, result, names_optimizers=True),
            *([_steps(entry, result)] if result.knows_steps else []),
            "" if entry.trained is None else str(entry.trained),
        ]
        for entry in result.ranked
    ]
    header += [*(["steps to reach"] if result.knows_steps else []), "trainings"]
    champion = result.champion.result.schedule
    short = simplified(champion)
    constants = [
        (markdown(e.name), markdown(_constants(e)), markdown(e.source))
        for e in result.ranked
        if e.constants and e.optimizer is None
    ]
    lines = [
        f"# {'Rehearsal' if settings.is_quick else 'Contest'}: {markdown(_title(result))}",
        "",
        *map(markdown, verdict(result)),
        "",
        f"The evolved schedule's learning rate: {markdown_code(short.text)}, within [{champion.min_lr:g}, {champion.max_lr:g}]; exactly "
        + markdown_code(ordinary_text(champion.expression))
        + (f", as {champion.reference_lr:g}·exp(value)." if champion.transform == "log" else "."),
        *(f"The short form {sentence}." for sentence in short.remarks),
        "",
        *markdown_table(header, (map(markdown, row) for row in rows)),
        "",
        f"**How.** {markdown(f'{_search_text(result)} {_how(result)}')}",
        "",
        "**Columns.** Intervals are bootstrap percentiles of the mean; differences are paired by seed, evolved minus "
        "contender. p: Wilcoxon's signed-rank test, two-sided, Holm-corrected over all contenders. P(better): the share of "
        "seeds at which the evolved schedule is better, ties half. d: Cohen's d of the paired differences, positive where "
        "the evolved schedule is better. optimism: the winner's curse, by how much the search thought better of it than the "
        "final did."
        + (
            " steps to reach: the training steps after which the evolved schedule's mean monitor score is as good as the "
            "contender's is at its end."
            if result.knows_steps
            else ""
        ),
        "",
        *([f"**Tasks.** {_TASKS.format(name=result.file_name)}", ""] if result.config.problem.draws_tasks else []),
        "## The constants",
        "",
        *markdown_table(("contender", "constants", "whose"), constants),
        "",
        *_rivals(result),
        f"evolr {evolr.__version__}; study seed {result.config.seed}; every training is in {result.file_name}.json.",
        "",
    ]  # fmt: skip
    return "\n".join(lines)


def summary(result: ContestResult, path: Path) -> list[str]:
    """What the terminal says below the table, in lines."""
    runs = f"{count(result.trained, 'training')}, {result.remembered} remembered"
    proven = result.champion.result.schedule
    lines = [*verdict(result), f"proven: {ordinary_text(proven.expression)}"]
    if proven != result.evolved.candidates[0].schedule:
        lines.append("note: in the race it overtook the study's champion; it is saved as proven.json")
    notes = [f"note: {note}" for note in result.config.problem.notes]
    return [*lines, *notes, f"{runs}; saved: {path}/{result.file_name}.*"]


def _search_text(result: ContestResult) -> str:
    """Where the evolved schedule comes from, in a sentence."""
    evolved = result.evolved
    if evolved.trained is None or evolved.epochs is None:
        return f"The evolved schedule was {evolved.source}."
    in_parts = ", shorter ones counted in parts" if result.config.epochs_at(0) < evolved.epochs else ""
    return (
        f"The evolved schedule was found by its study with {count(evolved.trained, 'training')} at "
        f"{count(evolved.epochs, 'epoch')}{in_parts}."
    )


def _how(result: ContestResult) -> str:
    """How the contenders were tuned, raced and judged, in sentences."""
    settings = result.settings
    (many, few), (first, second) = settings.finalists, settings.race_seeds
    if result.knows_pools:
        fitness, selection = ", on the fitness pool", " on the selection pool"
        unseen = ", which nothing else sees" if settings.pool == "test" else ""
        judged = f"the same initial weights and batch order for all, judged on the {settings.pool} pool{unseen}"
    else:
        fitness, selection, judged = "", "", "the same for all, and none that was trained from before"
    return (
        "Families found their candidates by Optuna's multivariate TPE sampler and random search by drawing formulas of the same "
        f"language, with {settings.budget:,} trainings each at {count(settings.epochs, 'epoch')} "
        f"({result.config.search.seeds} a candidate){fitness}. The {many} best of each contender were trained from {first} fresh "
        f"seeds{selection}, the {few} best of these from {second} more, and one went forward. The final: "
        f"{count(len(result.seeds), 'fresh seed')}, {judged}." + (f" {result.no_rivals}" if result.no_rivals else "")
    )


def _rivals(result: ContestResult) -> list[str]:
    """The section about the optimisers that find their own step size; none where none took part."""
    rivals = [entry for entry in result.ranked if entry.optimizer is not None]
    if not rivals:
        return []
    return [
        "## The rivals",
        "",
        "Optimisers that find their own step size: each as its authors advise, and «tuned», with its one constant tuned as a family is. "
        "The schedule's value is their learning rate, a factor of that step size or a bound of it.",
        "",
        *markdown_table(
            ("contender", "optimiser", "schedule", "constants", "whose"),
            [
                (
                    *map(markdown, (e.name, e.optimizer.text)),
                    markdown_code(simplified(e.result.schedule).text),
                    *map(markdown, (_constants(e), e.source)),
                )
                for e in rivals
                if e.optimizer is not None
            ],
        ),
        "",
    ]


def _title(result: ContestResult) -> str:
    settings = result.settings
    judged = f"{settings.pool} pool" if result.knows_pools else "fresh seeds"
    return f"{result.title}, {count(settings.epochs, 'epoch')}, {count(len(result.seeds), 'seed')}, {judged}"


def _cells(entry: Entry, result: ContestResult, *, names_optimizers: bool = False) -> list[str]:
    """names_optimizers: whether a rival is named with its optimiser, for which a terminal is too narrow."""
    metric, own, pairs = result.config.problem.metric, entry.result, entry.result.pairs
    optimism = result.optimism(entry)
    curse = "" if math.isnan(optimism) else f"{metric.scale * optimism:+.3g}"
    by = f" by {own.optimizer.name}" if names_optimizers and own.optimizer is not None else ""
    name = entry.name + by + (f" ({own.lost})" if own.lost else "")
    if pairs is None:
        return [name, score_text(metric, own.mean, own.low, own.high), "", "", curse, "", ""]
    return [
        name,
        score_text(metric, own.mean, own.low, own.high),
        difference_text(metric, pairs),
        "" if pairs.p_value is None else f"{pairs.p_value:.2g}",
        curse,
        f"{pairs.improvement:.2f}",
        "" if pairs.effect_size is None else f"{pairs.effect_size:+.2f}",
    ]


def _steps(entry: Entry, result: ContestResult) -> str:
    total = result.settings.epochs * result.config.problem.steps_per_epoch
    return "never" if entry.steps_to_reach is None else f"{entry.steps_to_reach:,} of {total:,}"


def _constants(entry: Entry) -> str:
    return ", ".join(f"{name} {value:.3g}" for name, value in entry.constants.items())
