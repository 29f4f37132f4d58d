"""evolr evolves learning-rate schedules by genetic programming.

The public names are loaded on first use, so that `import evolr` is light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from evolr.config import Config, resolve
    from evolr.contest.comparison import compare, compare_schedule
    from evolr.contest.explanation import explain, freeze
    from evolr.contest.prove import prove, prove_schedule
    from evolr.contest.tune import tune
    from evolr.discovered import gallery
    from evolr.errors import EvolrError
    from evolr.execution.ray import Ray
    from evolr.execution.trial_schedule import TrialSchedule
    from evolr.exports.export import export
    from evolr.expression import Expression, parse
    from evolr.loop import Loop
    from evolr.named import load
    from evolr.problems import JaxProblem, Kind, Suite
    from evolr.problems.pools import pools
    from evolr.schedule import Schedule
    from evolr.standard import families
    from evolr.study.evolve import evolve
    from evolr.study.results import Limits
    from evolr.study.study import Study
    from evolr.views.page.report import report

__version__: Final = "0.1.0"

_HOMES: Final = {
    "Config": "evolr.config",
    "EvolrError": "evolr.errors",
    "Expression": "evolr.expression",
    "JaxProblem": "evolr.problems",
    "Kind": "evolr.problems",
    "Limits": "evolr.study.results",
    "Loop": "evolr.loop",
    "Ray": "evolr.execution.ray",
    "Schedule": "evolr.schedule",
    "Study": "evolr.study.study",
    "Suite": "evolr.problems",
    "TrialSchedule": "evolr.execution.trial_schedule",
    "compare": "evolr.contest.comparison",
    "compare_schedule": "evolr.contest.comparison",
    "evolve": "evolr.study.evolve",
    "explain": "evolr.contest.explanation",
    "export": "evolr.exports.export",
    "families": "evolr.standard",
    "freeze": "evolr.contest.explanation",
    "gallery": "evolr.discovered",
    "load": "evolr.named",
    "parse": "evolr.expression",
    "pools": "evolr.problems.pools",
    "prove": "evolr.contest.prove",
    "prove_schedule": "evolr.contest.prove",
    "report": "evolr.views.page.report",
    "resolve": "evolr.config",
    "tune": "evolr.contest.tune",
}

__all__ = [
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


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'evolr' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
