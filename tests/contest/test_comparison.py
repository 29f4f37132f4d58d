import numpy as np

from evolr.config import Comparison, resolve
from evolr.contest.comparison import CHAMPION, compare_schedule
from evolr.expression import parse
from evolr.schedule import Schedule
from evolr.views.pictures import comparison_picture
from evolr.views.tables import comparison_table, verdict

CONFIG = resolve("quadratic")
PNG = b"\x89PNG"


def comparison(text, seeds=8, **settings):
    schedule = Schedule(expression=parse(text), **settings)
    return compare_schedule(schedule, CONFIG, settings=Comparison(epochs=2, seeds=seeds, base_lr=0.1))


def text_of(table):
    from rich.console import Console

    console = Console(width=120)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def test_a_schedule_that_is_the_constant_baseline_meets_the_same_luck():
    result = comparison("0.1")
    champion, constant, *_ = result.contenders
    assert np.array_equal(champion.scores, constant.scores)
    assert (constant.pairs.difference, constant.pairs.low, constant.pairs.high) == (0.0, 0.0, 0.0)
    assert constant.pairs.p_value == 1.0
    assert "not distinguishable from constant" in verdict(result)


def test_a_worse_schedule_is_said_to_be_worse():
    result = comparison("0.0001")
    assert "the evolved schedule is worse than constant, step decay and cosine" in verdict(result)
    assert all(c.pairs.low > 0 and c.pairs.p_value < 0.05 for c in result.contenders[1:])


def test_a_better_schedule_is_said_to_be_better():
    assert "is better than constant, step decay and cosine" in verdict(comparison("1 - 0.9*progress"))


def test_too_few_seeds_say_nothing_whatever_the_scores():
    """Six pairs at least are needed for a p below 0.05, and after Holm's correction for three tests, seven."""
    assert verdict(comparison("0.0001", seeds=6)).startswith("Nothing can be said: with 6 seeds no difference")
    assert verdict(comparison("0.0001", seeds=7)).startswith("By final loss, the evolved schedule is worse than")


def test_a_schedule_that_always_diverges_is_the_worst():
    result = comparison("1e30", max_lr=1e30)
    assert result.contenders[0].diverged == 8
    assert "8 of 8" in text_of(comparison_table(result))
    assert result.document()["contenders"][0]["mean"] is None
    assert (
        "is worse than constant, step decay and cosine. Diverged: 8 of 8 trainings of evolved; a training that diverged"
        in verdict(result)
    )
    assert comparison_picture(result).startswith(PNG)


def test_one_seed_has_no_interval_and_no_test():
    result = comparison("0.05", seeds=1)
    assert all(c.low is None for c in result.contenders)
    assert all(c.pairs.p_value is None for c in result.contenders[1:])
    assert comparison_picture(result).startswith(PNG)
    assert "1 seed" in text_of(comparison_table(result))


def test_the_document_and_the_rows_hold_every_run():
    result = comparison("0.05", seeds=3)
    document = result.document()
    assert document["pool"] == "monitor"
    assert [c["name"] for c in document["contenders"]] == [CHAMPION, "constant", "step decay", "cosine"]
    assert np.shape([c["learning_rate"] for c in document["contenders"]]) == (4, 3, 2)
    rows = result.rows()
    assert len(rows) == 12
    assert [r["score"] for r in rows[:3]] == document["contenders"][0]["scores"]
