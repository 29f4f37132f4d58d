import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolr.errors import ExpressionError
from evolr.expression import Expression, ordinary_text, original_text, parse
from evolr.expression.text import MAX_CHARACTERS, MAX_NESTING, MAX_NODES
from tests.expression.strategies import expressions

PUBLISHED = "(((epoch mul -0.001537) mul -0.75568) sub -0.001537)"


@given(expressions)
def test_both_notations_round_trip_exactly(expression):
    for write in (original_text, ordinary_text):
        text = write(expression)
        again = parse(text)
        assert again == expression
        assert [repr(t) for t in again.tokens] == [repr(t) for t in expression.tokens]  # −0.0 is not 0.0
        assert write(again) == text


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_with_a_message(text):
    try:
        parse(text)
    except ExpressionError as error:
        assert str(error)


@given(st.text(alphabet="()+-*/,. 0123456789einopsx", max_size=60))
def test_any_near_formula_is_read_or_refused_with_a_message(text):
    try:
        assert parse(original_text(parse(text))) == parse(text)
    except ExpressionError as error:
        assert error.column is None or 1 <= error.column <= len(text) + 1


def test_the_published_winner_round_trips_to_the_letter():
    assert original_text(parse(PUBLISHED)) == PUBLISHED


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("1 - 2 - 3", ("sub", "sub", 1.0, 2.0, 3.0)),
        ("1 - (2 - 3)", ("sub", 1.0, "sub", 2.0, 3.0)),
        ("1 + 2*3", ("add", 1.0, "mul", 2.0, 3.0)),
        ("1 add 2 mul 3", ("add", 1.0, "mul", 2.0, 3.0)),
        ("8/4/2", ("div", "div", 8.0, 4.0, 2.0)),
        ("-3", (-3.0,)),
        ("--3", (3.0,)),
        ("2*-3", ("mul", 2.0, -3.0)),
        ("2 - -3", ("sub", 2.0, -3.0)),
        ("-epoch*2", ("mul", "mul", -1.0, "epoch", 2.0)),
        ("-(epoch + 1)", ("mul", -1.0, "add", "epoch", 1.0)),
        ("sin(cos(epoch))", ("sin", "cos", "epoch")),
        ("add(epoch, mul(loss, 2))", ("add", "epoch", "mul", "loss", 2.0)),
        ("div(1, (2))", ("div", 1.0, 2.0)),
        (".5e-3", (0.0005,)),
        ("pi", (3.141592653589793,)),
        ("epoch mul (2)", ("mul", "epoch", 2.0)),
    ],
)
def test_reads(text, tokens):
    assert parse(text).tokens == tokens


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("(((epoch mul 2) add 1))", "epoch*2 + 1"),
        ("(1 sub (2 sub 3))", "1 - (2 - 3)"),
        ("((1 add 2) mul 3)", "(1 + 2)*3"),
        ("(8 div (4 div 2))", "8/(4/2)"),
        ("1 + (2 + 3)", "1 + (2 + 3)"),
        ("exp((loss sub 1))", "exp(loss - 1)"),
    ],
)
def test_ordinary_notation_has_no_bracket_too_many(text, written):
    assert ordinary_text(parse(text)) == written


@pytest.mark.parametrize(
    ("text", "column", "part"),
    [
        ("", 1, "got the end"),
        ("   ", 4, "got the end"),
        ("1 +", 4, "got the end"),
        ("foo + 1", 1, "unknown name 'foo'"),
        ("epoch + val_los", 9, "did you mean 'val_loss'"),
        ("sni(2)", 1, "did you mean 'sin'"),
        ("epoch mull 2", 7, "did you mean 'mul'"),
        ("epoch ^ 2", 7, "write a power as a product"),
        ("sin", 1, "write sin(…)"),
        ("sin(1, 2)", 1, "takes 1 argument(s), got 2"),
        ("add(1)", 1, "takes 2 argument(s), got 1"),
        ("sin()", 5, "got ')'"),
        ("(1, 2)", 3, "comma"),
        ("1, 2", 2, "comma"),
        ("(1 + 2", 1, "never closed"),
        ("1 + 2)", 6, "never opened"),
        ("1 2", 3, "expected an operator"),
        ("2 epoch", 3, "expected an operator"),
        ("epoch(2)", 1, "unknown function 'epoch'"),
        ("1e999", 1, "finite"),
        ("nan", 1, "finite"),
        ("1 + inf", 5, "finite"),
        ("+1", 1, "got '+'"),
        ("epoch; 1", 6, "expected an operator"),
        ("__import__('os')", 1, "unknown function '__import__'"),
    ],
)
def test_a_fault_is_named_at_its_column(text, column, part):
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert part in str(caught.value)
    assert caught.value.column == column
    lines = str(caught.value).split("\n")
    assert lines[-1].index("^") == 2 + column - 1  # the caret stands under the fault


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("(" * 100_000, f"{MAX_CHARACTERS:,} characters"),
        ("epoch+" * 200_000 + "1", f"{MAX_CHARACTERS:,} characters"),
        ("(" * 10_000, f"nested {MAX_NESTING} deep"),
        ("sin(" * 3_000 + "1" + ")" * 3_000, f"nested {MAX_NESTING} deep"),
        ("-" * 19_000 + "1", f"{MAX_NODES:,} nodes"),
        ("1+" * 5_000 + "1", f"{MAX_NODES:,} nodes"),
        ("1" * 19_000, "finite"),
        ("a" * 19_000, "unknown name"),
        ("1 " + "a" * 19_000, "unknown operator"),
        ("1 " + "1" * 19_000, "expected an operator"),
    ],
)
def test_input_beyond_the_bounds_is_refused_and_the_message_stays_short(text, part):
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert part in str(caught.value)
    assert len(str(caught.value)) < 400


def test_what_is_just_within_the_bounds_is_read():
    nested = "sin(" * MAX_NESTING + "1" + ")" * MAX_NESTING
    assert parse(nested).depth == MAX_NESTING + 1
    long = "1" + "+1" * (MAX_NODES // 2 - 1)
    assert isinstance(parse(long), Expression)
    assert parse(str(parse(long))) == parse(long)
