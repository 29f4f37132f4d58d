"""PyTorch's own tests of its schedulers, with ExpressionLR in the place of the schedulers that a formula can say.

    python benchmarks/peers/torch_schedulers.py PATH    # writes benchmarks/results/peers_torch.json

PATH: test/optim/test_lrscheduler.py of a checkout of PyTorch, of the version that is installed. Nothing of it is in this
repository. The file is loaded twice: as it is, to see that it fits the installed torch, and with the classes of
torch_replacements.py in torch.optim.lr_scheduler. A test in which none of these is made says nothing about evolr.
The exit code is 1 if a test that applies fails.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import types
import unittest
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

import torch.optim.lr_scheduler

from benchmarks.peers.runner import Outcome, described, report
from benchmarks.peers.torch_replacements import REPLACEMENTS, Count

# What torch tests and evolr does not claim: names of tests, with * for any part, and why.
ARGUMENTS = "checks of torch's arguments; evolr has a formula"
MOMENTUM = "cycles the momentum; ExpressionLR sets learning rates alone"
BY_GROUP = "a bound or a shape of its own for each group; in ExpressionLR groups keep their ratio"
PRIVATE = "private fields of torch's own schedulers"
IN_STATE = "torch's state holds the arguments; in evolr the schedule is a document"
AVERAGING = "SWALR alone, which averages weights"
EXCEPTIONS = {
    "test_error_when_getlr_has_epoch": "a scheduler of the test's own, none of torch's",
    "test_linearlr_start_factor_limits?": ARGUMENTS,
    "test_cycle_lr_invalid_mode": ARGUMENTS,
    "test_onecycle_lr_invalid_*": ARGUMENTS,
    "test_onecycle_lr_cannot_calculate_total_steps": ARGUMENTS,
    "test_multiplicative_lr_with_lr_lambda": ARGUMENTS,
    "test_swalr_hypers": ARGUMENTS,
    "test_cycle_lr_cycle_momentum_*": MOMENTUM,
    "test_constant_initial_params_cyclelr": MOMENTUM,
    "test_constant_initial_params_onecyclelr": MOMENTUM,
    "test_reduce_lr_on_plateau8": BY_GROUP,
    "test_add_param_group_*plateau_min_lr_list": BY_GROUP,
    "test_add_param_group_errors_reduce_lr_on_plateau": BY_GROUP,
    "test_lambda_lr": BY_GROUP,
    "test_multiplicative_lr": BY_GROUP,
    "test_cycle_lr_*_mode": BY_GROUP,
    "test_cycle_lr_triangular2_mode_step_size_up_down": BY_GROUP,
    "test_cycle_lr_state_dict_picklable": PRIVATE,
    "test_cycle_lr_scale_fn_restored_from_state_dict": PRIVATE,
    "test_onecycle_lr_legacy_state_dict": PRIVATE,
    "test_CosineAnnealingWarmRestarts_T_cur_reset": PRIVATE,
    "test_reduce_lr_on_plateau_state_dict": IN_STATE,
    "test_lambda_lr_state_dict_*": IN_STATE,
    "test_CosineAnnealingWarmRestarts_lr[23]": "step(epoch) with parts of an epoch; ExpressionLR counts whole steps",
    "test_swalr_no_anneal": AVERAGING,
    "test_swa_lr_state_dict": AVERAGING,
    "test_constant_initial_params_swalr": AVERAGING,
    "test_lr_scheduler_state_dict_load_LRClass15*": AVERAGING,
    "test_lr_scheduler_checkpoint_LRClass12": AVERAGING,
    "test_lr_scheduler_state_dict_load_LRClass1_*": "a lambda without arguments, which torch never calls",
}
NONE_OF_OURS = "constructs no scheduler that evolr replaces"
MISFIT = "fails with torch's own schedulers too: the file does not fit the installed torch"

RATES_ALONE = "the learning rates; the momenta are taken as they stand"
STATE_ALONE = "the state and the coming learning rates of a scheduler of the same formula; torch's takes another one"


def expecttest() -> None:
    """A stand-in for a package that torch's test case derives from, if it is not installed; no test here uses more."""
    if importlib.util.find_spec("expecttest") is None:
        stand_in: Any = types.ModuleType("expecttest")
        stand_in.TestCase, stand_in.ACCEPT = unittest.TestCase, False
        sys.modules["expecttest"] = stand_in


def tests_of(path: Path, name: str) -> type[unittest.TestCase]:
    """The class of tests in a file, loaded as a module of this name."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module.TestLRScheduler


@contextmanager
def replaced() -> Iterator[None]:
    with mock.patch.multiple(torch.optim.lr_scheduler, **REPLACEMENTS):
        yield


def adapted(tests: type[unittest.TestCase], in_part: dict[str, str]) -> type[unittest.TestCase]:
    """The tests, with two of their checks cut to what evolr claims; in_part collects which tests use them."""

    class Adapted(tests):
        def _test_cycle_lr(self, scheduler: Any, lr_targets: Any, _momenta: Any, batches: int, **more: Any) -> None:
            in_part[self._testMethodName] = RATES_ALONE
            groups = self.opt.param_groups
            momenta = [group["betas"][0] if "betas" in group else group.get("momentum") for group in groups]
            super()._test_cycle_lr(scheduler, lr_targets, [[one] * batches for one in momenta], batches, **more)

        def _check_scheduler_state_dict(self, make: Callable[[], Any], _another: object, epochs: int = 10) -> None:
            in_part[self._testMethodName] = STATE_ALONE
            scheduler = make()
            for _ in range(epochs):
                scheduler.optimizer.step()
                scheduler.step()
            state, rates = scheduler.state_dict(), scheduler.get_last_lr()
            later = []
            for _ in range(epochs):
                scheduler.step()
                later.append(scheduler.get_last_lr())
            self.setUp()
            restored = make()
            restored.load_state_dict(state)
            assert restored.state_dict() == state
            assert restored.get_last_lr() == rates
            for expected in later:
                restored.step()
                assert restored.get_last_lr() == expected

    return Adapted


def run(tests: type[unittest.TestCase], names: list[str]) -> tuple[dict[str, str], set[str]]:
    """Errors by the name of the test, and the tests in which a replacement was made."""
    errors, with_ours = {}, set()
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        for name in names:
            Count.made = 0
            try:
                tests(name).debug()
            except Exception as error:
                errors[name] = described(error)
            if Count.made:
                with_ours.add(name)
    return errors, with_ours


def reason_of(name: str) -> str | None:
    return next((reason for pattern, reason in EXCEPTIONS.items() if fnmatchcase(name, pattern)), None)


def outcomes(path: Path) -> list[Outcome]:
    plain = tests_of(path, "torchs_schedulers")
    names = unittest.TestLoader().getTestCaseNames(plain)
    misfits, _ = run(plain, names)
    in_part: dict[str, str] = {}
    with replaced():
        ours = adapted(tests_of(path, "torchs_schedulers_replaced"), in_part)
        tried = [name for name in names if name not in misfits and reason_of(name) is None]
        errors, with_ours = run(ours, tried)
    for pattern in EXCEPTIONS:
        if not any(fnmatchcase(name, pattern) for name in names):
            print(f"no test of this file is called {pattern}, which is among the exceptions")
    found = []
    for name in names:
        if name in misfits:
            found.append(Outcome(name, "does not apply", MISFIT))
        elif reason := reason_of(name):
            found.append(Outcome(name, "does not apply", reason))
        elif name not in with_ours:
            found.append(Outcome(name, "does not apply", NONE_OF_OURS))
        elif name in errors:
            found.append(Outcome(name, "failed", errors[name], in_part.get(name, "")))
        else:
            found.append(Outcome(name, "passed", in_part=in_part.get(name, "")))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path, help="PyTorch's test/optim/test_lrscheduler.py")
    path = parser.parse_args().path
    if not path.is_file():
        parser.error(f"{path} is no file; give test/optim/test_lrscheduler.py of a checkout of PyTorch")
    expecttest()
    return int(report("torch", outcomes(path), ["torch"]) > 0)


if __name__ == "__main__":
    sys.exit(main())
