import msgspec
import pytest

from evolr import config as configuration
from evolr.config import Config, Search, resolve
from evolr.errors import ConfigError
from evolr.presets import PRESETS
from evolr.problems import External, Mnist1dMlp, Quadratic


def test_the_preset_original_is_the_first_experiment_to_the_letter():
    config = resolve("original")
    assert config.problem == Mnist1dMlp(batch_size=100, pools="original")
    assert (config.search.population, config.search.generations, config.training.epochs) == (20, 10, 10)
    assert config.search.functions == ("add", "sub", "mul", "div", "sin", "cos", "exp", "log")
    assert config.search.terminals == ("epoch", "loss", "val_loss", "constant")
    assert (config.search.transform, config.search.seeds) == ("linear", 1)
    assert config.training.optimizer.name == "adam"
    assert (config.comparison.epochs, config.comparison.base_lr) == (30, 0.001)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_stored_configuration_loads_back_to_itself(preset, tmp_path):
    config = resolve(preset, settings={"seed": 7, "search.constant_range": [-0.1, 2.0]})
    path = tmp_path / "config.toml"
    path.write_bytes(configuration.to_toml(config))
    assert configuration.load(path) == config


def test_settings_come_on_top_of_the_file_and_the_file_on_top_of_the_preset(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("[search]\npopulation = 30\ngenerations = 5\n")
    config = resolve("original", path, {"search.generations": 7})
    assert (config.search.population, config.search.generations, config.problem) == (
        30,
        7,
        Mnist1dMlp(pools="original"),
    )


def test_another_problem_starts_from_its_own_defaults():
    settings = {"problem.name": "quadratic", "training.optimizer.name": "sgd"}
    assert resolve("original", settings=settings).problem == Quadratic()


def test_settings_count_whatever_their_order():
    settings = {"problem.dimension": 10, "problem.name": "quadratic", "training.optimizer.name": "sgd"}
    assert resolve("original", settings=settings).problem == Quadratic(dimension=10)


def test_a_configuration_is_frozen():
    with pytest.raises(AttributeError):
        resolve().seed = 1


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"search.populaton": 3}, "did you mean 'search.population'"),
        ({"serach.population": 3}, "did you mean 'search'"),
        ({"problem.dimension": 3}, "problem.dimension"),
        ({"training.optimizer.nam": "adam"}, "did you mean 'training.optimizer.name'"),
        ({"search.population": "many"}, "search.population: expected int, got str"),
        ({"search.population": 2.5}, "search.population: expected int, got float"),
        ({"search": 3}, "search: expected object, got int"),
        ({"problem": 3}, "problem: expected object, got int"),
        ({"search.population": 0}, "search.population must be at least 1, got 0"),
        ({"search.generations": 0}, "search.generations must be at least 1, got 0"),
        ({"search.tournament": 21}, "at most the population, 20, got 21"),
        ({"search.elites": 21}, "at most the population"),
        ({"search.elites": -1}, "at least 0"),
        ({"search.seeds": 0}, "search.seeds must be at least 1"),
        ({"search.functions": ["add", "sinn"]}, "did you mean 'sin'"),
        ({"search.functions": []}, "at least one function"),
        ({"search.functions": ["add", "add"]}, "twice"),
        ({"search.terminals": ["epoc"]}, "did you mean 'epoch'"),
        ({"search.terminals": []}, "at least one terminal"),
        ({"search.constant_range": [1.0, -1.0]}, "low then high"),
        ({"search.constant_range": [0.0, float("inf")]}, "finite"),
        ({"search.initial_depth": [0, 3]}, "initial_depth"),
        ({"search.initial_depth": [3, 9]}, "initial_depth"),
        ({"search.crossover": 1.5}, "must be a probability"),
        ({"search.crossover": 0.9}, "add up to at most 1"),
        ({"search.min_lr": 2.0}, "min_lr"),
        ({"search.transform": "square"}, "search.transform"),
        ({"training.epochs": 0}, "training.epochs must be at least 1, got 0"),
        ({"training.optimizer.name": "adan"}, "adan"),
        ({"training.optimizer.beta1": 1.0}, "beta1"),
        ({"training.optimizer.epsilon": 0.0}, "epsilon"),
        ({"problem.name": "mnist"}, "unknown problem 'mnist'"),
        ({"problem.batch_size": 0}, "batch_size"),
        ({"problem.name": "quadratic"}, "trains by sgd, got the optimizer 'adam'"),
        ({"comparison.seeds": 0}, "comparison.seeds"),
        ({"comparison.base_lr": 0.0}, "comparison.base_lr"),
        ({"seed": -1}, "seed must be"),
        ({"problem.name": [1]}, "unknown problem"),
        ({"search.constant_range": [-1e308, 1e308]}, "finite"),
        ({"search.max_size": 1_001}, "search.max_size must be at most 1000"),
        ({"search.max_depth": 201}, "search.max_depth must be at most 200"),
        ({"search.max_lr": 1e300}, "1e+38"),
        ({"search": 1, "search.population": 2}, "another value beside it"),
        ({"problem.name": "quadratic", "problem.condition_number": float("inf")}, "both finite"),
        ({"problem.name": "quadratic", "problem.noise": float("inf")}, "both finite"),
    ],
)
def test_a_bad_setting_is_refused_with_what_was_expected(settings, part):
    with pytest.raises(ConfigError) as caught:
        resolve("original", settings=settings)
    assert part in str(caught.value)


def test_the_preset_where_none_is_named_is_memetic():
    assert resolve() == resolve("memetic")
    assert (resolve().search.method, resolve().training.epochs) == ("memetic", 30)


def test_the_presets_are_named_for_what_they_are():
    assert set(PRESETS) == {"original", "memetic", "quadratic", "function"}
    with pytest.raises(ConfigError, match="the preset 'default' is called 'memetic' now: name it so"):
        resolve("default")


def test_an_unknown_preset_is_refused():
    with pytest.raises(ConfigError, match="did you mean 'original'"):
        resolve("orignal")


def test_a_file_that_is_missing_or_no_toml_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot read"):
        resolve(file=tmp_path / "none.toml")
    bad = tmp_path / "bad.toml"
    bad.write_text("search = [")
    with pytest.raises(ConfigError, match="not a TOML file"):
        resolve(file=bad)


def test_every_setting_has_its_meaning_written_down():
    for struct in (Search, configuration.Training, configuration.Comparison, Config, Mnist1dMlp, Quadratic, External):
        for field in msgspec.structs.fields(struct):
            assert field.name in (struct.__doc__ or "") or field.name in (
                "problem",
                "training",
                "search",
                "comparison",
                "optimizer",
            )
