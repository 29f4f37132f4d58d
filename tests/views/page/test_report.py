"""The report of a run of each kind: whole, escaped, small, and one file that needs nothing."""

import html
import json
import re
import shutil
import subprocess
import sys

import pytest

import evolr
from evolr.errors import ConfigError, StudyError
from tests.views.page.pages import MEMETIC, checked
from tests.views.test_html import study

ALL = ["What was searched", "The champion", "The verdict", "Learning curves", "Size and score", "Which signals matter"]
ALL += ["Where it comes from", "How the search went", "How to repeat it", "In your own code"]
KINDS = ("proven", "unfinished", "function", "suite")


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_of_each_kind_of_run_is_whole(pages, kind):
    page = checked(pages[kind])
    assert page.headings == [kind, *(title for title in ALL if title in page.headings)]
    assert set(ALL) - set(page.headings) <= {"Which signals matter"}
    assert "<math>" in pages[kind]


def test_a_proven_run_shows_its_verdict_and_what_was_made_of_it(runs, pages):
    page = checked(pages["proven"])
    contest = json.loads((runs["proven"] / "contest.json").read_bytes())
    assert contest["verdict"][0].split("; ")[0].rstrip(".") in page.text
    assert all(contender["name"] in page.text for contender in contest["contenders"])
    assert "Final loss of each contender with its interval" in page.labels[1]
    assert "in the median of 6 trainings of its explanation" in page.text.lower()
    commands = next(text for text in page.words["pre"] if "evolr prove" in text).splitlines()
    again = f"{runs['proven']}-again"
    assert commands[:3] == [
        f"evolr evolve --config {runs['proven']}/config.toml --run {again}",
        f"evolr prove {again} --budget 3 --seeds 8 --epochs {contest['settings']['epochs']} --no-rivals",
        f"evolr explain {again} --seeds 6",
    ]
    assert ", ".join(map(str, contest["seeds"])) in page.text


def test_an_unfinished_run_says_what_it_lacks(runs, pages):
    page = checked(pages["unfinished"])
    assert "An unfinished search" in page.text
    assert (
        "No contest yet: it is not known whether this champion is better than a tuned standard schedule." in page.text
    )
    assert "evolr prove " not in page.text  # its scores are told from outside: nobody else could hold one
    assert "it can go on, by whoever asks and tells it" in page.text
    assert "the best so far" in page.text
    assert "0, unfinished" in page.text


def test_a_function_s_run_names_it_in_the_commands_and_has_curves_of_its_comparison(runs, pages):
    page = checked(pages["function"])
    assert f"evolr prove {runs['function']} --train tests.execution.training_functions:falling" in page.text
    assert "baselines that are not tuned" in page.text


def test_a_suite_s_run_says_that_tasks_differ_and_is_proven_from_python(pages):
    page = checked(pages["suite"])
    assert "each seed draws another one" in page.text
    assert "momentum 0.9" in page.text
    assert "<dt>optimiser</dt>" not in pages["function"]  # that has one of its own
    assert "Each generation meets other tasks" in page.text
    assert "evolr.prove(problem, " in page.text


def test_the_same_run_gives_the_same_page(runs, pages):
    assert evolr.report(runs["proven"]).html == pages["proven"]


def test_what_users_and_files_say_is_text(tmp_path):
    evil = "</script><script>alert(1)</script>[/b]\x1b[31m\u202e"
    place = tmp_path / "<script>alert(1)<b1>'\"&lt;"
    settings = {**MEMETIC, "problem.metric_name": evil, "problem.trainer": evil}
    with study(place, **settings):
        pass
    page = checked(evolr.report(place).html)
    assert page.text.count("<script>alert(1)</script>[/b]\N{REPLACEMENT CHARACTER}[31m") > 5
    assert "<script>alert(1)<b1>'\"&lt;" in page.headings
    assert page.html.count("<script") == 1
    assert "<b1>" not in page.html


def test_a_run_without_a_champion_has_a_page_that_says_so(tmp_path):
    with study(tmp_path / "begun", generations=0):
        html = evolr.report(tmp_path / "begun").html
    assert "has no champion yet: nothing was trained so far" in html
    assert "A running search" in html
    assert "<svg" not in html
    assert "No contest yet, for want of a champion" in html


def test_a_record_that_is_damaged_is_left_out_and_named(runs, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(runs["proven"], copy)
    (copy / "contest.json").write_text("{")
    (copy / "explanation.json").write_bytes(b"\xff")
    page = checked(evolr.report(copy).html)
    assert page.text.count("Left out: ") == 2
    assert "contest.json is damaged" in page.text
    assert "No contest yet" in page.text


def test_a_contest_of_another_schedule_says_so(runs, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(runs["proven"], copy)
    record = json.loads((copy / "contest.json").read_bytes())
    champion = record["contenders"][0]
    for document in (champion, *champion["finalists"], *champion["candidates"]):
        document["schedule"] = {**champion["schedule"], "expression": "(progress mul 0.3)", "transform": "linear"}
    (copy / "contest.json").write_text(json.dumps(record))
    page = checked(evolr.report(copy).html)
    assert (
        "The contest was about another schedule than the champion above, 0.3*progress: the search has gone on since"
        in page.text
    )


def test_it_is_saved_once_and_over_another_only_by_force(runs, tmp_path, monkeypatch):
    path = tmp_path / "mine.html"
    report = evolr.report(runs["unfinished"], path)
    assert path.read_text(encoding="utf-8") == report.html
    assert repr(report).startswith(f"<Report of {runs['unfinished']}: ")
    monkeypatch.setattr("evolr.views.page.report.page", lambda _: pytest.fail("a page was made for nothing"))
    for wrong in (path, tmp_path, tmp_path / "none" / "a.html"):
        with pytest.raises(ConfigError):
            evolr.report(runs["unfinished"], wrong)
    monkeypatch.undo()
    path.write_text("old")
    assert evolr.report(runs["unfinished"], path, force=True).html == path.read_text(encoding="utf-8")
    for nothing in (tmp_path / "nothing", "a\0b"):
        with pytest.raises(StudyError, match="is not a study"):
            evolr.report(nothing)
    for wrong in (None, 5, report, ""):
        with pytest.raises(ConfigError, match="a run directory is named by"):
            evolr.report(wrong)


def test_a_run_is_named_by_its_directory_wherever_one_stands(runs, monkeypatch):
    monkeypatch.chdir(runs["unfinished"])
    page = checked(evolr.report(".").html)
    assert page.headings[0] == "unfinished"
    assert "evolr export . --to optax" in page.text


def test_a_notebook_shows_it_in_a_frame_of_its_own(runs):
    report = evolr.report(runs["unfinished"])
    shown = report._repr_html_()
    assert html.unescape(re.search(r'srcdoc="([^"]*)"', shown)[1]) == report.html
    assert "allow-same-origin" not in shown


def test_the_command_writes_it_into_the_run_or_where_it_is_told(runs, tmp_path, evolr):
    copy = tmp_path / "copy"
    shutil.copytree(runs["unfinished"], copy)
    code, out, err = evolr("report", copy)
    assert (code, out, err) == (0, f"saved: {copy / 'report.html'}\n", "")
    checked((copy / "report.html").read_text(encoding="utf-8"))
    assert evolr("report", copy)[0] == 0  # made anew
    assert evolr("report", copy, "-o", "mine.html")[0] == 0
    code, _, err = evolr("report", copy, "-o", "mine.html")
    assert code == 2
    assert "exists already" in err
    assert evolr("report", copy, "-o", "mine.html", "--force")[0] == 0
    code, _, err = evolr("report", copy, "--force")
    assert code == 2
    assert "--force belongs to --output" in err
    code, _, err = evolr("report", tmp_path / "nothing")
    assert code == 2
    assert "is not a study" in err


def test_importing_evolr_and_showing_a_schedule_needs_no_jinja():
    code = "import sys, evolr; evolr.load('0.1')._repr_html_(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"jinja2", "matplotlib"} & set(done.stdout.split())
