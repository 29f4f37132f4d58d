"""What is said of a learning rate is what it does."""

import numpy as np
import pytest

import evolr
from evolr.views.page.sentence import answers, answers_text, course_text

PLACES = np.linspace(0, 1, 401)


def course(formula):
    schedule = evolr.load(formula)
    return course_text(PLACES, np.broadcast_to(schedule(progress=PLACES), PLACES.shape))


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("0.1", "stays near 0.1 for the whole training"),
        ("0", "is 0 for the whole training"),
        ("0.1*(1 - progress)", "falls from 0.1 to nearly 0 over the whole training"),
        ("0.05*(1 + cos(pi*progress))", "falls from 0.1 to nearly 0 over the whole training"),
        ("0.1*exp(-8*progress)", "falls from 0.1 to nearly 0 over the whole training"),
        ("0.1 + 0.1*progress", "rises from 0.1 to 0.2 over the whole training"),
        (
            "0.1*progress/0.5 if progress < 0.5 else 0.1",
            "warms up from nearly 0 to 0.1 in the first 50 %, and stays there until the end",
        ),
        (
            "0.012*min(1, progress/0.12, (1 - progress)/0.3)",
            "warms up from nearly 0 to 0.012 in the first 12 %, stays there until 70 %, and falls to nearly 0 at the end",
        ),
        (
            "0.1 if progress < 0.5 else 0.01",
            "stays near 0.1 until 50 %, falls to 0.01 at 50 %, and stays there until the end",
        ),
        ("0.1 - 0.004*progress", "stays near 0.1 for the whole training"),
        (
            "0.1 + 0.05*sin(100*pi*progress)",
            "stays near 0.1 for the whole training on the average over a tenth of the training, going up and down between 0.05 and 0.15",
        ),
    ],
)
def test_the_course_of_a_curve(formula, words):
    assert course(formula) == words


def test_a_curve_of_one_point_and_one_that_has_no_course_at_all_are_told():
    assert course_text(np.array([0.5]), np.array([0.1])) == "stays near 0.1 for the whole training"
    wild = 0.1 * (1 + np.sign(np.sin(2 * np.pi * 6 * PLACES)) * 0.8)
    said = course_text(PLACES, wild)
    assert said.startswith("goes up and down between 0.02 and 0.18; it begins at ")


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("0.1*(1 - progress)", ""),
        ("0.1/(1 + loss)", "is lower where loss is higher"),
        ("0.1*loss", "is higher where loss is higher"),
        ("0.1*loss/(1 + grad_norm)", "is higher where loss is higher, and is lower where grad_norm is higher"),
        ("0.1 + 0.1*sin(5*loss)", "answers to loss now one way, now the other"),
        ("0.1 + 0*val_loss", "does not move with val_loss at any point that was tried"),
        ("0.1/(1 + loss + val_loss)", "is lower where loss and val_loss are higher"),
        ("0.1*exp(-@temperature)", "is lower where temperature is higher"),
        ("0.1*(2 + alignment)", "is higher where alignment is higher"),
    ],
)
def test_how_a_schedule_answers_to_its_signals(formula, words):
    assert answers_text(answers(evolr.load(formula))) == words


def test_bounds_count_as_no_answer():
    assert answers(evolr.load("100 + loss", max_lr=1.0)) == {"loss": "none"}
