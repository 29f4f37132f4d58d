"""Exported files, loaded as a user would import them."""

import importlib.util
import sys

from evolr.exports.targets import source


def exported(schedule, target, folder):
    """The module that an export is, in a file of its own."""
    path = folder / f"{target}_schedule.py"
    path.write_text(source(schedule, target, {"problem": "a test"}), encoding="utf-8")
    spec = importlib.util.spec_from_file_location(f"exported_{target}", path)
    module = importlib.util.module_from_spec(spec)
    before = set(sys.modules)
    spec.loader.exec_module(module)
    assert not any(name.split(".")[0] == "evolr" for name in set(sys.modules) - before), "it needs evolr"
    assert "evolr" not in {name.split(".")[0] for name in vars(module)}
    return module
