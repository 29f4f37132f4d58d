"""What may be said of a contest, by rule, in plain words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from evolr.contest.contender import Contender
from evolr.contest.results import EVOLVED, FROZEN, NOT_ASKED, ContestResult, Entry
from evolr.contest.statistics import SIGNIFICANCE, Relation
from evolr.errors import count, printable, shortened

LEVELS: Final = (0.001, 0.01, SIGNIFICANCE)
"""A claim names the strictest of these that all its p-values are below."""

LEAST_CANDIDATES: Final = 20
"""Candidates of each family below which it cannot be called tuned: the sampler draws its first ten at random."""

UNKNOWN_POOLS: Final = (
    "The training function judges every training by the same examples, so that the final is fresh in its seeds alone; let it take "
    "`pool`, and it can keep some for the final."
)


_MESSAGE: Final = 120  # characters of a failure


def verdict(result: ContestResult) -> list[str]:
    """The sentences of the verdict, the claim first."""
    seeds, spent = len(result.seeds), result.settings.budget
    if nothing := nothing_can_be_told(seeds, len(result.entries) - 1):
        return [nothing]
    sentences = [_main_sentence(result), _best(result)]
    if feedback := _feedback(result):
        sentences.append(feedback)
    if lost := lost_text([entry.result for entry in result.entries]):
        sentences.append(lost)
    if (
        result.evolved.trained is not None
        and spent < result.evolved.trained // result.config.search.seeds * result.config.search.seeds
    ):
        sentences.append(
            f"The budgets are not equal: {count(result.evolved.trained, 'training')} for the search, {spent} for each "
            "contender. That flatters the evolved schedule."
        )
    if spent < (least := LEAST_CANDIDATES * result.config.search.seeds):
        sentences.append(f"With {count(spent, 'training')} each the families are hardly tuned: take {least} at least.")
    if result.looks > 1:
        sentences.append(
            f"The {'test pool' if result.knows_pools else 'final'} has been looked at by {result.looks} different contests of this directory: the more of them, the "
            "less a p-value means."
        )
    if result.left_out:
        sentences.append(f"Left out, since the trainings do not tell what they read: {listed(result.left_out)}.")
    if result.no_rivals == NOT_ASKED:
        sentences.append(NOT_ASKED)
    if not result.knows_pools:
        sentences.append(UNKNOWN_POOLS)
    if result.settings.is_quick:
        judged = ", judged on the selection pool" if result.knows_pools else ""
        sentences.append(f"This is a rehearsal (--quick){judged}: it proves nothing.")
    return sentences


def strictest_level(entries: Sequence[Entry]) -> float:
    """The strictest level that the p-values of some entries are all below."""
    highest = max(e.result.pairs.p_value or 0.0 for e in entries if e.result.pairs is not None)
    return next(level for level in LEVELS if highest < level)


def listed(names: Sequence[str]) -> str:
    """A, B and C."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def nothing_can_be_told(seeds: int, contenders: int) -> str | None:
    """The sentence that says so where there are too few seeds for any difference to be found; None where there are enough."""
    if (needed := seeds_needed(contenders)) <= seeds:
        return None
    return (
        f"Nothing can be said: with {count(seeds, 'seed')} no difference could be found, whatever the scores; "
        f"{count(contenders, 'contender')} need{'s' if contenders == 1 else ''} {count(needed, 'seed')} at least."
    )


def lost_text(contenders: Sequence[Contender]) -> str | None:
    """The sentence about trainings that diverged or failed, of each contender how many of how many; None where there is none."""
    lost = [f"{c.diverged} of {count(len(c.scores), 'training')} of {c.name}" for c in contenders if c.diverged]
    if not lost:
        return None
    failures = [outcome.failure for c in contenders for outcome in c.outcomes if outcome.failure is not None]
    has_diverged = len(failures) < sum(c.diverged for c in contenders)
    how = "Diverged" if not failures else "Diverged or failed" if has_diverged else "Failed"
    which = {"Diverged": "a training that diverged", "Failed": "a failed training"}.get(how, "such a training")
    reason = f" The first to fail: {shortened(printable(failures[0]), _MESSAGE)}." if failures else ""
    is_scored = not any(c.unscored for c in contenders)
    counts = (
        "has the worst score that there is, which is in the mean"
        if is_scored
        else "counts as the worst, and is in no mean"
    )
    return f"{how}: {listed(lost)}; {which} {counts}.{reason}"


def _main_sentence(result: ContestResult) -> str:
    groups: dict[Relation, list[Entry]] = {}
    for entry in result.others:
        if entry.result.pairs is not None:
            groups.setdefault(entry.result.pairs.relation, []).append(entry)
    total = len(result.entries) - 1
    if beaten := groups.get("better than"):
        number = "all" if len(beaten) == total else f"{len(beaten)} of"
        whom = "its only contender" if total == 1 else f"{number} {total} contenders"
        parts = [f"The {EVOLVED} schedule beats {whom} at p < {strictest_level(beaten):g}"]
    elif total == 1:
        parts = [f"The {EVOLVED} schedule does not beat its only contender"]
    else:
        parts = [f"The {EVOLVED} schedule beats none of {total} contenders"]
    if worse := groups.get("worse than"):
        number = "all " if len(worse) == total else ""
        whom = "it" if total == 1 else f"{number}{len(worse)}"
        parts.append(f"it is worse than {whom} at p < {strictest_level(worse):g}: {_names(worse)}")
    if level := groups.get("not distinguishable from"):
        whom = "any of them" if 1 < total == len(level) else _names(level)
        parts.append(f"it is not distinguishable from {whom}")
    return "; ".join(parts) + "."


def _names(entries: Sequence[Entry]) -> str:
    return listed([entry.name for entry in entries])


def _best(result: ContestResult) -> str:
    """The champion against the contender with the best mean."""
    metric, champion = result.config.problem.metric, result.champion.result
    if champion.unscored == len(champion.scores):
        return "None of its trainings finished."
    own = f"Its final {metric.name} is {metric.text(champion.mean)}"
    best = next((e.result for e in result.others if e.name != FROZEN), None)
    if best is None or best.unscored == len(best.scores):
        return f"{own}; no training of the others finished."
    others = f"{own}, and that of {best.name}, the best of the others here, {metric.text(best.mean)}"
    pairs = best.pairs
    if pairs is None or pairs.difference is None or pairs.low is None or pairs.high is None:
        return f"{others}; fewer than two seeds finished under both."
    bounds = (pairs.low, pairs.difference, pairs.high)
    low, mean, high = (metric.scale * bound + 0.0 for bound in bounds)  # + 0.0: never −0
    difference = f"{mean:+.3g} {metric.unit_of_differences}".rstrip()
    return f"{others}: a difference of {difference} ({low:+.3g} … {high:+.3g})."


def _feedback(result: ContestResult) -> str | None:
    """Whether reading live signals is worth it."""
    expression = result.champion.result.schedule.expression
    if expression.is_open_loop:
        return None
    signals = listed(expression.live_signals)
    own = next((e.result.pairs for e in result.entries if e.name == FROZEN), None)
    if own is None:
        why = "trainings of it diverged, failed or asked for no learning rate"
        return f"It reads {signals}; {why}, so there is no median curve to compare it with."
    said = {
        "better than": "is better than its own median curve, frozen: the feedback is worth something",
        "worse than": "is worse than its own median curve, frozen: the feedback does harm, so take the frozen curve",
    }.get(own.relation, "is not distinguishable from its own median curve, frozen: the feedback is not shown to matter")
    return f"It reads {signals}, and {said}."


def seeds_needed(contenders: int) -> int:
    """The least number of seeds at which Holm's correction leaves a two-sided signed-rank test able to reach 0.05."""
    seeds = 1
    while contenders * 2.0 ** (1 - seeds) >= SIGNIFICANCE:
        seeds += 1
    return seeds
