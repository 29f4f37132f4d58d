"""What a notebook shows of evolr's objects: whole, escaped, and never an error."""

import logging
import math
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import msgspec
import numpy as np
import pytest

import evolr
from evolr.config import Comparison, resolve
from evolr.contest.comparison import CHAMPION, ComparisonResult
from evolr.contest.results import EVOLVED
from evolr.contest.tune import Tuned
from evolr.expression import parse
from evolr.schedule import Schedule
from evolr.standard import FAMILIES
from evolr.study.results import SearchResult
from evolr.study.study import Study
from evolr.views.curve import Curve
from evolr.views.inline_curve import inline_curve
from tests.contest.test_verdict import ABOVE, BELOW, OWN, contenders, contest

EVIL = "<script>alert(1)</script>"


def shown(thing):
    """The elements of what a notebook shows, and its words."""
    html = thing._repr_html_()
    assert html is not None
    root = ET.fromstring(html)  # noqa: S314
    tags = {element.tag for element in root.iter()}
    assert not tags & {"script", "img", "b1"}
    assert not re.search(r"https?:|@import|url\(", html)
    return tags, " ".join(" ".join(root.itertext()).split())


def study(directory, generations=2, **settings):
    """A study that is told its scores, its generations finished so far."""
    given = {"search.generations": 3, "search.population": 4, "search.youth": 2, "search.finalists": 0, **settings}
    found = Study(directory, resolve("function", settings=given))
    for _ in range(generations):
        for individual in found.ask():
            found.tell(individual, 1.0 / individual.expression.size)
    return found


@pytest.mark.parametrize(
    "formula",
    [
        "0.1*(1 - progress)",
        "0.1",
        "0*progress",
        "1/0",
        "0.1/(1 + loss)",
        "0.1*0.9**stale_epochs",
        "loss_ema",
        "@mine + grad_norm",
    ],
)
def test_a_schedule_shows_its_formula_and_its_curve(formula):
    tags, words = shown(evolr.load(formula))
    assert {"math", "svg", "code", "table"} <= tags
    assert "learning rate, log scale" in words


def test_every_family_and_every_entry_of_the_gallery_is_shown():
    for family in FAMILIES.values():
        assert {"math", "svg"} <= shown(family.schedule())[0]
    for entry in evolr.gallery.values():
        tags, words = shown(entry)
        assert {"math", "svg"} <= tags
        assert entry.title in words
    assert all(name in shown(evolr.gallery)[1] for name in evolr.gallery)


def test_a_formula_too_long_to_be_set_is_written():
    long = " + ".join(f"loss**{n}*progress" for n in range(40))
    tags, words = shown(evolr.load(long))
    assert "math" not in tags
    assert "loss" in words


def test_text_of_users_and_files_is_text(tmp_path):
    evil = msgspec.structs.replace(evolr.gallery["momentum-suite"], title=EVIL, words=EVIL, wins=EVIL)
    assert shown(evil)[1].count(EVIL) == 3
    place = tmp_path / "<script>alert(1)<b1>"
    with study(place, **{"problem.metric_name": EVIL, "problem.trainer": EVIL}) as found:
        words = shown(found)[1]
        assert words.count(EVIL) >= 2
        assert "<b1>" in words


def test_an_unfinished_study_shows_what_there_is(tmp_path):
    with study(tmp_path / "none", generations=0) as begun:
        tags, words = shown(begun)
        assert "It has no champion yet: nothing was trained so far" in words
        assert "svg" not in tags
    with study(tmp_path / "half", generations=1) as half:
        first = half.ask()[0]
        half.tell(first, 0.5)
        tags, words = shown(half)
        assert {"math", "svg", "details"} <= tags
        assert "generations 1 of 3" in words
        assert "the best so far" in words
    assert shown(half)[1] == words  # closed, and read again


def test_a_study_with_a_race_shows_it_beside_its_generations(tmp_path):
    with study(tmp_path / "run", generations=1, **{"search.finalists": 2}) as begun:
        assert "generations 1 of 3, then a race of 2" in shown(begun)[1]


def test_characters_that_steer_a_terminal_are_in_no_html(tmp_path):
    with study(tmp_path / "run", generations=1, **{"problem.metric_name": "\x1b[31m[/b]\x00<b1>"}) as begun:
        assert "[31m[/b]\N{REPLACEMENT CHARACTER}<b1>" in shown(begun)[1]


def test_what_cannot_be_shown_has_a_short_text(tmp_path):
    with study(tmp_path / "run") as begun:
        assert repr(begun) == f"<Study in {tmp_path / 'run'}>"


def test_what_cannot_be_shown_raises_nothing_and_is_logged(tmp_path, caplog):
    with study(tmp_path / "gone") as found:
        pass
    shutil.rmtree(tmp_path / "gone")
    with caplog.at_level(logging.DEBUG, "evolr.views.html"):
        assert found._repr_html_() is None
    assert "is not a study" in caplog.text


def test_the_result_of_a_search_shows_its_champion_and_one_without_a_champion_says_so(tmp_path):
    with study(tmp_path / "run", **{"problem.metric_name": "accuracy"}) as found:
        front, history, champion = found.front, found.history(), found.champion
        config = found.config
    best = front[-1]
    result = SearchResult(champion, best, False, front, history, "enough", 9, 61.0, 60.0, config, tmp_path / "run")
    tags, words = shown(result)
    assert {"math", "svg", "details"} <= tags
    assert f"Search: accuracy {100 * best.score:.2f} %" in words
    assert "1 min 01 s; 9 trainings in the study" in words
    assert repr(result).startswith("<SearchResult: accuracy ")
    assert len(repr(result)) < 500
    shutil.rmtree(tmp_path / "run")
    assert "svg" in shown(SearchResult(champion, best, False, front, [], None, 9, 1, 1, config, Path("nowhere")))[0]
    nothing = SearchResult(None, None, False, [], [], "enough", 9, 1.0, 1.0, config, tmp_path)
    assert "Every training diverged or failed so far" in shown(nothing)[1]
    assert "no champion" in repr(nothing)


def test_a_contest_a_comparison_and_a_tuned_family_are_shown():
    held = contest({EVOLVED: OWN, "cosine": ABOVE, EVIL: BELOW})
    tags, words = shown(held)
    assert {"math", "table"} <= tags
    assert EVIL in words
    assert "The evolved schedule beats 1 of 2 contenders" in words
    assert len(repr(held)) < 300
    compared = contenders({CHAMPION: OWN, EVIL: BELOW}, held.config.problem.metric)
    result = ComparisonResult(held.config, Comparison(), list(range(16)), compared, EVIL)
    assert shown(result)[1].count(EVIL) >= 2
    assert len(repr(result)) < 300
    family = FAMILIES["cosine"]
    words = shown(Tuned(family, family.schedule(), {"peak": 0.1}, math.nan, [], 3))[1]
    assert "peak 0.1" in words
    assert "score diverged" in words


def test_a_curve_keeps_its_peaks_and_its_zeros_stand_at_the_bottom():
    rates = np.zeros(5_000)
    rates[1234] = 0.5
    svg = inline_curve(Curve(np.arange(5_000), rates, 5_000, 10))
    points = re.search(r'points="([^"]*)"', svg)[1].split()
    assert len(points) < 250
    assert "epoch 500" in svg
    assert len(svg) < 8_000
    flat = inline_curve(Curve(np.arange(1), np.zeros(1), 1, 1))
    assert ">0<" in flat
    assert "step 1" in flat
    assert "nan" not in svg + flat


def test_showing_a_schedule_imports_no_matplotlib_and_no_jax():
    code = "import sys, evolr; evolr.load('0.1*(1 - progress)')._repr_html_(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"matplotlib", "jax", "torch", "optuna", "sympy"} & set(done.stdout.split())


def test_a_schedule_with_a_memory_is_followed_through_few_steps(tmp_path, monkeypatch):
    from evolr.views import html

    drawn = []
    monkeypatch.setattr(html, "inline_curve", lambda curve: drawn.append(curve) or "")
    schedule = Schedule(expression=parse("0.1/(1 + loss_ema)"))
    with study(tmp_path / "run", **{"problem.steps_per_epoch": 100_000, "training.epochs": 50}) as found:
        front, config = found.front, found.config
    result = SearchResult(schedule, front[-1], False, front, [], None, 9, 1.0, 1.0, config, tmp_path / "run")
    assert result._repr_html_()
    assert drawn[0].total_steps <= 4_000
