import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import evolr
from evolr.errors import ConfigError, ScheduleError
from evolr.exports.document import reads_plateaus
from evolr.exports.example import ExampleOptimizer
from evolr.exports.targets import TARGETS, source
from evolr.expression import SIGNALS, parse
from evolr.named import named
from evolr.schedule import Schedule
from evolr.standard import FAMILIES, frozen
from evolr.training.optimizers import OPTIMIZERS, Optimizer
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
        "python, torch, optax, keras, lightning can. Or export a run's typical curve, frozen: --frozen"
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
    assert "torch.optim.SGD(model.parameters(), lr=1e-3)" in evolr.export(tmp_path / "run", "torch")
    assert "\nExample:\n" in evolr.export("0.1", "python")


def test_a_study_that_was_told_does_not_say_an_optimiser(tmp_path):
    config = evolr.resolve("original", settings={"problem.name": "external", "search.generations": 1})
    with evolr.Study(tmp_path / "told", config) as study:
        for individual in study.ask():
            study.tell(individual, 0.5)
    assert named(tmp_path / "told").optimizer is None
    assert "optimiser" not in named(tmp_path / "told").provenance


def test_the_example_has_the_optimiser_that_is_asked_for():
    momentum = "torch.optim.SGD(model.parameters(), lr=1e-3, momentum={})"
    assert momentum.format(0.9) in evolr.export("0.1", "torch", optimizer="momentum")
    assert momentum.format(0.8) in evolr.export("0.1", "torch", optimizer=Optimizer(name="momentum", momentum=0.8))
    assert momentum.format(0.9) in evolr.export("adam-mnist1d", "torch", optimizer="momentum")
    assert "torch.optim.Adam(" in evolr.export("adam-mnist1d", "torch")


@pytest.mark.parametrize(
    ("optimizer", "problem"),
    [
        ("momentun", "unknown optimizer 'momentun'; did you mean 'momentum'"),
        ("", "unknown optimizer ''; known: adam, "),
        (["adam"], r"unknown optimizer .*'adam'.*; "),
        (3, "unknown optimizer '3'; known"),
        ("dog", "an example cannot be written with 'dog', .* name one of sgd, momentum, adam, adamw"),
    ],
)
def test_an_optimiser_that_is_none_is_refused(tmp_path, optimizer, problem):
    with pytest.raises(ConfigError, match=problem):
        evolr.export("0.1", "torch", tmp_path / "file.py", optimizer=optimizer)
    assert not (tmp_path / "file.py").exists()


@pytest.mark.parametrize(
    ("name", "torch", "keras", "whole", "direction"),
    [
        ("sgd", "SGD(weights, lr=1e-3)", "SGD(0.1)", "sgd(0.1)", "optax.identity()"),
        (
            "momentum",
            "SGD(weights, lr=1e-3, momentum=0.8)",
            "SGD(0.1, momentum=0.8)",
            "sgd(0.1, momentum=0.8)",
            "optax.trace(decay=0.8)",
        ),
        ("adam", "Adam(weights, lr=1e-3)", "Adam(0.1)", "adam(0.1)", "optax.scale_by_adam()"),
        (
            "adamw",
            "AdamW(weights, lr=1e-3, weight_decay=0.02)",
            "AdamW(0.1, weight_decay=0.02)",
            "adamw(0.1, weight_decay=0.02)",
            "optax.chain(optax.scale_by_adam(), optax.add_decayed_weights(0.02))",
        ),
        ("dog", None, None, None, "..."),
        ("schedule_free_adamw", None, None, None, "..."),
    ],
)
def test_an_optimiser_is_written_as_each_framework_has_it(name, torch, keras, whole, direction):
    optimizer = ExampleOptimizer(Optimizer(name=name, momentum=0.8, weight_decay=0.02))
    assert optimizer.torch("weights") == ("..." if torch is None else f"torch.optim.{torch}")
    assert optimizer.keras("0.1") == ("..." if keras is None else f"keras.optimizers.{keras}")
    assert optimizer.optax("0.1") == ("..." if whole is None else f"optax.{whole}")
    assert optimizer.optax_direction == direction


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_example_s_optimiser_is_one_that_the_framework_makes(name):
    import optax
    import torch

    weight, optimizer = torch.ones(1, requires_grad=True), ExampleOptimizer(Optimizer(name=name))
    made = eval(optimizer.torch("[weight]"), {"torch": torch, "weight": weight})  # noqa: S307
    assert made is ... or made.param_groups[0].get("momentum", 0.9) == (0.9 if name != "sgd" else 0)
    for code in (optimizer.optax("0.1"), optimizer.optax_direction):
        transformation = eval(code, {"optax": optax})  # noqa: S307
        assert transformation is ... or transformation.init({"weight": np.ones(1)}) is not None
