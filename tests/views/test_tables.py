import pytest

from evolr.views.tables import duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (200, "3 min 20 s"),
        (3600, "1 h 00 min"),
        (7500, "2 h 05 min"),
    ],
)
def test_a_duration_reads_as_people_say_it(seconds, text):
    assert duration(seconds) == text


def test_the_knee_is_marked_where_there_is_a_choice():
    from rich.console import Console

    from evolr.expression import parse
    from evolr.problems import Metric
    from evolr.views.tables import front_table

    rows = [(1, 0.5, parse("epoch")), (3, 0.69, parse("2*epoch")), (30, 0.70, parse("sin(epoch)"))]

    def text(of):
        console = Console(width=100)
        with console.capture() as capture:
            console.print(front_table(of, Metric("accuracy", True)))
        return capture.get()

    (marked,) = (line for line in text(rows).splitlines() if "knee" in line)
    assert "69.00 %" in marked
    assert "knee" not in text(rows[:2])
