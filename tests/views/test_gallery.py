"""What the gallery's table and page say of entries, of contests that were won, lost, level and not held."""

import re

import msgspec
import pytest

from evolr.discovered import FamilyFigures, Figures, gallery
from evolr.training.optimizers import Optimizer
from evolr.views.gallery import entry_lines, gallery_table, with_entries

PAGE = "".join(f"<!-- {name}: here -->\n<!-- end of {name} -->\n" for name in ("answer", "entries"))
WON = Figures(metric="accuracy", rival="cosine", seeds=64, difference=0.03, low=0.02, high=0.04, p=0.001)


FAMILY = FamilyFigures(name="REX", score=0.5, difference=0.1, low=0.05, high=0.15, p=0.001)
LEVEL = msgspec.structs.replace(
    WON, rival="Prodigy", difference=0.01, low=-0.01, p=0.4, family=FAMILY, beaten=37, level=4, worse=0
)
"""Better than every schedule, and level with another optimiser."""


def entry(name, contest, optimizer="momentum"):
    changes = {"name": name, "contest": contest, "optimizer": Optimizer(name=optimizer)}
    return msgspec.structs.replace(gallery["momentum-suite"], **changes)


def answer(*entries):
    """The rows of the page's first table, by optimiser: all of these were found on one problem."""
    part = with_entries(PAGE, entries).split("<!-- answer")[1].split("<!-- end")[0]
    rows = [re.split(r" \| ", line.strip("| ")) for line in part.splitlines() if line.startswith("| ")][1:]
    assert {row[1] for row in rows} == {"mnist1d-suite"}
    return {row[0]: row[2:] for row in rows}


def test_an_entry_that_won_against_every_family_goes_before_one_that_won_by_more():
    by_more = msgspec.structs.replace(WON, difference=0.05)
    of_all = msgspec.structs.replace(WON, beaten=26, level=0, worse=0)
    rows = answer(entry("some-won", WON), entry("more-won", by_more), entry("lost-all", None))
    assert rows["SGD with momentum 0.9"][0] == "`more-won`"
    assert rows["SGD with momentum 0.9"][1].startswith(
        "+5.00 (+2.00 … +4.00) points against cosine, tuned, on 64 unseen tasks"
    )
    rows = answer(entry("more-won", by_more), entry("beat-all", of_all), entry("more-adam", WON, "adam"))
    assert [row[0] for row in rows.values()] == ["`beat-all`", "`more-adam`"]
    assert " points against cosine, the best of 26 contenders, on 64 unseen tasks" in rows["SGD with momentum 0.9"][1]


def test_what_is_better_than_every_schedule_and_level_with_another_optimiser_is_an_answer():
    rows = answer(entry("level-mixed", LEVEL))
    assert rows["SGD with momentum 0.9"][:2] == [
        "`level-mixed`",
        "+10.00 (+5.00 … +15.00) points against REX, the best standard schedule; +1.00 (-1.00 … +4.00) against Prodigy, the best of 41 "
        "contenders, on 64 unseen tasks",
    ]
    (row,) = gallery_table([entry("level-mixed", LEVEL)]).rows
    assert row[4] == "level with Prodigy  +10.00 points  (+5.00 … +15.00)"
    assert "REX 50.00 %, +10.00 (+5.00 … +15.00), p 0.001; better than 37" in LEVEL.text
    lost = msgspec.structs.replace(LEVEL, family=msgspec.structs.replace(FAMILY, p=0.2))
    assert not lost.has_won_against_schedules
    assert answer(entry("lost", lost))["SGD with momentum 0.9"][0] == "a standard schedule, tuned"
    assert gallery_table([entry("lost", lost)]).rows[0][4].startswith("level  +1.00 points")
    unknown = Figures(
        metric="accuracy", score=0.7, rival="X", rival_score=0.6, p=0.01, family=FamilyFigures(name="REX")
    )
    assert unknown.text == "accuracy 70.00 % against X 60.00 %; the best standard schedule is REX"
    above_all = msgspec.structs.replace(LEVEL, low=0.005, p=0.01)
    assert gallery_table([entry("won", above_all)]).rows[0][4] == "+1.00 points  (+0.50 … +4.00)"
    beaten = msgspec.structs.replace(LEVEL, difference=-0.02, p=0.01)
    assert gallery_table([entry("beaten", beaten)]).rows[0][4].startswith("beaten by Prodigy  +10.00")


def test_a_contest_on_something_else_than_it_was_found_on_says_so():
    elsewhere = msgspec.structs.replace(WON, place="mixed, kinds_drawn gru", difference=-0.03, low=-0.04, high=-0.02)
    assert gallery_table([entry("beaten", elsewhere)]).rows[0][4].endswith("(-4.00 … -2.00)  on mixed, kinds_drawn gru")
    assert elsewhere.text.startswith("on mixed, kinds_drawn gru; ")
    assert (
        "points against cosine, on mixed, kinds_drawn gru)" in answer(entry("x", elsewhere))["SGD with momentum 0.9"][1]
    )


def test_what_was_found_on_another_problem_has_a_row_of_its_own():
    """Differences of other metrics and tasks are not compared."""
    found = [msgspec.structs.replace(gallery[name], contest=WON) for name in ("momentum-suite", "momentum-quadratics")]
    page = with_entries(PAGE, found)
    assert "| SGD with momentum 0.9 | mnist1d-suite | `momentum-suite` |" in page
    assert "| SGD with momentum 0.9 | mixed, kinds_drawn quadratic | `momentum-quadratics` |" in page


def test_a_difference_without_a_unit_is_one_in_the_metric():
    assert "+0.1166) in normalised score against DoG" in with_entries(PAGE, [gallery["momentum-quadratics"]])


@pytest.mark.parametrize(
    ("figures", "standing"),
    [
        (None, "not judged yet"),
        (msgspec.structs.replace(WON, p=0.3), "+3.00 (+2.00 … +4.00) points against cosine"),
        (msgspec.structs.replace(WON, difference=-0.03), "-3.00 (+2.00 … +4.00) points against cosine"),
    ],
)
def test_where_nothing_has_won_a_tuned_standard_schedule_is_the_answer(figures, standing):
    row = answer(entry("not-won", figures))["SGD with momentum 0.9"]
    assert row[0] == "a standard schedule, tuned"
    assert row[1] == f"nothing here is shown to be better (`not-won`: {standing})"
    assert "WSD (linear)" in row[2]


def test_the_table_says_who_won_who_lost_and_who_was_not_judged():
    level, lost = (msgspec.structs.replace(WON, **change) for change in ({"p": 0.3}, {"difference": -0.03}))
    alone = Figures(metric="loss", difference=-0.5, p=0.01, higher_is_better=False)
    found = [
        entry(f"n-{k}", figures) for k, figures in enumerate((WON, level, lost, None, alone, Figures(metric="loss")))
    ]
    cells = [row[4] for row in gallery_table(found).rows]
    assert cells == [
        "+3.00 points  (+2.00 … +4.00)",
        "level  +3.00 points  (+2.00 … +4.00)",
        "beaten  -3.00 points  (+2.00 … +4.00)",
        "–",
        "-0.5 loss",
        "level",
    ]


def test_a_page_is_written_twice_as_it_is_written_once_and_keeps_its_own_words():
    page = f"before\n{PAGE}after\n"
    once = with_entries(page, list(gallery.values()))
    assert with_entries(once, list(gallery.values())) == once
    assert once.startswith("before\n")
    assert once.endswith("after\n")
    assert with_entries(once, [entry("a-b", None)]).count("###") == 1


def test_an_entry_is_told_in_80_columns_but_for_its_command():
    for each in gallery.values():
        *lines, last = entry_lines(each)
        assert max(map(len, lines)) <= 80
        assert last.endswith(each.command)
        assert last.startswith("to be held by" if each.contest is None else "repeated by")
