"""Whatever a run, a document or an argument is called, and whatever stdout and stderr are: text is text, and nothing is lost."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from evolr.schedule import Schedule
from evolr.study.evolve import evolve
from tests.study.small import small

NAME = (
    os.fsdecode(b"x[-b][red]y[link=a]:smile: e\x1b]0;title\x07\x1b[31m\n")
    + "forged: yes \u202e\u2028\x9b31m"
    + os.fsdecode(b"|`c$x$<i>&'\"\\\xff")
)
"""Markup, orders to a terminal, a line break, what turns the text around it, signs of Markdown, HTML and a shell, and bytes that are no
UTF-8.
"""

QUICK = ("--preset", "quadratic", "--epochs", "1", "-q")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A study of two generations."""
    path = tmp_path_factory.mktemp("found") / "mine"
    evolve(small(**{"search.generations": 2}), path)
    return path


def require_text(*texts):
    """Lines of text alone, none of which somebody else's line break began."""
    for text in texts:
        assert text.replace("\n", "").isprintable()
        assert not re.search("^forged", text, re.MULTILINE)
        assert "Traceback" not in text


def test_a_run_may_have_any_name(evolr, found):
    shutil.copytree(found, NAME)
    for command in (("runs", "."), ("show", NAME), ("report", NAME), ("evolve", "--run", NAME, "-q")):
        code, out, err = evolr(*command)
        assert code == 0
        require_text(out, err)
    (listed,) = json.loads(evolr("runs", ".", "--json")[1])["runs"]
    assert listed["run"] == NAME
    assert evolr("export", NAME, "--to", "torch", "-o", "exported.py")[0] == 0
    compile(Path("exported.py").read_bytes(), "exported.py", "exec")


def test_an_error_quotes_any_name_as_text(evolr, found):
    shutil.copytree(found, NAME)
    for command in (
        ("show", f"{NAME}/nothing"),
        ("show", NAME, NAME),
        ("show", f"--{NAME}"),
        (NAME,),
        ("show", f"sin({NAME}"),
        ("report", f"{NAME}x"),
        ("prove", f"{NAME}x"),
        ("evolve", "--run", NAME, "--seed", "7"),
        ("evolve", "--preset", NAME),
        ("evolve", "--config", NAME),
        ("evolve", "--set", f"{NAME}=1"),
        ("evolve", "--transform", NAME),
        ("evolve", "--epochs", NAME),
        ("compare", NAME, "--train", NAME),
        ("compare", "--expression", "0.1", "-o", NAME, *QUICK),
        ("export", "0.1", "--to", NAME),
        ("export", "0.1", "--to", "python", "-o", f"{NAME}/no/file"),
        ("gallery", NAME),
    ):
        code, out, err = evolr(*command)
        assert (code, out) == (2, ""), command
        require_text(err)


def test_what_a_document_says_of_itself_is_text_and_no_line_of_evolrs_own(evolr):
    provenance = {
        "a\nforged": "x\x1b]52;c;Zm8=\x07\nforged",
        "formula": "0.1",
        "": "a continuation",
        "Warning ": "none",
        "k" * 500: {"\x1b": ["\u202e"]},
    }
    Path("it.json").write_bytes(Schedule.from_json(schedule_document()).to_json(provenance))
    code, out, err = evolr("show", "it.json")
    assert code == 0
    require_text(out, err)
    assert len(re.findall("^formula", out, re.MULTILINE)) == 1
    assert "'formula'" in out
    assert "'Warning '" in out
    assert max(map(len, out.splitlines())) < 800
    assert json.loads(evolr("show", "it.json", "--json")[1])["provenance"] == provenance


def schedule_document():
    import evolr

    return evolr.load("0.1*(1 - progress)").to_json()


@pytest.fixture
def with_stdout(monkeypatch):
    """Runs a command line with a stdout of an encoding; gives the exit code and what was written."""

    def run(encoding, *arguments):
        from evolr import cli

        written = io.BytesIO()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
            patch.setattr(sys, "argv", ["evolr", *map(str, arguments)])
            with pytest.raises(SystemExit) as ended:
                cli.main()
            sys.stdout.flush()
            return ended.value.code, written.getvalue().decode(encoding)

    return run


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437"])
def test_a_result_is_said_in_any_encoding(with_stdout, found, encoding):
    shutil.copytree(found, NAME)
    for command in (
        ("show", found),
        ("runs", "."),
        ("gallery",),
        ("gallery", "momentum-norm"),
        ("runs", ".", "--json"),
    ):
        code, out = with_stdout(encoding, *command)
        assert code == 0
        assert "\\u" not in out or "--json" in command  # what evolr itself writes has a plain character
    assert with_stdout(encoding, "export", "0.1", "--to", "python")[0] == 0


def test_the_columns_of_a_table_stand_below_each_other_in_ascii_too(with_stdout):
    code, out = with_stdout("ascii", "gallery")
    assert code == 0
    assert "..." in out
    rows = [line for line in out.splitlines() if line.startswith(("|", "+"))]
    assert len(rows) > 5
    assert len(set(map(len, rows))) == 1


def run_with(redirected, *arguments):
    """Runs the command line as a process with streams redirected as a shell does; gives the exit code, stdout and stderr."""
    command = ["sh", "-c", f'exec "$@" {redirected}', "sh", sys.executable, "-m", "evolr", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_a_closed_stdout_cannot_be_written_and_a_closed_stderr_is_nobodys_matter():
    assert run_with(">&-", "show", "0.1") == (2, "", "error: cannot write the output: Bad file descriptor\n")
    code, out, _ = run_with("2>&- <&-", "show", "0.1")
    assert code == 0
    assert "learning rate" in out


def test_what_was_computed_is_saved_whole_though_every_stream_is_closed(evolr):
    code, _, err = run_with(">&- 2>&- <&-", "compare", "--expression", "0.1", "-o", "there", *QUICK, "--seeds", "2")
    assert (code, err) == (2, "")
    assert json.loads(Path("there/comparison.json").read_bytes())["contenders"]
