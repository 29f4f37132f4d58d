import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolr.errors import ExpressionError
from evolr.expression import Expression, ordinary_text, original_text, parse, read_back
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
        assert [repr(t) for t in read_back(text).tokens] == [repr(t) for t in expression.tokens]


ORIGINAL = (
    "(epoch add (loss",
    "mul 0.5)",
    "sin(",
    ")",
    " ",
    "(",
    "exp",
    "epoch",
    "-1e5",
    "inf",
    ",",
    "@a",
    "max(epoch, ",
    "if",
)
BEYOND = ("sin(" * 150 + "epoch" + ")" * 150, "sin(" * 9_000 + "epoch", "(" * 30_000, "")


@given(st.lists(st.sampled_from(ORIGINAL), max_size=8).map("".join) | st.sampled_from(BEYOND))
def test_what_is_read_back_is_what_parse_reads(text):
    try:
        expected = parse(text)
    except ExpressionError as error:
        with pytest.raises(ExpressionError, match=f"^{re.escape(str(error))}$"):
            read_back(text)
    else:
        assert read_back(text) == expected


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
        ("8/4/2", ("quotient", "quotient", 8.0, 4.0, 2.0)),
        ("8 div 4 div 2", ("div", "div", 8.0, 4.0, 2.0)),
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
        ("2**3", ("pow", 2.0, 3.0)),
        ("2^3", ("pow", 2.0, 3.0)),
        ("2**3**2", ("pow", 2.0, "pow", 3.0, 2.0)),
        ("-2**2", ("mul", -1.0, "pow", 2.0, 2.0)),
        ("(-2)**2", ("pow", -2.0, 2.0)),
        ("2**-3", ("pow", 2.0, -3.0)),
        ("2**-3**2", ("pow", 2.0, "mul", -1.0, "pow", 3.0, 2.0)),
        ("2*3**2", ("mul", 2.0, "pow", 3.0, 2.0)),
        ("+1", (1.0,)),
        ("1 - +-+2", ("sub", 1.0, -2.0)),
        ("1_000 + 1_0.0_1e-0_3", ("add", 1000.0, 0.01001)),
        ("epoch < 5", ("less", "epoch", 5.0)),
        ("epoch > 5", ("less", 5.0, "epoch")),
        ("epoch <= 5", ("less_equal", "epoch", 5.0)),
        ("epoch >= 5", ("less_equal", 5.0, "epoch")),
        ("epoch == 5", ("equal", "epoch", 5.0)),
        ("epoch != 5", ("sub", 1.0, "equal", "epoch", 5.0)),
        ("1 + epoch < 5*2", ("less", "add", 1.0, "epoch", "mul", 5.0, 2.0)),
        (
            "epoch < 3 and loss < 1 or loss > 9",
            (
                "max",
                "min",
                "less",
                "epoch",
                3.0,
                "less",
                "loss",
                1.0,
                "less",
                9.0,
                "loss",
            ),
        ),
        ("not epoch % 10", ("equal", "mod", "epoch", 10.0, 0.0)),
        ("min(1, 500)", ("min", 1.0, 500.0)),
        ("max(0.5,100)", ("max", 0.5, 100.0)),
        ("max(0,100)", ("max", 0.0, 100.0)),
        ("max(step,100)", ("max", "step", 100.0)),
        ("max(1,5000)", ("max", 1.0, 5000.0)),
        ("not epoch < 3", ("sub", 1.0, "less", "epoch", 3.0)),
        ("not (epoch < 3)", ("sub", 1.0, "less", "epoch", 3.0)),
        ("not epoch == 3 and loss < 1", ("min", "sub", 1.0, "equal", "epoch", 3.0, "less", "loss", 1.0)),
        ("1 if epoch < 5 else 2", ("where", "less", "epoch", 5.0, 1.0, 2.0)),
        (
            "1 if epoch < 5 else 2 if epoch < 9 else 3",
            (
                "where",
                "less",
                "epoch",
                5.0,
                1.0,
                "where",
                "less",
                "epoch",
                9.0,
                2.0,
                3.0,
            ),
        ),
        ("(1 if epoch < 5 else 2) + 3", ("add", "where", "less", "epoch", 5.0, 1.0, 2.0, 3.0)),
        ("1 + 1 if epoch < 5 else 2 + 3", ("where", "less", "epoch", 5.0, "add", 1.0, 1.0, "add", 2.0, 3.0)),
        ("1 if epoch else 2", ("where", "equal", "epoch", 0.0, 2.0, 1.0)),  # any number that is not 0 holds
        ("np.where(epoch - 3, 1, 2)", ("where", "equal", "sub", "epoch", 3.0, 0.0, 2.0, 1.0)),
        ("where(epoch - 3, 1, 2)", ("where", "sub", "epoch", 3.0, 1.0, 2.0)),
        ("epoch // 30", ("floor", "quotient", "epoch", 30.0)),
        ("step % 7*2", ("mul", "mod", "step", 7.0, 2.0)),
        ("abs(loss)", ("abs", "loss")),
        ("math.sqrt(2)", ("sqrt", 2.0)),
        ("torch.div(1, loss)", ("quotient", 1.0, "loss")),  # not the first experiment's `div`
        ("np.remainder(step, 7)", ("mod", "step", 7.0)),
        ("np.maximum(epoch, 2)", ("max", "epoch", 2.0)),
        ("torch.clamp(loss, 0, 1)", ("min", "max", "loss", 0.0, 1.0)),
        ("math.pi + np.e", ("add", 3.141592653589793, 2.718281828459045)),
        ("min(1, loss, epoch, 3)", ("min", 1.0, "min", "loss", "min", "epoch", 3.0)),
        ("ceil(loss)", ("mul", -1.0, "floor", "mul", -1.0, "loss")),
        ("int(loss)", ("mul", "sign", "loss", "floor", "abs", "loss")),
        ("log10(loss)", ("quotient", "log", "loss", 2.302585092994046)),
        ("3·epoch − 1", ("sub", "mul", 3.0, "epoch", 1.0)),
        ("epoch ≥ 5", ("less_equal", 5.0, "epoch")),
        ("epoch ≤ 5", ("less_equal", "epoch", 5.0)),
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
        ("(8 quotient (4 quotient 2))", "8/(4/2)"),
        ("(8 div (4 div 2))", "div(8, div(4, 2))"),
        ("1 + (2 + 3)", "1 + (2 + 3)"),
        ("exp((loss sub 1))", "exp(loss - 1)"),
        ("(2**3)**2", "(2**3)**2"),
        ("2**(3**2)", "2**3**2"),
        ("(1 + 2)**(-1*epoch)", "(1 + 2)**-epoch"),
        ("-1*(epoch*loss)", "-(epoch*loss)"),
        ("-1*epoch*loss", "-epoch*loss"),
        ("-1*(-1*epoch)", "-(-epoch)"),
        ("-1*epoch**2", "-epoch**2"),
        ("(-1*epoch)**2", "(-epoch)**2"),
        ("(-1)*3", "-1*3"),
        ("(-1)*pi", "-1*3.141592653589793"),
        ("(epoch < 3) + (2 < loss)", "(epoch < 3) + (2 < loss)"),
        ("(epoch < 3) < 2", "(epoch < 3) < 2"),
        ("(1 + epoch) % 3", "(1 + epoch) % 3"),
        ("min(1, min(2, epoch))", "min(1, 2, epoch)"),
        ("min(min(1, 2), epoch)", "min(min(1, 2), epoch)"),
        ("min(1, max(2, min(3, epoch)))", "min(1, max(2, min(3, epoch)))"),
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
        ("sin", 1, "write sin(…)"),
        ("sin(1, 2)", 1, "takes 1 argument(s), got 2"),
        ("add(1)", 1, "takes 2 argument(s), got 1"),
        ("sin()", 5, "got ')'"),
        ("(1, 2)", 3, "comma"),
        ("1, 2", 2, "comma"),
        ("1,000*epoch", 2, "write a thousand as 1000 or 1_000"),
        ("min(1, step/1,000)", 14, "write a thousand as 1000 or 1_000"),
        ("max(1,010, step)", 6, "write a thousand as 1000 or 1_000"),
        ("np.clip(loss, a_min=0, a_max=1)", 15, "arguments have no names: write the value of 'a_min' alone"),
        ("torch.clamp(loss, min=0, max=1)", 19, "arguments have no names: write the value of 'min' alone"),
        ("lr = 0.1*progress", 4, "write the formula alone, as what stands after `lr =`"),
        ("0.1 – 0.05*progress", 5, "write - for a minus"),
        ("0.1*epoch # falls", 11, "leave comments out"),
        ("(1 + 2", 1, "never closed"),
        ("1 + 2)", 6, "never opened"),
        ("1 2", 3, "expected an operator"),
        ("2 epoch", 3, "expected an operator"),
        ("epoch(2)", 1, "'epoch' is no function"),
        ("1e999", 1, "finite"),
        ("nan", 1, "finite"),
        ("1 + inf", 5, "finite"),
        ("epoch; 1", 6, "a formula is one expression"),
        ("__import__('os')", 1, "unknown function '__import__'"),
        ("0 < epoch < 5", 11, "comparisons cannot be chained"),
        ("epoch = 5", 7, "write == for a comparison"),
        ("epoch < 5 && loss < 1", 11, "write `and`"),
        ("epoch and 3", 7, "`and` takes comparisons"),
        ("min(1,500)", 6, "write a thousand as 1000 or 1_000, or a space after the comma"),
        ("min(1, step/1,500)", 14, "write a thousand as 1000 or 1_000, or a space after the comma"),
        ("!(epoch < 5)", 1, "write `not`"),
        ("epoch < 5 ? 1 : 2", 11, "write `a if condition else b`"),
        ("1 if epoch < 5", 3, "this `if` has no `else`"),
        ("(1 if epoch < 5)", 4, "this `if` has no `else`"),
        ("1 else 2", 3, "this `else` has no `if`"),
        ("1 if 2 if 3 else 4 else 5", 8, "write brackets around it"),
        ("if epoch < 5: 1", 1, "before 'if'"),
        ("lambda epoch: 0.1", 1, "without 'lambda'"),
        ("os.system(1)", 1, "unknown prefix 'os'"),
        ("math.epoch", 1, "write it without a prefix"),
        ("0.1*t", 5, "did you mean 'step'"),
        ("epoch/epochs", 7, "did you mean 'total_epochs'"),
        ("2(epoch)", 2, "write a product with *"),
        ("min(1)", 1, "takes at least 2 argument(s), got 1"),
        ("round(loss, 2)", 1, "takes 1 argument(s), got 2"),
        ("np.interp(epoch, 1, 2)", 1, "a sum or a min of lines"),
        ("math.remainder(step, 7)", 1, "write a - b*round(a/b), or a % b"),
        ("[1, 2]", 1, "lists are not in the language"),
        ("True", 1, "write 1 for True"),
        ("@ epoch", 1, "got '@'"),
        ("1 + @epoch", 5, "write it without @"),
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
        ("-" * 900 + "epoch", f"nested {MAX_NESTING} deep"),
        ("1+" * 5_000 + "1", f"nested {MAX_NESTING} deep"),
        ("2**" * 5_000 + "1", f"{MAX_NODES:,} nodes"),
        ("1 if epoch else " * 1_000 + "1", f"{MAX_NODES:,} nodes"),
        ("int(" * 12 + "epoch" + ")" * 12, f"{MAX_NODES:,} nodes"),
        ("1" * 19_000, "finite"),
        ("a" * 19_000, "unknown name"),
        ("1 " + "a" * 19_000, "unknown operator"),
        ("1 " + "1" * 19_000, "expected an operator"),
        ("0" * 19_000, "a number has no 0 before it"),
    ],
)
def test_input_beyond_the_bounds_is_refused_and_the_message_stays_short(text, part):
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert part in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_message_holds_nothing_that_a_terminal_would_act_on():
    with pytest.raises(ExpressionError) as caught:
        parse("1 +\x1b[31m\r\n\t2\udcff")
    problem, line, caret = str(caught.value).split("\n")
    assert (problem + line).isprintable()
    assert caret.index("^") == line.index("[31m") - 1


def test_what_is_just_within_the_bounds_is_read():
    nested = "sin(" * MAX_NESTING + "1" + ")" * MAX_NESTING
    assert parse(nested).depth == MAX_NESTING + 1
    long = "+".join(["(1" + "+1" * 99 + ")"] * 5)
    assert isinstance(parse(long), Expression)
    assert parse(str(parse(long))) == parse(long)
