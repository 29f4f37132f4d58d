"""Documents that are damaged, or made to do harm: each command that reads one says so in one error, and does not wait."""

import json
import os
import shutil
from pathlib import Path

import pytest

from evolr.expression import parse
from evolr.reading import GREATEST
from evolr.schedule import Schedule
from evolr.views.page.records import read_run

SOUND = json.loads(Schedule(expression=parse("0.1 * (1 - progress)")).to_json())
STUDY = Path(__file__).parent.parent / "study" / "databases" / "v2.db"


def content(text):
    return lambda path: path.write_bytes(text if isinstance(text, bytes) else text.encode())


def changed(**values):
    """The sound document with other values; a text in their place stands there as it is."""
    whole = json.dumps({**SOUND, **{name: f"«{name}»" for name in values}})
    for name, value in values.items():
        whole = whole.replace(json.dumps(f"«{name}»"), value if isinstance(value, str) else json.dumps(value))
    return content(whole)


def huge(path):
    with path.open("wb") as file:
        file.truncate(GREATEST + 1)  # takes no room


PLACES = {
    "a directory": Path.mkdir,
    "a pipe": os.mkfifo,
    "links in a circle": lambda path: path.symlink_to(path.name),
    "a link to nothing": lambda path: path.symlink_to("nothing"),
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a file without end": huge,
    "bytes that are no UTF-8": content(b'{"format": "\xff\xfe"}'),
    "zeros": content(bytes(1000)),
}
"""What no document of any kind is."""

DOCUMENTS = {
    **PLACES,
    "nothing": content(""),
    "a list": content("[]"),
    "the first half": content(json.dumps(SOUND)[:100]),
    "lists in lists": content("[" * 100_000 + "]" * 100_000),
    "a provenance nested without end": changed(provenance='{"a":' * 100_000 + "1" + "}" * 100_000),
    "a formula that is a number": changed(expression=5),
    "a formula that is none": changed(expression='"progress +"'),
    "a formula of a million brackets": changed(expression=json.dumps("(" * 1_000_000)),
    "half of a character": changed(expression='"\\ud800"'),
    "NaN": changed(max_lr="NaN"),
    "a bound beyond all numbers": changed(max_lr="1e999"),
    "a bound of 5,000 digits": changed(max_lr="9" * 5_000),
    "a bound that is text": changed(max_lr='"1"'),
    "a bound that is nothing": changed(max_lr=None),
    "bounds the wrong way round": changed(max_lr=1e-9, min_lr=1.0),
    "a transform of no name": changed(transform='"square"'),
    "a version of 5,000 digits": changed(schema_version="9" * 5_000),
    "a key that is unknown": changed(mine=1),
}

SETTINGS = {
    **PLACES,
    "no TOML": content("["),
    "a setting of 5,000 digits": content("seed = " + "9" * 5_000),
    "a setting of 5,000 hexadecimal digits": content("[search]\nmethod = 0x" + "f" * 5_000),
    "a name of 20,000 letters": content('[problem]\nname = "mnist1d-mlp"\npools = "' + "x" * 20_000 + '"'),
    "lists in lists": content("x = " + "[" * 100_000 + "]" * 100_000),
    "keys in 100,000 tables": content("a." * 100_000 + "a = 1"),
    "a table that is a number": content("search = 3"),
}


@pytest.fixture
def damaged():
    """Puts what is damaged in its place: alone, as what a run's champion is, and beside a sound study."""
    Path("run").mkdir()
    shutil.copy(STUDY, "run/study.db")
    return lambda damage: (damage(Path("given.json")), damage(Path("run/champion.json")))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("damage", DOCUMENTS)
@pytest.mark.parametrize(
    "command",
    [
        ("show", "given.json"),
        ("export", "given.json", "--to", "torch"),
        ("compare", "run", "-q"),
        ("evolve", "--run", "new", "--preset", "quadratic", "--initial", "given.json", "-q"),
    ],
    ids=lambda command: command[0],
)
def test_a_damaged_schedule_is_one_error(evolr, damaged, command, damage):
    damaged(DOCUMENTS[damage])
    code, out, err = evolr(*command)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert "given.json" in err or "champion" in err
    assert not Path("new").exists()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("damage", SETTINGS)
def test_a_damaged_file_of_settings_is_one_error(evolr, damage):
    SETTINGS[damage](Path("settings.toml"))
    code, out, err = evolr("evolve", "--run", "new", "--config", "settings.toml", "-q")
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert len(err) < 2_000
    assert not Path("new").exists()


@pytest.mark.parametrize("damage", PLACES)
def test_a_record_that_is_none_is_named_in_the_report(damage):
    Path("run").mkdir()
    shutil.copy(STUDY, "run/study.db")
    for name in ("contest", "rehearsal", "comparison", "explanation"):
        PLACES[damage](Path("run", f"{name}.json"))
    faults = read_run(Path("run")).faults
    assert all(
        name in fault for name, fault in zip(("contest", "rehearsal", "comparison", "explanation"), faults, strict=True)
    )
