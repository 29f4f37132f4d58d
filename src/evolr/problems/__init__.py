"""What a schedule is judged on. The problems, by name; importing them imports no JAX."""

from evolr.problems.external import External
from evolr.problems.jax_problem import JaxProblem
from evolr.problems.mixed import Mixed
from evolr.problems.mnist1d_mlp import Mnist1dMlp
from evolr.problems.mnist1d_suite import Mnist1dSuite
from evolr.problems.problem import Metric, Pool, Problem
from evolr.problems.quadratic import Quadratic
from evolr.problems.suite import Kind, Suite

AnyProblem = Mnist1dMlp | Mnist1dSuite | Mixed | Quadratic | External
"""The settings of any problem, told apart by their key `name`."""

PROBLEMS: dict[str, type[AnyProblem]] = {
    "mnist1d-mlp": Mnist1dMlp,
    "mnist1d-suite": Mnist1dSuite,
    "mixed": Mixed,
    "quadratic": Quadratic,
    "external": External,
}


OwnProblem = JaxProblem | Suite
"""A problem that a user gives as it is."""


def given_problem(what: object) -> OwnProblem | None:
    """The problem that a user gives as it is; None for what is none, such as a training function or a configuration."""
    return what if isinstance(what, OwnProblem) else None


__all__ = [
    "PROBLEMS",
    "AnyProblem",
    "External",
    "JaxProblem",
    "Kind",
    "Metric",
    "Mixed",
    "Mnist1dMlp",
    "Mnist1dSuite",
    "OwnProblem",
    "Pool",
    "Problem",
    "Quadratic",
    "Suite",
    "given_problem",
]
