"""Every sentence that a verdict can say, whole, to be read by eye; and which way its differences are taken."""

from dataclasses import replace

import numpy as np
import pytest

from evolr.cli.judge import print_comparison
from evolr.config import Comparison, resolve
from evolr.contest.comparison import CHAMPION, ComparisonResult
from evolr.contest.contender import contender
from evolr.contest.contest import RANDOM_SEARCH
from evolr.contest.results import EVOLVED, FROZEN, ContestResult, Entry, Evolved, Settings
from evolr.contest.statistics import corrected
from evolr.contest.tuning import Candidate
from evolr.contest.verdict import nothing_can_be_told, verdict
from evolr.expression import parse
from evolr.problems import Metric
from evolr.schedule import Schedule
from evolr.training.task import Outcome
from evolr.views.contest import page
from evolr.views.tables import comparison_table
from evolr.views.tables import verdict as comparison_verdict

NAN = float("nan")
CONFIG = resolve("original")
ACCURACY, LOSS = Metric("accuracy", True), Metric("loss", False)


def outcomes(scores):
    curve = np.full(2, 0.1, np.float32)
    return [Outcome(s, 1 if np.isnan(s) else None, curve, curve, curve, curve) for s in scores]


def contenders(scores, metric, formula="0.1"):
    """The contenders of scores by name, the champion's first."""
    found = []
    for name, own in scores.items():
        schedule = Schedule(expression=parse(formula if not found else "0.1"))
        found.append(contender(name, schedule, outcomes(own), found[0] if found else None, metric))
    pairs = corrected([one.pairs for one in found[1:]])
    return [found[0], *(replace(one, pairs=own) for one, own in zip(found[1:], pairs, strict=True))]


def contest(scores, formula="0.1", settings=None, looks=1, trained=None):
    entries = [Entry("", None, [], [], one, NAN) for one in contenders(scores, ACCURACY, formula)]
    evolved = Evolved([Candidate(entries[0].result.schedule, NAN)], "the study's search", trained, 30)
    seeds = list(range(len(next(iter(scores.values())))))
    return ContestResult(CONFIG, settings or Settings(epochs=30, budget=100), evolved, seeds, entries, looks)


LUCK = np.linspace(-0.01, 0.01, 16)[np.random.default_rng(0).permutation(16)]
OWN = 0.6 + LUCK
ABOVE, BELOW = OWN + 0.03 + LUCK[::-1] / 9, OWN - 0.03 + LUCK[::-1] / 9
LEVEL = OWN + np.tile([0.001, -0.001], 8)
DIVERGED = np.full(16, NAN)


@pytest.mark.parametrize(
    ("others", "sentence"),
    [
        (
            {"cosine": BELOW, "linear": BELOW},
            "The evolved schedule beats all 2 contenders at p < 0.001.",
        ),
        (
            {"cosine": ABOVE, "linear": ABOVE, "WSD": ABOVE},
            "The evolved schedule beats none of 3 contenders; it is worse than all 3 at p < 0.001: WSD, cosine and linear.",
        ),
        (
            {"cosine": LEVEL, "linear": LEVEL},
            "The evolved schedule beats none of 2 contenders; it is not distinguishable from any of them.",
        ),
        (
            {"cosine": BELOW, "linear": ABOVE, "WSD": LEVEL, FROZEN: LEVEL},
            "The evolved schedule beats 1 of 4 contenders at p < 0.001; it is worse than 1 at p < 0.001: linear; it is not "
            "distinguishable from WSD and evolved (frozen).",
        ),
        (
            {"cosine": BELOW, "linear": LEVEL},
            "The evolved schedule beats 1 of 2 contenders at p < 0.001; it is not distinguishable from linear.",
        ),
        (
            {"cosine": ABOVE, "linear": LEVEL},
            "The evolved schedule beats none of 2 contenders; it is worse than 1 at p < 0.001: cosine; it is not "
            "distinguishable from linear.",
        ),
        ({"cosine": BELOW}, "The evolved schedule beats its only contender at p < 0.001."),
        ({"cosine": ABOVE}, "The evolved schedule does not beat its only contender; it is worse than it at p < 0.001: cosine."),
        ({"cosine": LEVEL}, "The evolved schedule does not beat its only contender; it is not distinguishable from cosine."),
    ],
)  # fmt: skip
def test_the_claim_of_a_contest(others, sentence):
    assert verdict(contest({EVOLVED: OWN, **others}))[0] == sentence


@pytest.mark.parametrize(
    ("own", "others", "sentence"),
    [
        (
            OWN,
            {"cosine": OWN - 0.03, "linear": BELOW - 0.01},
            "Its final accuracy is 60.00 %, and that of cosine, the best of the others here, 57.00 %: a difference of "
            "+3 points (+3 … +3).",
        ),
        (
            OWN,
            {"cosine": ABOVE},
            "Its final accuracy is 60.00 %, and that of cosine, the best of the others here, 63.00 %: a difference of "
            "-3 points (-3.03 … -2.97).",
        ),
        (
            OWN,
            {FROZEN: OWN + 0.1, "cosine": OWN},
            "Its final accuracy is 60.00 %, and that of cosine, the best of the others here, 60.00 %: a difference of "
            "+0 points (+0 … +0).",
        ),
        (OWN, {"cosine": DIVERGED}, "Its final accuracy is 60.00 %; no training of the others finished."),
        (
            np.where(np.arange(16) < 8, NAN, OWN),
            {"cosine": np.where(np.arange(16) < 9, OWN, NAN)},
            "Its final accuracy is 60.30 %, and that of cosine, the best of the others here, 59.83 %; fewer than two "
            "seeds finished under both.",
        ),
        (DIVERGED, {"cosine": OWN}, "None of its trainings finished."),
    ],
)  # fmt: skip
def test_the_best_of_the_others(own, others, sentence):
    assert verdict(contest({EVOLVED: own, **others}))[1] == sentence


@pytest.mark.parametrize(
    ("formula", "others", "sentence"),
    [
        ("0.1*loss", {FROZEN: BELOW}, "It reads loss, and is better than its own median curve, frozen: the feedback is worth something."),
        ("0.1*loss", {FROZEN: ABOVE}, "It reads loss, and is worse than its own median curve, frozen: the feedback does harm, so take the frozen curve."),
        ("0.1*loss*val_loss", {FROZEN: LEVEL}, "It reads loss and val_loss, and is not distinguishable from its own median curve, frozen: the feedback is not shown to matter."),
        ("0.1*loss", {}, "It reads loss; trainings of it diverged, failed or asked for no learning rate, so there is no median curve to compare it with."),
        ("0.1*progress", {}, None),
    ],
)  # fmt: skip
def test_the_feedback(formula, others, sentence):
    said = verdict(contest({EVOLVED: OWN, "cosine": LEVEL, **others}, formula))
    assert said[2:] == ([sentence] if sentence else [])


@pytest.mark.parametrize(
    ("changes", "sentences"),
    [
        ({}, []),
        ({"trained": 100}, []),
        (
            {"trained": 330},
            [
                "The budgets are not equal: 330 trainings for the search, 100 for each contender. That flatters the evolved "
                "schedule."
            ],
        ),
        (
            {"settings": Settings(epochs=1, budget=19)},
            ["With 19 trainings each the families are hardly tuned: take 20 at least."],
        ),
        (
            {"settings": Settings(epochs=1, budget=1)},
            ["With 1 training each the families are hardly tuned: take 20 at least."],
        ),
        (
            {"looks": 3},
            [
                "The test pool has been looked at by 3 different contests of this directory: the more of them, the less a "
                "p-value means."
            ],
        ),
        (
            {"settings": Settings(epochs=1, budget=100, is_quick=True)},
            ["This is a rehearsal (--quick), judged on the selection pool: it proves nothing."],
        ),
    ],
)  # fmt: skip
def test_what_is_said_without_being_asked(changes, sentences):
    assert verdict(contest({EVOLVED: OWN, "cosine": LEVEL}, **changes))[2:] == sentences


def test_what_diverged():
    some, one = np.where(LUCK > 0.005, NAN, OWN), np.where(np.arange(16) == 3, NAN, LEVEL)
    said = verdict(contest({EVOLVED: some, "cosine": one, "linear": LEVEL}))
    count = int(np.isnan(some).sum())
    assert said[2:] == [
        f"Diverged: {count} of 16 trainings of evolved and 1 of 16 trainings of cosine; a training that diverged counts as the worst, and is in no mean."
    ]


@pytest.mark.parametrize(
    ("failed", "sentence", "lost"),
    [
        (2, "Failed: 2 of 16 trainings of cosine; a failed training counts as the worst, and is in no mean. The first to fail: ValueError: no [/data].", "2 failed"),
        (
            1,
            "Diverged or failed: 2 of 16 trainings of cosine; such a training counts as the worst, and is in no mean. The first to fail: ValueError: no [/data].",
            "1 diverged, 1 failed",
        ),
    ],
)  # fmt: skip
def test_what_failed_is_not_said_to_have_diverged(failed, sentence, lost, capsys):
    result = contest({EVOLVED: OWN, "cosine": np.where(np.arange(16) < 2, NAN, LEVEL)})
    cosine = result.entries[1].result
    cosine.outcomes[:failed] = [Outcome.failed("ValueError: no\n[/data]", 0)] * failed
    assert verdict(result)[-1] == sentence
    assert cosine.lost == lost
    assert f"cosine ({lost})" in page(result)
    compared = ComparisonResult(
        CONFIG, Comparison(epochs=30, seeds=16), result.seeds, [e.result for e in result.entries]
    )
    assert comparison_verdict(compared).endswith(f"{sentence} The baselines are not tuned.")
    assert comparison_table(compared).headers[-1] == "unfinished"
    print_comparison(compared, None)
    assert "no [/data]" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("seeds", "contenders", "sentence"),
    [
        (1, 3, "Nothing can be said: with 1 seed no difference could be found, whatever the scores; 3 contenders need 7 seeds at least."),
        (6, 2, "Nothing can be said: with 6 seeds no difference could be found, whatever the scores; 2 contenders need 7 seeds at least."),
        (5, 1, "Nothing can be said: with 5 seeds no difference could be found, whatever the scores; 1 contender needs 6 seeds at least."),
        (6, 1, None),
        (7, 3, None),
    ],
)  # fmt: skip
def test_too_few_seeds(seeds, contenders, sentence):
    assert nothing_can_be_told(seeds, contenders) == sentence
    scores = {EVOLVED: OWN[:seeds]} | {f"family {n}": OWN[:seeds] - 0.1 for n in range(contenders)}
    said = verdict(contest(scores))
    assert (said == [sentence]) if sentence else said[0].startswith("The evolved schedule")
    assert "untested" not in " ".join(said)


def comparison(scores):
    settings = Comparison(epochs=30, seeds=16)
    seeds = list(range(len(next(iter(scores.values())))))
    return ComparisonResult(CONFIG, settings, seeds, contenders(scores, CONFIG.problem.metric))


@pytest.mark.parametrize(
    ("others", "sentence"),
    [
        ((BELOW, BELOW, BELOW), "By final accuracy, the evolved schedule is better than constant, step decay and cosine."),
        ((ABOVE, ABOVE, ABOVE), "By final accuracy, the evolved schedule is worse than constant, step decay and cosine."),
        ((LEVEL, LEVEL, LEVEL), "By final accuracy, the evolved schedule is not distinguishable from constant, step decay and cosine."),
        (
            (ABOVE, LEVEL, BELOW),
            "By final accuracy, the evolved schedule is better than cosine; it is worse than constant; it is not distinguishable from step decay.",
        ),
        ((LEVEL, BELOW, BELOW), "By final accuracy, the evolved schedule is better than step decay and cosine; it is not distinguishable from constant."),
        ((LEVEL, ABOVE, LEVEL), "By final accuracy, the evolved schedule is worse than step decay; it is not distinguishable from constant and cosine."),
        (
            (DIVERGED, BELOW, BELOW),
            "By final accuracy, the evolved schedule is better than constant, step decay and cosine. Diverged: 16 of 16 trainings of constant; a training that diverged "
            "counts as the worst, and is in no mean.",
        ),
        (
            (OWN[:6], OWN[:6], OWN[:6]),
            "Nothing can be said: with 6 seeds no difference could be found, whatever the scores; 3 contenders need 7 seeds at least.",
        ),
        (
            (OWN[:1], OWN[:1], np.array([NAN])),
            "Nothing can be said: with 1 seed no difference could be found, whatever the scores; 3 contenders need 7 seeds at least. Diverged: 1 of 1 training "
            "of cosine; a training that diverged counts as the worst, and is in no mean.",
        ),
    ],
)  # fmt: skip
def test_the_verdict_of_a_comparison(others, sentence):
    scores = {CHAMPION: OWN[: len(others[0])]} | dict(zip(("constant", "step decay", "cosine"), others, strict=True))
    assert comparison_verdict(comparison(scores)) == f"{sentence} The baselines are not tuned."


def test_no_name_of_a_contender_breaks_a_list_of_names():
    from evolr.standard import FAMILIES

    for name in (EVOLVED, FROZEN, RANDOM_SEARCH, CHAMPION, *FAMILIES):
        assert "," not in name
        assert " and " not in name


# --- one direction everywhere: the champion's score minus the contender's ------------------------------------------------


def test_tables_pictures_pages_and_documents_take_differences_the_same_way():
    from matplotlib.figure import Figure

    from evolr.views.contest import contest_table, page
    from evolr.views.differences import draw_differences
    from evolr.views.tables import MINUS, comparison_table

    scores = {EVOLVED: OWN, "constant": BELOW, "step decay": ABOVE, "cosine": OWN}
    result, compared = contest(scores), comparison(scores)
    for document in (result.document([]), compared.document()):
        taken = [c["pairs"] and c["pairs"]["champion_minus_contender"] for c in document["contenders"]]
        assert taken[0] is None
        assert taken[1:] == pytest.approx([0.03, -0.03, 0.0], abs=1e-3)
        low, high = document["contenders"][1]["pairs"]["interval"]
        assert 0 < low < taken[1] < high
    for table in (contest_table(result), comparison_table(compared)):
        assert MINUS == "evolved minus it"
        by_name = {row[0]: row[table.headers.index(MINUS)] for row in table.rows}
        assert {name: cell[:5] for name, cell in by_name.items()} == {
            "evolved": "",
            "constant": "+3.00",
            "step decay": "-3.00",
            "cosine": "+0.00",
        }
    assert "evolved minus contender" in page(result)
    (row,) = (line for line in page(result).splitlines() if line.startswith("| constant"))
    assert "| +3.00  +2." in row
    axes = Figure().add_subplot()
    all_pairs = [entry.result.pairs for entry in result.ranked]
    draw_differences(axes, all_pairs, result.config.problem.metric, ("better", "level", "worse"))
    drawn = {int(line.get_ydata()[0]): line.get_xdata()[0] for line in axes.get_lines() if line.get_marker() == "o" and len(line.get_xdata()) == 1}  # fmt: skip
    places = {entry.name: place for place, entry in enumerate(result.ranked)}
    assert drawn[places["constant"]] == pytest.approx(3, abs=0.1)
    assert drawn[places["step decay"]] == pytest.approx(-3, abs=0.1)
