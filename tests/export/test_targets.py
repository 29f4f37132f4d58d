import ast
import subprocess
import sys
from pathlib import Path

import pytest

import evolr
from evolr.errors import ScheduleError
from evolr.exports.document import reads_plateaus
from evolr.exports.targets import TARGETS, source
from evolr.expression import SIGNALS, parse
from evolr.schedule import Schedule
from evolr.standard import FAMILIES, frozen
from tests.contracts.traces import FEEDBACK, OPEN_LOOP
from tests.study.small import small

EVERYTHING = Schedule(expression=parse(" + ".join(SIGNALS)), transform="log")
SCHEDULES = {
    "open loop": OPEN_LOOP,
    "feedback": FEEDBACK,
    "every signal": EVERYTHING,
    "a constant": Schedule(expression=parse("0.01")),
    "plateau": FAMILIES["reduce on plateau"].schedule(),
    "frozen": frozen([0.1 * 0.99**k for k in range(300)]),
}
ALL = [
    (t, s) for t, target in TARGETS.items() for s, schedule in SCHEDULES.items() if not target.lacks(schedule.signals)
]


@pytest.mark.parametrize(("target", "name"), ALL)
def test_a_file_is_python_that_defines_all_it_speaks_of(target, name):
    text = source(SCHEDULES[name], target, {"problem": "mine"})
    tree = ast.parse(text)
    tops = [s.name for s in tree.body if isinstance(s, ast.FunctionDef | ast.ClassDef)]
    assert "learning_rate" in tops
    assert len(tops) == len(set(tops))
    assert max(map(len, text.splitlines())) <= 120
    imports = [n for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom)]
    modules = {n.module if isinstance(n, ast.ImportFrom) else n.names[0].name for n in imports}
    assert "evolr" not in {module.split(".")[0] for module in modules}
    if target == "python":
        counts = {"collections.abc", "typing"} if reads_plateaus(SCHEDULES[name]) else set()
        assert modules == {"__future__", "math"} | counts


def test_every_schedule_of_every_family_can_be_exported():
    for family in FAMILIES.values():
        for target in TARGETS.values():
            if not target.lacks((schedule := family.schedule()).signals):
                compile(source(schedule, target.name), family.name, "exec")


def test_a_signal_that_a_target_cannot_supply_is_named_with_the_alternatives():
    with pytest.raises(ScheduleError) as caught:
        source(FEEDBACK, "huggingface")
    assert str(caught.value) == (
        "the target 'huggingface' cannot supply loss, loss_ema, lr, stale_epochs, val_loss, which the schedule reads; "
        "python, torch, optax, keras, lightning can. Or export its typical curve, frozen: --frozen"
    )


def test_an_unknown_target_is_refused():
    with pytest.raises(ScheduleError, match="unknown target 'pytorch'; did you mean 'torch'"):
        source(OPEN_LOOP, "pytorch")


def test_what_a_document_says_of_itself_is_never_code():
    evil = {'"""\nimport os\nos.system("false")\n"""': '\\"""\nraise SystemExit\n"""', "back\\slash": "\\N{BULLET} \\"}
    text = source(OPEN_LOOP, "python", evil)
    compile(source(OPEN_LOOP, "python", {"a": "x\0y\u2028z\x1b"}), "exported.py", "exec")
    names = {n.id for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Name)}
    assert not names & {"os", "SystemExit"}
    assert len(ast.parse(text).body) == len(ast.parse(source(OPEN_LOOP, "python")).body)


def test_exporting_needs_no_framework():
    code = "import sys; from evolr.exports.targets import TARGETS, source; from evolr.standard import COSINE\n"
    code += "[source(COSINE.schedule(), name) for name in TARGETS]\n"
    code += "print(sorted({m.split('.')[0] for m in sys.modules} & {'torch', 'keras', 'lightning', 'jax', 'optax'}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_command_writes_a_file_and_never_over_another(evolr):
    path = Path("schedule.py")
    assert evolr("export", "0.1*(1 - progress)", "--to", "python", "-o", path) == (0, "", "saved: schedule.py\n")
    assert "def learning_rate(*, progress: float)" in path.read_text()
    code, _, err = evolr("export", "0.2", "--to", "python", "-o", path)
    assert (code, err) == (
        2,
        "error: schedule.py exists already; name another file, or write over it: force=True, --force on the command line\n",
    )
    assert evolr("export", "0.2", "--to", "python", "-o", path, "--force")[0] == 0
    assert "def learning_rate() -> float:" in path.read_text()


def test_the_command_refuses_before_it_writes(evolr):
    for wrong, message in (
        (["loss", "--to", "huggingface", "-o", "x.py"], "cannot supply loss"),
        (["loss +", "--to", "python", "-o", "x.py"], "column"),
        (["loss", "--to", "jax", "-o", "x.py"], "unknown target 'jax'"),
        (["loss", "--to", "torch", "-o", "no/where/x.py"], "there is no directory no/where"),
        (["loss", "--to", "torch", "-o", ".", "--force"], "is a directory; name a file"),
        (["loss", "--to", "torch", "--frozen", "-o", "x.py"], "--frozen belongs to a run directory"),
    ):
        code, _, err = evolr("export", *wrong)
        assert code == 2
        assert message in err
        assert not Path("x.py").exists()


@pytest.mark.parametrize(
    ("module", "library", "extra"),
    [
        ("torch", "torch", "torch"),
        ("keras", "keras", "keras"),
        ("lightning", "lightning", "lightning"),
        ("huggingface", "transformers", "transformers"),
        ("optax", "jax", "jax"),
        ("optax", "optax", "jax"),
    ],
)
def test_a_missing_extra_is_named_with_the_command_that_installs_it(module, library, extra):
    code = f"import sys; sys.modules[{library!r}] = None\ntry:\n    import evolr.{module}\n"
    code += "except ImportError as error:\n    print(type(error).__name__, error)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == (
        f"MissingExtraError evolr.{module} needs a library that is not installed: pip install 'evolr[{extra}]'\n"
    )


def test_the_example_names_the_optimiser_that_a_run_was_found_with(tmp_path):
    evolr.evolve(small(**{"search.generations": 1}), tmp_path / "run")
    text = evolr.export(tmp_path / "run", "python")
    assert "Example (the schedule was found with sgd: take that optimiser):" in text
    assert "\nExample:\n" in evolr.export("0.1", "python")
