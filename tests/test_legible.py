"""Text of others is text wherever it is shown, and nothing that was computed is lost because it cannot be said."""

import html as standard_html
import os
import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolr.errors import printable
from evolr.legible import encodable, html, markdown, markdown_code, markdown_table, message, shell_word

TEXTS = st.text(st.characters(codec=None, categories=None)) | st.text(
    st.sampled_from("\x1b[\n\r|`*\\_$<&>'\"\u202e\udcff x-")
)
"""Any text, halves of characters too."""


@given(TEXTS)
def test_a_printable_text_is_one_line_as_long_as_before(text):
    shown = printable(text)
    assert shown.isprintable()
    assert len(shown) == len(text)
    assert printable(shown) == shown
    assert all(was == now for was, now in zip(text, shown, strict=True) if was.isprintable())


def test_a_space_stays_one_and_an_order_to_a_terminal_leaves_a_mark():
    assert printable("a\nb\tc\x1b[31m\u202ed\udcff") == "a b c�[31m�d�"


@given(TEXTS)
def test_no_line_of_a_message_but_the_first_can_be_taken_for_one_of_evolrs_own(text):
    first, *others = message(text).split("\n")
    assert first.isprintable()
    assert all(line.startswith("  ") and line.isprintable() for line in others)


def test_an_error_that_points_into_a_formula_stays_as_it_is():
    pointed = "column 3: expected a number\n  1 +\n    ^"
    assert message(pointed) == pointed


@given(TEXTS)
def test_html_is_read_back_as_the_text(text):
    shown = html(text)
    assert not {"<", ">", '"', "'"} & set(shown)
    assert standard_html.unescape(shown) == printable(text)


def cells_of(line):
    """The cells of a row as GitHub splits them: at a bar that no backslash stands before, the bars in them as they are."""
    cells, cell, escaped = [], "", False
    for character in line.strip()[1:-1]:
        if character == "|" and not escaped:
            cells.append(cell)
            cell = ""
        else:
            cell += character
        escaped = character == "\\" and not escaped
    return [*cells, cell]


@given(TEXTS, TEXTS)
def test_a_table_has_the_cells_that_it_was_given(one, other):
    head, rule, row = markdown_table((one, other), [(markdown(one), markdown_code(other))])
    assert len(cells_of(head)) == len(cells_of(rule)) == len(cells_of(row)) == 2
    assert "\n" not in head + row


def test_markdown_says_the_text_and_no_more():
    assert markdown("[x](y) <b> `c` *d* _e_ val_loss $f$ #1 ~g~ &lt;") == (
        r"\[x\](y) \<b> \`c\` \*d\* \_e\_ val_loss \$f\$ #1 \~g\~ \&lt;"
    )
    assert markdown("p < 0.05 & more > 1") == "p < 0.05 & more > 1"
    assert (markdown("# x"), markdown("> x")) == (r"\# x", r"\> x")
    assert markdown("WSD (linear), 0.1 … 0.2") == "WSD (linear), 0.1 … 0.2"
    assert markdown_code("0.1*progress") == "`0.1*progress`"
    assert markdown_code("a``b") == "``` a``b ```"
    assert markdown_code(r"a\|b") == r"a\\|b"  # in a table no code can have these


@pytest.mark.parametrize(
    "name", ["run", "a b", "x'y", "-rf", "e\x1b[31m", "a\nb", "\u202eb'\\", os.fsdecode(b"\xff'\xfe\\7")]
)
def test_a_shell_reads_a_name_as_it_is(name):
    word = shell_word(name)
    assert word.isprintable()
    said = subprocess.run(["bash", "-c", f"printf %s {word}"], capture_output=True, check=True).stdout
    assert said == os.fsencode(f"./{name}" if name.startswith("-") else name)
    assert not name.isidentifier() or shlex.split(word) == [name]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437", "utf-8", "utf-16"])
@given(TEXTS)
def test_whatever_can_be_shown_can_be_said_in_any_encoding(encoding, text):
    said = encodable(printable(text), encoding)
    assert said.encode(encoding).decode(encoding) == said
    assert encoding[:3] != "utf" or said == printable(text)


def test_what_evolr_writes_has_plain_words_in_ascii():
    assert encodable("0.1 … 0.2 − 3 ▁▄█ ≤ é", "ascii") == "0.1 ... 0.2 - 3 _=@ <= \\xe9"
