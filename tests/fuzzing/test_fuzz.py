"""The short form of benchmarks/hostile.py, and that its checks see the faults that they are there for."""

import ast
import functools
import math
from random import Random
from types import SimpleNamespace

import numpy as np
import pytest

from evolr.errors import ExpressionError, ScheduleError
from evolr.expression import primitives, scalar
from evolr.expression.reading import Reading
from evolr.expression.tree import Expression
from evolr.schedule import Schedule
from tests.fuzzing import checks, documents, python_values, texts
from tests.fuzzing.rounding import DOUBLE, SINGLE, bounded
from tests.fuzzing.single import check_single

AT, BEYOND = checks.points(Random("points"), 3), checks.extremes(Random("extremes"), 2)


def found(*checked):
    return [finding for each in checked for finding in each.findings]


def test_mutated_texts_are_read_exactly_or_refused(tmp_path):
    rng = Random("texts")
    checked = [checks.check_text(texts.text(rng), AT, BEYOND) for _ in range(2_000)]
    assert found(*checked) == []
    read = [each.expression for each in checked if each.expression is not None]
    assert 500 < len(read) < 1_500
    for expression in read[::50]:
        assert checks.check_export(expression, AT, tmp_path) == []
        assert checks.check_short_form(Schedule(expression=expression)) == []
    compared, differing = check_single(read[::50], AT)
    assert differing == []
    assert compared > 20


def test_formulas_of_both_languages_have_the_value_of_python():
    rng = Random("python")
    checked = [checks.check_text(python_values.formula(rng, rng.randint(1, 5)), AT) for _ in range(800)]
    assert found(*checked) == []
    assert sum(each.compared > 0 for each in checked) > 500


def test_mutated_documents_are_read_exactly_or_refused():
    rng = Random("documents")
    checked = [checks.check_document(documents.document(rng)) for _ in range(300)]
    assert found(*checked) == []
    assert sum(each.outcome == "read" for each in checked) > 30


def test_a_seed_gives_the_same_texts_and_documents():
    for write in (texts.text, documents.document):
        assert [write(Random(7)) for _ in range(50)] == [write(Random(7)) for _ in range(50)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-2**2", -4.0),
        ("2**-1**2", 0.5),
        ("7 // -2", -4.0),
        ("-7 % 3", 2.0),
        ("round(2.5) + True", None),
        ("1 if epoch else 2", 1.0),
        ("not 3 < 2 and 1 < 2", 1.0),
        ("1 < 2 < 2", 0.0),
        ("1 - (2 < 3)", 0.0),
        ("0.3 % 0.1", None),
        ("6 % 3", 0.0),
        ("(-8)**0.5", None),
        ("1/0", None),
        ("1/0 if 2 < 1 else 5", 5.0),
        ("math.log(-1)", None),
        ("exp(81)", None),
        ("3 == 3.0000000001", None),
        ("int(-2.5)", -2.0),
        ("math.remainder(5, 3)", -1.0),
        ("2**60", None),
        ("2 ^ 3", None),
    ],
)
def test_the_walk_over_python_has_its_values_and_leaves_out_what_a_protection_changes(text, value):
    try:
        assert python_values.value(python_values.tree(text), {"epoch": 3}) == value
    except (python_values.LeftOutError, python_values.NotPythonError):
        assert value is None


def kinds(text):
    return {finding.what for finding in checks.check_text(text, AT).findings}


def test_another_arithmetic_than_pythons_is_found(monkeypatch):
    assert kinds("-7 % 3") == set()
    monkeypatch.setitem(scalar.FUNCTIONS, "mod", math.fmod)
    assert kinds("-7 % 3") == {"a value that is not the reference's", "a value that is not Python's"}


def test_another_precedence_than_pythons_is_found(monkeypatch):
    assert kinds("-3**2") == set()
    monkeypatch.setattr("evolr.expression.reading.SIGN", 10)
    assert kinds("-3**2") == {"a value that is not Python's"}


def test_a_value_apart_from_the_reference_is_found(monkeypatch):
    monkeypatch.setitem(scalar.FUNCTIONS, "tanh", lambda a: math.tanh(a) * (1 + 1e-8))
    assert kinds("tanh(progress + 1)") == {"a value that is not the reference's", "a value that is not Python's"}


@pytest.mark.parametrize("name", ["ordinary_text", "original_text"])
def test_a_text_of_another_formula_is_found(monkeypatch, name):
    write = getattr(checks, name)
    for changed, fault in (
        (lambda text: text.replace("-0", "0"), "is read as another formula"),
        (lambda text: f"{text} +", "is refused"),
    ):
        assert kinds("-0.0*epoch") == set()
        with monkeypatch.context() as patched:
            patched.setattr(checks, name, functools.wraps(write)(lambda tree, changed=changed: changed(write(tree))))
            assert kinds("-0.0*epoch") == {f"{name} {fault}"}


def test_an_exception_and_a_long_time_are_found(monkeypatch):
    def fail(_):
        raise RecursionError

    monkeypatch.setattr(checks, "SECONDS", 0.0)
    assert kinds("epoch") == {"slow"}
    monkeypatch.setattr(Reading, "expression", fail)
    assert kinds("epoch") == {"an exception outside evolr's tree", "slow"}
    monkeypatch.setattr(checks, "SECONDS", 9.0)
    monkeypatch.setattr(Schedule, "from_json", staticmethod(fail))
    assert [f.what for f in checks.check_document(b"{}").findings] == ["an exception outside evolr's tree"]


def test_a_column_beyond_the_text_and_a_long_message_are_found(monkeypatch):
    def fail(reading):
        raise ExpressionError("x" * 700, reading.text, 99)

    monkeypatch.setattr(Reading, "expression", fail)
    assert kinds("epoch") == {"a column outside the text", "a long message"}


def test_a_document_that_changes_is_found(monkeypatch):
    one, zero = (Schedule(expression=Expression((value,))) for value in (-0.0, 0.0))
    assert checks.check_document(one.to_json()).findings == []
    assert one == zero  # and not the same schedule: the sign is looked at
    monkeypatch.setattr(Schedule, "to_json", lambda _: b"{}")
    monkeypatch.setattr(Schedule, "provenance", lambda _: {})
    answers = iter((one, zero))
    monkeypatch.setattr(Schedule, "from_json", lambda _: next(answers))
    assert [f.what for f in checks.check_document(b"{}").findings] == ["a document is another schedule"]


def test_a_document_that_is_read_and_then_refused_is_found(monkeypatch):
    def fail(_):
        raise ScheduleError("no")

    document = Schedule(expression=Expression((0.5,))).to_json()
    monkeypatch.setattr(Schedule, "to_json", fail)
    assert [f.what for f in checks.check_document(document).findings] == ["a document that is read raises"]


def test_an_export_that_says_another_learning_rate_is_found(monkeypatch, tmp_path):
    expression = Expression(("mul", 2.0, "progress"))
    monkeypatch.setattr(checks, "source", lambda schedule, target: "def learning_rate(progress): return progress")
    assert [f.what for f in checks.check_export(expression, AT, tmp_path)] == [
        "an export that says another learning rate"
    ]
    monkeypatch.setattr(checks, "source", lambda schedule, target: "nothing = ")
    assert [f.what for f in checks.check_export(expression, AT, tmp_path)] == ["an export that does not run"]


@pytest.mark.parametrize("precision", [DOUBLE, SINGLE])
def test_the_bound_holds_what_rounding_does_and_not_much_more(precision):
    tree = Expression(("sub", "mul", 0.1, "loss", "exp", "mul", -1.0, "loss"))
    value, error = bounded(tree, {"loss": 0.75}, precision)
    rounded = np.float32 if precision is SINGLE else np.float64
    other = rounded(0.1) * rounded(0.75) - np.exp(rounded(-0.75))
    assert abs(float(other) - value) <= error < 100 * precision.unit


@pytest.mark.parametrize(
    "tokens",
    [
        ("floor", "mul", 0.1, 30.0),  # within rounding of 3, in float32 only
        ("less", "loss", "add", "loss", 1e-9),
        ("quotient", 1.0, "sub", "mul", 0.1, "loss", "mul", 0.1, "loss"),
        ("sin", "mul", 1e9, "mul", 0.1, "loss"),
        ("where", "sub", "mul", 0.1, "loss", 0.075, 1.0, 2.0),
        ("exp", "mul", 1e36, "loss"),
    ],
)
def test_what_a_rounding_may_turn_over_has_no_bound(tokens):
    value, error = bounded(Expression(tokens), {"loss": 0.75}, SINGLE)
    assert not error <= 1e-3 * abs(value)


def test_a_fault_of_the_interpreter_in_float32_is_found(monkeypatch):
    tree = Expression(("mul", 2.0, "progress"))
    assert check_single([tree], AT) == (3, [])
    monkeypatch.setattr(Schedule, "at", lambda self, **signals: 2.001 * signals["progress"])
    _, differing = check_single([tree], AT)
    assert [finding.what for finding in differing] == ["float32 is not the reference"]


def test_every_primitive_has_a_bound():
    for name, primitive in primitives.PRIMITIVES.items():
        tree = Expression((name, *["loss", "val_loss", "lr"][: primitive.arity]))
        _, error = bounded(tree, {"loss": 0.7, "val_loss": 0.3, "lr": 0.01}, SINGLE)
        assert error < 1e-5, name


def test_points_are_exact_in_float32_and_of_python_numbers():
    for point in AT:
        assert all(float(np.float32(value)) == value for value in point.values())
        assert isinstance(point["epoch"], int)


def test_a_text_that_is_no_python_is_left_to_evolr():
    for text in ("1 mul 2", "(", "\0", "3 ≤ 4", "lambda: 1"):
        with pytest.raises(python_values.NotPythonError):
            python_values.value(python_values.tree(text), {})
    assert isinstance(python_values.tree("1 + 1"), ast.BinOp)


def test_a_short_form_that_is_not_read_back_is_found(monkeypatch):
    schedule = Schedule(expression=Expression(("mul", 2.0, "progress")))
    assert checks.check_short_form(schedule) == []
    for text, fault in (("2*epoch", "is read as another formula"), ("2*", "raises")):
        short = SimpleNamespace(expression=schedule.expression, text=text, latex="2")
        monkeypatch.setattr(checks, "simplified", lambda _, short=short: short)
        assert [finding.what for finding in checks.check_short_form(schedule)] == [f"a short form {fault}"]


def test_a_family_read_of_a_formula_is_found(monkeypatch):
    assert kinds("-cosine") == kinds("epoch") == kinds("cosine") == set()
    monkeypatch.setattr(checks, "read_schedule", lambda text: None)
    monkeypatch.setattr(checks, "family_named", lambda text: text)
    assert kinds("-cosine") == {"a family is read of what is not its name"}
    assert kinds("epoch") == {"a formula is taken for a family"}
