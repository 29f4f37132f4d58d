"""The short form of the records, configurations and exports of benchmarks/hostile.py, and that its checks see the faults they are for."""

import json
from random import Random

import pytest

from evolr.errors import ConfigError
from tests.fuzzing import file_checks, files
from tests.fuzzing.markup import TEXTS, let_through, let_through_html, let_through_markdown


def findings(*checked):
    return [finding for each in checked for finding in each.findings]


def test_mutated_records_are_read_and_shown_as_text_or_refused(tmp_path):
    rng = Random("records")
    checked = [file_checks.check_record(*files.record(rng), tmp_path) for _ in range(150)]
    assert findings(*checked) == []
    assert 10 < sum(each.outcome == "read" for each in checked) < 100


def test_mutated_configurations_are_read_the_same_again_or_refused(tmp_path):
    rng = Random("configurations")
    checked = [file_checks.check_configuration(files.configuration(rng), tmp_path) for _ in range(150)]
    assert findings(*checked) == []
    assert 20 < sum(each.outcome == "read" for each in checked) < 120


def test_a_provenance_is_in_the_docstring_alone():
    rng = Random("exports")
    assert findings(*(file_checks.check_export(*files.export(rng)) for _ in range(6))) == []


@pytest.mark.parametrize("kind", files.RECORDS)
def test_a_record_as_it_was_written_is_read(kind, tmp_path):
    checked = file_checks.check_record(kind, files.RECORDS[kind].encode(), tmp_path)
    assert (checked.outcome, checked.findings) == ("read", [])


@pytest.mark.parametrize("write", [files.record, files.configuration, files.export], ids=lambda write: write.__name__)
def test_a_seed_gives_the_same_files(write):
    assert repr([write(Random(7)) for _ in range(20)]) == repr([write(Random(7)) for _ in range(20)])


@pytest.mark.parametrize("text", ["\x1b[2J", "\x9b31m", "a\rb", "\0", "\u202e", "a\nevolr-canary: forged", "\ud800"])
def test_what_is_no_text_for_a_terminal_is_seen(text):
    assert let_through(f"a {text} b")
    assert let_through("a\nb «ü»") is None


@pytest.mark.parametrize(
    ("page", "is_harmless"),
    [
        ("<p><evolr-canary></p>", False),
        ('<p evolr-canary="">', False),
        ('<a href="evolr-canary">x</a>', False),
        ("<td>a</td><td>evolr-canary</td>", False),
        ("<script>evolr-canary</script>", False),
        ("<p>&lt;evolr-canary&gt; evolr-canary</p>", True),
        ("<td>[red]evolr-canary[/red]</td>", True),
    ],
)
def test_markup_of_others_in_a_page_is_seen(page, is_harmless):
    assert (let_through_html(page) is None) == is_harmless


@pytest.mark.parametrize(
    ("page", "is_harmless"),
    [
        ("a <evolr-canary> b", False),
        ("a\n# evolr-canary\n", False),
        ("[x](evolr-canary)", False),
        ("| a | b |\n|---|---|\n| x|evolr-canary|y |", False),
        ("a \\<evolr-canary\\> b", True),
        ("| a | b |\n|---|---|\n| x\\|evolr-canary\\|y | z |", True),
        ("`<evolr-canary>`", True),
    ],
)
def test_markup_of_others_in_markdown_is_seen(page, is_harmless):
    assert (let_through_markdown(page) is None) == is_harmless


@pytest.mark.parametrize("text", ["<evolr-canary>", "\x1b[2J", "[x](evolr-canary)"])
def test_a_view_that_lets_markup_through_is_found(monkeypatch, tmp_path, text):
    document = json.loads(files.RECORDS["contest"])
    document["contenders"][1]["name"] = text
    document["contenders"][1]["candidates"] = document["contenders"][1]["finalists"] = []
    written = json.dumps(document).encode()
    checked = file_checks.check_record("contest", written, tmp_path)
    assert (checked.outcome, checked.findings) == ("read", [])
    monkeypatch.setattr(file_checks, "page", lambda result: result.entries[1].name)
    read, _, _ = file_checks._VIEWS["contest"]
    raw = (read, lambda result: result.entries[1].name, lambda result: result.entries[1].name)
    monkeypatch.setitem(file_checks._VIEWS, "contest", raw)
    assert findings(file_checks.check_record("contest", written, tmp_path))


def test_a_record_that_raises_anything_else_is_found(monkeypatch, tmp_path):
    def fail(_):
        raise RecursionError

    _, table, html = file_checks._VIEWS["contest"]
    for read, view in ((fail, table), (lambda _: None, fail)):
        monkeypatch.setitem(file_checks._VIEWS, "contest", (read, view, html))
        (found,) = file_checks.check_record("contest", b"{}", tmp_path).findings
        assert "RecursionError" in found.detail


def test_a_configuration_that_is_another_one_is_found(monkeypatch, tmp_path):
    document = files.CONFIGURATIONS[0].encode()
    assert file_checks.check_configuration(document, tmp_path).findings == []
    monkeypatch.setattr(file_checks, "to_toml", lambda config: document.replace(b"seed = 0", b"seed = 1"))
    assert [f.what for f in file_checks.check_configuration(document, tmp_path).findings] == [
        "a configuration is another one"
    ]
    monkeypatch.setattr(file_checks, "load", int)  # a TypeError of a path
    assert len(file_checks.check_configuration(document, tmp_path).findings) == 1


def test_a_refusal_is_no_finding_but_a_long_message_is(monkeypatch, tmp_path):
    def refuse(message):
        def load(*_, **__):
            raise ConfigError(message)

        return load

    for message, found in (("no", 0), ("no" * 2_000, 2)):
        monkeypatch.setattr(file_checks, "load", refuse(message))
        monkeypatch.setattr(file_checks, "resolve", refuse(message))
        assert len(file_checks.check_configuration(b"", tmp_path).findings) == found


@pytest.mark.parametrize("text", ['"""\nimport os\n"""', "\\", *(text for text in TEXTS if "\n" in text)])
def test_a_docstring_that_lets_code_through_is_found(monkeypatch, text):
    schedule, target, _ = files.export(Random(1))
    assert file_checks.check_export(schedule, target, {"note": text}).findings == []
    monkeypatch.setattr("evolr.exports.document._harmless", lambda line: line)
    monkeypatch.setattr("evolr.exports.document.printable", lambda line: line, raising=False)
    harmful = {"note": '"""\nraise SystemExit\n"""' + text}
    assert file_checks.check_export(schedule, target, harmful).findings
