"""Arguments of the public functions that are of another type than expected: a sentence says what was."""

import pytest

import evolr
from evolr.errors import EvolrError
from tests.execution import training_functions as functions

SMALL = {
    "search.population": 2,
    "search.generations": 1,
    "search.youth": 1,
    "search.seeds": 1,
    "search.finalists": 0,
    "training.epochs": 1,
}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: evolr.resolve(settings=[1]), r"settings must map dotted names to values, got \[1\]"),
        (lambda: evolr.resolve(settings={1: 2}), "a setting is named by a text, such as search.population, got 1"),
        (lambda: evolr.resolve(5), "a preset is given by its name, got 5"),
        (lambda: evolr.resolve("memetic", "no.toml"), "cannot read the configuration no.toml"),
        (lambda: evolr.load("0.1", min_lr="a"), "min_lr must be a number, got 'a'"),
        (lambda: evolr.load("0.1", max_lr=True), "max_lr must be a number, got True"),
        (lambda: evolr.load(5), "expected a path, a formula, or a name of the gallery or of a family, got 5"),
        (
            lambda: evolr.tune(functions.descending, "cosine", trainings=4, epochs=3, settings=5),
            "settings must map dotted names to values, got 5",
        ),
        (lambda: evolr.tune(functions.descending, "cosine", trainings=4), "needs the epochs that it is called with"),
        (lambda: evolr.resolve(settings={"comparison.base_lr": "a"}), "comparison.base_lr: expected float, got str"),
    ],
)
def test_an_argument_of_another_type_is_refused_in_words(call, message):
    with pytest.raises(EvolrError, match=message):
        call()


def test_a_learning_rate_that_is_no_number_is_refused_by_compare(tmp_path):
    evolr.evolve(evolr.resolve("quadratic", settings=SMALL), tmp_path / "run")
    with pytest.raises(EvolrError, match=r"comparison\.base_lr must be a positive number, at most 1e\+38, got 'a'"):
        evolr.compare(tmp_path / "run", base_lr="a")


def test_a_file_in_the_place_of_a_directory_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(EvolrError, match=f"cannot create the directory {tmp_path / 'file'}: File exists$"):
        evolr.tune(functions.descending, "cosine", tmp_path / "file", trainings=4, epochs=3)
