"""What may be said of a contest, by rule, in plain words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from evolr.contest.results import EVOLVED, FROZEN, ContestResult, Entry
from evolr.contest.statistics import SIGNIFICANCE, Relation

LEVELS: Final = (0.001, 0.01, SIGNIFICANCE)
"""A claim names the strictest of these that all its p-values are below."""

LEAST_CANDIDATES: Final = 20
"""Candidates of each family below which it cannot be called tuned: the sampler draws its first ten at random."""

_NOUNS: Final = {"accuracy": ("points", 100.0)}  # the unit of a metric's differences, and its scale


def verdict(result: ContestResult) -> list[str]:
    """The sentences of the verdict, the claim first."""
    contenders, seeds, spent = len(result.entries) - 1, len(result.seeds), result.settings.budget
    needed = seeds_needed(contenders)
    if needed > seeds:
        told = count(seeds, "seed")
        return [
            f"Nothing can be said: with {told} no difference could be told, whatever the scores; {contenders} contenders "
            f"need {needed}."
        ]
    sentences = [_claim(result), _best(result)]
    if feedback := _feedback(result):
        sentences.append(feedback)
    diverged = [f"{e.result.diverged} of {seeds} runs of {e.name}" for e in result.entries if e.result.diverged]
    if diverged:
        sentences.append(f"Diverged: {listed(diverged)}; a diverged run counts as the worst, and is in no mean.")
    if (
        result.evolved.trained is not None
        and spent < result.evolved.trained // result.config.search.seeds * result.config.search.seeds
    ):
        sentences.append(
            f"The budgets are not equal: {count(result.evolved.trained, 'training run')} for the search, {spent} for each "
            "contender. That flatters the evolved schedule."
        )
    if spent < (least := LEAST_CANDIDATES * result.config.search.seeds):
        sentences.append(
            f"With {count(spent, 'training run')} each the families are hardly tuned: take {least} at least."
        )
    if result.looks > 1:
        sentences.append(
            f"The test pool has been looked at by {result.looks} different contests of this directory: the more of them, the "
            "less a p-value means."
        )
    if result.settings.is_quick:
        sentences.append("This is a rehearsal (--quick), judged on the selection pool: it proves nothing.")
    return sentences


def claim_level(entries: Sequence[Entry]) -> float:
    """The strictest level that the p-values of some entries are all below."""
    highest = max(e.result.pairs.p_value or 0.0 for e in entries if e.result.pairs is not None)
    return next(level for level in LEVELS if highest < level)


def listed(names: Sequence[str]) -> str:
    """A, B and C."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def count(number: int, noun: str) -> str:
    """1 seed, 2 seeds."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _claim(result: ContestResult) -> str:
    groups: dict[Relation, list[Entry]] = {}
    for entry in result.others:
        if entry.result.pairs is not None:
            groups.setdefault(entry.result.pairs.relation, []).append(entry)
    contenders = len(result.entries) - 1
    beaten = groups.pop("better than", [])
    if not beaten:
        parts = [f"The {EVOLVED} schedule beats none of {contenders} contenders"]
    else:
        number = f"all {contenders}" if len(beaten) == contenders else f"{len(beaten)} of {contenders}"
        parts = [f"The {EVOLVED} schedule beats {number} contenders at p < {claim_level(beaten):g}"]
    for relation in ("worse than", "not distinguishable from", "with too few seeds to be told from"):
        if entries := groups.get(relation):
            if relation == "worse than":
                number = f"all {contenders}" if len(entries) == contenders else f"{len(entries)}"
                parts.append(
                    f"it is worse than {number} at p < {claim_level(entries):g}: {listed([e.name for e in entries])}"
                )
            else:
                parts.append(f"{relation} {listed([e.name for e in entries])}")
    return "; ".join(parts) + "."


def _best(result: ContestResult) -> str:
    """The champion against the contender with the best mean."""
    metric, champion = result.config.problem.metric, result.champion.result
    if champion.diverged == len(champion.scores):
        return "None of its runs finished."
    best = next((e.result for e in result.others if e.name != FROZEN), None)
    if best is None or best.pairs is None or best.pairs.difference is None or best.pairs.low is None:
        return f"Its final {metric.name} is {metric.text(champion.mean)}."
    unit, scale = _NOUNS.get(metric.name, ("", 1.0))
    # 0.0 − x: never −0.
    low, high = sorted(0.0 - scale * bound for bound in (best.pairs.low, best.pairs.high or 0.0))
    difference = f"{0.0 - scale * best.pairs.difference:+.3g} {unit}".rstrip()
    return (
        f"Its final {metric.name} is {metric.text(champion.mean)}; the best of the others on this pool, {best.name}, has "
        f"{metric.text(best.mean)}: a difference of {difference} ({low:+.3g} … {high:+.3g})."
    )


def _feedback(result: ContestResult) -> str | None:
    """Whether reading live signals is worth it."""
    expression = result.champion.result.schedule.expression
    if expression.is_open_loop:
        return None
    signals = listed(expression.live_signals)
    own = next((e.result.pairs for e in result.entries if e.name == FROZEN), None)
    if own is None:
        return f"It reads {signals}; runs of it diverged, so there is no median curve to compare it with."
    said = {
        "better than": "it is better than its own median curve, frozen: the feedback is worth something",
        "worse than": "it is worse than its own median curve, frozen: the feedback does harm, take the frozen curve",
    }.get(
        own.relation, "it is not distinguishable from its own median curve, frozen: the feedback is not shown to matter"
    )
    return f"It reads {signals}, and {said}."


def seeds_needed(contenders: int) -> int:
    """The least number of seeds at which Holm's correction leaves a two-sided signed-rank test able to reach 0.05."""
    seeds = 1
    while contenders * 2.0 ** (1 - seeds) >= SIGNIFICANCE:
        seeds += 1
    return seeds
