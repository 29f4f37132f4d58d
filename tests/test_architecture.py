"""The architecture: which package may import which, what only some may call, and how light an import of evolr is."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import evolr

SOURCE = Path(evolr.__file__).parent

MAY_IMPORT = {
    "errors": set(),
    "libraries": {"errors"},
    "legible": {"errors"},
    "ranges": {"errors"},
    "randomness": set(),
    "signals": {"errors"},
    "expression": {"errors", "signals"},
    "schedule": {"errors", "expression", "reading", "views", "signals"},  # of views what shows it, in functions alone
    "standard": {"errors", "expression", "schedule", "signals"},
    "formula": {"errors", "expression", "schedule", "standard", "signals"},
    "advice": {"errors", "expression", "schedule", "signals"},
    "training": {"errors", "expression", "schedule", "signals", "ranges"},
    "discovered": {
        "errors",
        "expression",
        "formula",
        "problems",
        "ranges",
        "reading",
        "views",
        "schedule",
        "standard",
        "training",
    },
    "problems": {"errors", "expression", "randomness", "schedule", "training", "writing", "ranges"},
    "execution": {"", "errors", "libraries", "problems", "schedule", "signals", "training", "ranges"},
    "presets": {"expression"},
    "config": {
        "errors",
        "expression",
        "presets",
        "problems",
        "ranges",
        "reading",
        "schedule",
        "signals",
        "standard",
        "training",
    },
    "loop": {"errors", "expression", "signals"},
    "torch": {"errors", "loop", "signals"},
    "telling": {"errors", "signals", "torch"},
    "lightning": {"errors", "telling", "torch"},
    "huggingface": {"errors", "loop", "telling", "torch"},
    "keras": {"errors", "loop", "schedule", "signals"},
    "optax": {"errors", "expression", "loop", "schedule", "training", "signals"},
    "exports": {
        "discovered",
        "errors",
        "expression",
        "loop",
        "named",
        "schedule",
        "training",
        "writing",
        "",
        "signals",
    },
    "named": {
        "advice",
        "config",
        "discovered",
        "errors",
        "expression",
        "formula",
        "reading",
        "schedule",
        "standard",
        "signals",
        "study",
        "training",
    },
    "reading": {"errors"},
    "run_files": set(),
    "writing": {"errors", "reading", "run_files"},
    "signal_bank": {"expression", "randomness", "signals"},
    "simplification": {"advice", "errors", "expression", "schedule", "signal_bank", "signals"},
    "search": {
        "config",
        "errors",
        "expression",
        "problems",
        "randomness",
        "schedule",
        "signal_bank",
        "signals",
        "standard",
        "training",
    },
    "study": {  # of views the bar and what shows a result, in functions alone; named in beginning.py, inside, alone
        "views",
        "named",
        "config",
        "errors",
        "libraries",
        "execution",
        "expression",
        "problems",
        "reading",
        "run_files",
        "schedule",
        "search",
        "training",
        "writing",
        "",
        "signals",
        "ranges",
    },
    "contest": {  # of views what writes files and what shows a result, in functions alone
        "views",
        "discovered",
        "formula",
        "config",
        "errors",
        "libraries",
        "execution",
        "expression",
        "problems",
        "reading",
        "randomness",
        "run_files",
        "schedule",
        "search",
        "simplification",
        "standard",
        "study",
        "training",
        "",
        "signals",
        "ranges",
    },
    "views": {
        "signal_bank",
        "named",
        "advice",
        "config",
        "contest",
        "discovered",
        "errors",
        "libraries",
        "exports",
        "expression",
        "formula",
        "legible",
        "loop",
        "problems",
        "reading",
        "schedule",
        "search",
        "simplification",
        "standard",
        "study",
        "",
        "signals",
        "writing",
    },
    "interruption": {"errors", "legible"},
    "web": {"", "errors", "expression", "run_files", "study", "views"},
    "cli": {
        "named",
        "advice",
        "execution",
        "signals",
        "config",
        "contest",
        "discovered",
        "errors",
        "libraries",
        "exports",
        "expression",
        "formula",
        "interruption",
        "legible",
        "presets",
        "views",
        "run_files",
        "schedule",
        "study",
        "web",
        "writing",
        "",
        "ranges",
    },
    "__main__": {"cli", "interruption"},
    "": {
        "config",
        "contest",
        "discovered",
        "errors",
        "execution",
        "exports",
        "expression",
        "loop",
        "named",
        "problems",
        "schedule",
        "standard",
        "study",
        "views",
    },
}
"""What each package may import; "" is the package itself. docs/architecture.md gives each its reason."""

LIBRARIES = {
    "jax": {"training", "problems", "optax", "keras"},
    "optax": {"training", "problems", "optax"},
    "torch": {"distributed", "huggingface", "torch"},
    "transformers": {"huggingface"},
    "keras": {"keras"},
    "lightning": {"lightning"},
    "matplotlib": {"views"},
    "rich": {"views"},
    "jinja2": {"views"},
    "markupsafe": {"views"},
    "starlette": {"web"},
    "uvicorn": {"web"},
    "anyio": {"web"},
    "typer": {"cli"},
    "sympy": set(),
    "scipy": {"contest", "problems", "search", "standard"},
    "mnist1d": {"problems"},
    "sqlite3": {"study"},
    "filelock": {"study"},
    "optuna": {"contest"},
    "cmaes": {"search"},
    "ray": {"execution"},
    "cloudpickle": {"execution"},
    "psutil": {"execution"},
}
"""The libraries that only some packages may import."""


def package_of(path):
    first = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def imports(path):
    """(module, whether at the top level) of each import in a file, and `from evolr import name` as evolr.name."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = set(map(id, tree.body))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if node.module == "evolr":
                packages = {p.stem for p in SOURCE.iterdir()}
                for alias in node.names:
                    yield (f"evolr.{alias.name}" if alias.name in packages else "evolr"), id(node) in top
            else:
                yield node.module, id(node) in top


FILES = sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_a_file_imports_only_what_its_package_may(path):
    package = package_of(path)
    for module, is_top in imports(path):
        parts = module.split(".")
        if parts[0] == "evolr":
            other = parts[1] if len(parts) > 1 else ""
            assert other == package or other in MAY_IMPORT[package], f"{package} may not import {module}"
        if parts[0] in LIBRARIES:
            assert package in LIBRARIES[parts[0]], f"{package} may not import {module}"
            if parts[0] in ("jax", "optax"):
                # A problem's settings are read where no network trains: it imports JAX in its functions only.
                assert package in ("training", "optax") or not is_top, f"{path} imports {module} at its top"


def test_what_shows_is_imported_in_functions_alone_by_what_is_shown():
    for path in FILES:
        if package_of(path) not in ("views", "web", "cli"):
            assert not [module for module, is_top in imports(path) if is_top and module.startswith("evolr.views")], path


def test_the_packages_are_all_listed():
    assert {package_of(path) for path in FILES} == set(MAY_IMPORT)


def test_no_file_evaluates_or_unpickles_anything():
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"eval", "exec", "compile", "__import__"}, path
        assert not {"pickle", "marshal", "shelve"} & {module for module, _ in imports(path)}, path


WRITES = {
    *("write_text", "write_bytes", "savefig", "imsave", "to_csv", "to_pickle", "savez", "savetxt", "tofile", "dump"),
    *("rename", "renames", "symlink_to", "hardlink_to", "truncate"),
    *("mkstemp", "NamedTemporaryFile", "TemporaryFile", "fdopen"),
}
"""Calls that write a file, by their last name."""

MAY_WRITE = {
    "writing.py": {"open", "replace"},
    "study/database.py": {"replace"},  # SQLite's own file, which appears whole
    "execution/packing.py": {"dump"},  # to a buffer
    "views/pictures.py": {"savefig"},  # to a buffer
    "views/page/drawing.py": {"savefig"},  # to a buffer
    "problems/mnist1d_data.py": {"savez"},  # to a buffer
    "execution/ray_process.py": {"mkstemp"},  # what a process prints, under no name
    "cli/output.py": {"open", "fdopen"},  # the null device, in the place of a standard stream that is gone
}


def writing_calls(path):
    """The calls in a file that write one."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", None) or getattr(node.func, "id", "")
        owner = getattr(getattr(node.func, "value", None), "id", "")
        arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
        texts = [str(a.value) for a in arguments if isinstance(a, ast.Constant)]
        flags = [a.attr for argument in arguments for a in ast.walk(argument) if isinstance(a, ast.Attribute)]
        if name == "open" and (
            any(set(text) <= set("rwaxbt+") and set(text) & set("wax+") for text in texts if text)
            or {"O_WRONLY", "O_RDWR"} & set(flags)
        ):
            yield name
        elif name == "replace":  # of os or a path; a string's takes two, a struct's takes names
            if owner == "os" or (len(node.args) == 1 and not node.keywords):
                yield name
        elif name in WRITES or owner == "shutil" or (name == "save" and owner in ("np", "torch")):
            yield name


def test_a_file_is_written_by_the_one_writer():
    for path in FILES:
        place = path.relative_to(SOURCE).as_posix()
        assert set(writing_calls(path)) == MAY_WRITE.get(place, set()), place


SAYS = {
    *("print", "echo", "secho", "Console", "escape", "Markup", "set_title", "set_xlabel", "set_ylabel", "suptitle"),
    *("text", "annotate", "set_text", "set_xticklabels", "set_yticklabels", "write", "writelines"),
}
"""Calls that show a text, or that make it part of HTML, by their last name; `text` of axes, `write` of a standard stream."""

MAY_SAY = {
    "cli/output.py": {"write"},
    "interruption.py": {"write"},  # from a signal handler
    "legible.py": {"escape"},
    "expression/mathml.py": {"escape"},  # of the language's own names
    "views/progress.py": {"print", "Console"},
    "views/terminal_table.py": {"print", "Console"},
    "views/pictures.py": {
        "set_title",
        "set_xlabel",
        "set_ylabel",
        "suptitle",
        "annotate",
    },  # the last a number of nodes
    "views/contest_picture.py": {"suptitle", "annotate"},  # the latter a number
    "views/differences.py": {"annotate"},  # a number
    "views/page/drawing.py": {"set_title", "set_xlabel", "set_ylabel", "text"},
    "views/page/page.py": {"Markup"},
    "views/page/report.py": {"escape"},  # a whole page, in an attribute
}
"""Who may show a text: legible.py says how, and each of these does it so. Whoever else has something to say goes through them."""


def saying_calls(path):
    """The calls in a file that show a text."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", None) or getattr(node.func, "id", "")
        owner = getattr(node.func, "value", None)
        of = getattr(owner, "attr", None) or getattr(owner, "id", "")
        if name in ("write", "writelines"):
            if of in ("stdout", "stderr", "__stdout__", "__stderr__", "os"):
                yield name
        elif name == "text":
            if "axes" in of or "figure" in of:
                yield name
        elif name in SAYS and of != "re":  # `re.escape` makes a pattern
            yield name


def test_a_text_is_shown_by_the_few_who_say_it_as_text():
    for path in FILES:
        place = path.relative_to(SOURCE).as_posix()
        assert set(saying_calls(path)) == MAY_SAY.get(place, set()), place


def test_a_table_of_markdown_is_made_where_its_cells_are_escaped():
    for path in FILES:
        place = path.relative_to(SOURCE).as_posix()
        if place not in (
            "legible.py",
            "views/gallery.py",
        ):  # the latter writes a page of these docs, of evolr's own entries
            assert not [text for text in strings_in(path) if "|---" in text], place


def test_what_one_system_alone_has_is_imported_in_functions():
    for path in FILES:
        top = {module for module, is_top in imports(path) if is_top}
        assert not top & {"fcntl", "msvcrt", "resource", "pwd", "grp", "termios", "psutil", "winreg"}, path


def test_what_breeds_and_compares_calls_no_library_for_linear_algebra():
    """Its threads add up in an order of their own, so that the last bits would depend on the machine's cores."""
    for path in FILES:
        if package_of(path) in ("search", "signal_bank", "simplification"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                assert not isinstance(node, ast.MatMult), path
                assert not (isinstance(node, ast.Attribute) and node.attr in ("dot", "inner", "linalg", "matmul")), path
            assert not [module for module, _ in imports(path) if ".linalg" in module], path


HEAVY = ("jax", "torch", "ray", "matplotlib", "jinja2", "sympy", "scipy", "optax", "mnist1d", "rich", "typer")


def modules_after(statement):
    code = f"import sys; {statement}; print(' '.join(sys.modules))"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_importing_evolr_is_light():
    assert not modules_after("import evolr").intersection((*HEAVY, "numpy"))


def test_reading_a_configuration_and_evaluating_a_schedule_imports_no_jax():
    used = modules_after("import evolr; evolr.resolve(); evolr.Schedule(expression=evolr.parse('epoch'))(epoch=1)")
    assert not used.intersection(HEAVY)


def test_a_worker_imports_nothing_heavy():
    assert not modules_after("import evolr.execution.worker, evolr.execution.workers").intersection(HEAVY)


def test_naming_a_cluster_imports_no_ray():
    """It would change logging and warnings: a process of its own is connected to the cluster."""
    assert not modules_after("import evolr; evolr.Ray(workers=1)").intersection(("ray", "jax"))


def test_the_help_imports_nothing_heavy():
    used = modules_after("import evolr.cli")
    assert not used.intersection(("jax", "matplotlib", "jinja2", "sympy", "scipy", "optax", "numpy"))


def test_the_public_names():
    assert evolr.__all__ == [
        "Config",
        "EvolrError",
        "Expression",
        "JaxProblem",
        "Kind",
        "Limits",
        "Loop",
        "Ray",
        "Schedule",
        "Study",
        "Suite",
        "TrialSchedule",
        "compare",
        "compare_schedule",
        "evolve",
        "explain",
        "export",
        "families",
        "freeze",
        "gallery",
        "load",
        "parse",
        "pools",
        "prove",
        "prove_schedule",
        "report",
        "resolve",
        "tune",
    ]
    for name in evolr.__all__:
        assert getattr(evolr, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        _ = evolr.nothing


def strings_in(path):
    """The string constants of a file."""
    return {
        node.value
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


REDUCTIONS = {"training/measures.py", "torch/network.py", "torch/scheduler.py", "keras/observed.py", "optax.py"}
"""Where what is measured of a network is measured."""

STATES_AND_PRESETS = {"loop.py", "presets.py"}
"""What older files say: states of a loop that was saved, and the configurations of presets."""


def test_a_signal_stands_in_the_table_and_an_observation_of_the_network_where_it_is_measured():
    from evolr.signals import CLOCK, OBSERVATIONS, SIGNALS

    derived = set(SIGNALS) - set(OBSERVATIONS) - set(CLOCK)
    measured = {name for name, observation in OBSERVATIONS.items() if observation.is_measured}
    assert {"loss_ema", "grad_norm_rss", "best_loss", "plateaus"} <= derived
    for path in FILES:
        place = path.relative_to(SOURCE).as_posix()
        if place == "signals/table.py":
            continue
        found = strings_in(path)
        assert place in STATES_AND_PRESETS or not found & derived, (place, found & derived)
        assert place in REDUCTIONS | {"presets.py"} or not found & measured, (place, found & measured)
