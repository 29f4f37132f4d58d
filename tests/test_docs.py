"""What the documentation shows can be run."""

import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

import evolr
from evolr.discovered import gallery
from evolr.errors import ConfigError
from evolr.expression import PRIMITIVES, SIGNALS, parse
from evolr.expression.notation import SUGAR
from evolr.problems.mixed import KINDS
from evolr.standard import FAMILIES
from evolr.training.measures import level_of
from evolr.views.gallery import with_entries

DOCS = Path(__file__).parents[1] / "docs"


def test_the_problem_of_the_documentation_and_its_equinox_model_can_be_trained():
    text = (DOCS / "your-own-jax-model.md").read_text(encoding="utf-8")
    whole, equinox = (block.split("```")[0] for block in text.split("```python\n")[1:3])
    rng = np.random.default_rng(0)
    names = {"inputs": rng.normal(size=(600, 20)), "labels": rng.integers(3, size=600), "eqx": eqx}
    problem = whole[: whole.index("result = ")]
    exec(problem, names)  # noqa: S102
    assert names["problem"].task("test").steps_per_epoch == 360 // 32
    exec(equinox, names)  # noqa: S102
    names["problem"] = None
    exec(problem[problem.index("def loss") :], names)  # noqa: S102
    assert isinstance(names["problem"].task("test").initial(0), eqx.nn.MLP)


def test_the_families_of_a_contest_are_as_many_as_the_documentation_says():
    standard = [family.schedule() for family in FAMILIES.values() if family.name != "free curve"]
    count, reading = len(standard), sum(level_of(schedule.signals) > level_of(()) for schedule in standard)
    words = {26: "Twenty-six", 6: "six"}
    readme, contest, index = (
        " ".join(path.read_text(encoding="utf-8").split())
        for path in (DOCS.parent / "README.md", DOCS / "contest.md", DOCS / "index.md")
    )
    assert f"{words[count]} standard families, {words[reading]} of which read gradients" in contest
    assert f"the best of {count} tuned families" in readme
    assert f"against {count} tuned families" in index


def test_the_first_script_of_the_readme_is_searched_and_ends_in_an_accuracy():
    code = (DOCS.parent / "README.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    assert code.count("trainings=40, epochs=5") == 1
    Path("mine.py").write_text(code.replace("trainings=40, epochs=5", "trainings=12, epochs=1"), encoding="utf-8")
    done = subprocess.run([sys.executable, "mine.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 0.3 < float(done.stdout.split()[-1]) < 1  # one in ten is chance


def test_the_script_of_the_gallery_tunes_an_entry_that_reads_the_gradient_and_exports_it():
    code = (DOCS / "gallery.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    assert code.count("trainings=10, epochs=5") == 1
    Path("mine.py").write_text(code.replace("trainings=10, epochs=5", "trainings=2, epochs=1"), encoding="utf-8")
    done = subprocess.run([sys.executable, "mine.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 0.3 < float(done.stdout.split()[-1]) < 1  # one in ten is chance
    compile(Path("schedule.py").read_text(encoding="utf-8"), "schedule.py", "exec")


@pytest.mark.parametrize("page", sorted(path.name for path in DOCS.glob("*.md") if path.name != "log.md"))
def test_a_training_function_is_tuned_with_its_epochs(page):
    """Which `tune` asks for."""
    calls = re.findall(r"evolr\.tune\(train,.*?\)[`\s]", (DOCS / page).read_text(encoding="utf-8"))
    assert [call for call in calls if "epochs=" not in call] == []


def test_every_benchmark_is_in_the_page_that_says_how_to_repeat_the_figures():
    page = (DOCS / "repeating.md").read_text(encoding="utf-8")
    programs = [p for p in (DOCS.parent / "benchmarks").glob("*.py") if "def main" in p.read_text(encoding="utf-8")]
    lines = {p.name: p.read_text(encoding="utf-8").split('"""')[1].splitlines()[0].strip() for p in programs}
    assert set(re.findall(r"^\| `(\w+\.py)` \| (.*) \|$", page, re.MULTILINE)) == set(lines.items())


def test_the_page_of_the_gallery_says_what_its_documents_say():
    page = (DOCS / "gallery.md").read_text(encoding="utf-8")
    assert with_entries(page, list(gallery.values())) == page, "run: python benchmarks/gallery.py --page"
    assert all(f"### {name}\n" in page for name in gallery)
    assert (DOCS / "gallery.png").stat().st_size > 10_000
    with pytest.raises(ConfigError, match="no part <!-- answer"):
        with_entries(page.replace("<!-- answer:", "<!-- question:"), [])


def test_the_page_of_the_gallery_names_what_is_there():
    page = (DOCS / "gallery.md").read_text(encoding="utf-8")
    named = re.findall(r'evolr (?:gallery|show|export) (\S+)|evolr\.tune\(train, "([^"]+)"', page)
    assert len(named) > 4
    for name in ("".join(each) for each in named):
        assert name == "#" or evolr.load(name)


def test_the_suite_of_the_documentation_is_that_of_its_example_and_of_twenty_lines():
    text, example = (DOCS / "suites.md").read_text(encoding="utf-8"), DOCS.parent / "examples" / "own_suite.py"
    own, written_down = (block.split("```")[0] for block in text.split("```python\n")[1:3])
    assert own.strip() in example.read_text(encoding="utf-8")
    assert len([line for line in own.splitlines() if line.strip()]) <= 20
    names = {"np": np, "jnp": jnp, "evolr": evolr}
    exec(own[: own.index("suite = ")], names)  # noqa: S102
    exec(written_down, names)  # noqa: S102
    assert set(names["suite"].kinds("test")) == {"degree 1", "degree 3"}


def test_the_kinds_of_mixed_are_documented():
    rows = [
        line.split("`")[1]
        for line in (DOCS / "suites.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| `")
    ]
    assert [name for name in rows if name in KINDS] == list(KINDS)


def blocks_of(page):
    """The first Python of each part of a page, by the part's title."""
    parts = re.split(r"^## ", (DOCS / page).read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {
        part.splitlines()[0]: part.split("```python\n")[1].split("```")[0] for part in parts if "```python\n" in part
    }


def run_alone(code):
    """As a program of its own: what a library changes in its process is not the tests' affair."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def champions_of(path):
    """The champion's score after each generation, as the study has it."""
    with evolr.Study(path) as study:
        scores = [e.score for e in study.history()]
    size = len(scores) // 3
    return [np.nanmax(scores[: size * (k + 1)]) for k in range(3)]


def test_tensorboard_has_what_the_documentation_writes_to_it():
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run_alone(blocks_of("watching.md")["TensorBoard"])
    events = EventAccumulator("logs/mine", size_guidance={"tensors": 0})  # all, not a sample of ten
    events.Reload()
    drawn = {tag: [event.tensor_proto.float_val[0] for event in events.Tensors(tag)] for tag in ("score", "champion")}
    assert drawn["champion"] == pytest.approx(champions_of("runs/mine"))
    with evolr.Study("runs/mine") as study:
        assert len(drawn["score"]) == sum(e.source == "trained" for e in study.history())


def test_mlflow_has_what_the_documentation_logs_to_it():
    run_alone(blocks_of("watching.md")["MLflow"])
    store = sqlite3.connect("mlflow.db")
    logged = store.execute("SELECT value FROM metrics WHERE key = 'champion' ORDER BY step").fetchall()
    formulas = store.execute("SELECT value FROM tags WHERE key = 'formula'").fetchall()
    store.close()
    assert [value for (value,) in logged] == pytest.approx(champions_of("runs/mine"))
    assert formulas == [(str(evolr.load("runs/mine").expression),)]


def test_the_callbacks_of_the_documentation_are_told(capsys):
    names = {"evolr": evolr, "train": None}
    code = blocks_of("watching.md")["Your own functions"]
    exec(code[: code.index("evolr.evolve(")], names)  # noqa: S102
    config = evolr.resolve("quadratic", settings={"search.generations": 1, "search.finalists": 0, "training.epochs": 1})
    evolr.evolve(config, "run", on_trial=names["on_trial"], on_generation=names["on_generation"])
    assert len(capsys.readouterr().out.splitlines()) > 100


LANGUAGE = (DOCS / "language.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [*PRIMITIVES, *SIGNALS, *SUGAR])
def test_the_language_page_says_each_function_and_signal_as_the_code_does(name):
    meaning = (PRIMITIVES.get(name) or SIGNALS.get(name) or SUGAR[name]).meaning.replace("|", r"\|")
    rows = [line for line in LANGUAGE.splitlines() if line.startswith(f"| `{name}` |")]
    assert any(meaning in row for row in rows), f"docs/language.md has no row of {name}: {meaning}"


def test_the_formulas_of_the_language_page_are_read():
    block = LANGUAGE.split("```\n")[1]
    formulas = [line.split("   ")[0] for line in block.splitlines()]
    assert len(formulas) == 7
    for formula in formulas:
        parse(formula)
