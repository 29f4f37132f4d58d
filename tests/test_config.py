import msgspec
import pytest

from evolr import config as configuration
from evolr.config import Config, GenerationalSearch, MemeticSearch, resolve
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


def test_what_cannot_be_seen_stands_in_a_stored_configuration_as_its_escape(tmp_path):
    name = "score \u202e\u200b\n\x1b[2J \U000e0041 ä 分数"
    config = resolve("function", settings={"problem.metric_name": name})
    path = tmp_path / "config.toml"
    path.write_bytes(configuration.to_toml(config))
    line = next(line for line in path.read_text().splitlines() if line.startswith("metric_name"))
    assert line.isprintable()
    assert "ä 分数" in line
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
        ({"search.population": 0}, "search.population must be at least 1 and at most 100,000, got 0"),
        ({"search.generations": 0}, "search.generations must be at least 1 and at most 1,000,000, got 0"),
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
        ({"training.epochs": 0}, "training.epochs must be at least 1 and at most 1,000,000, got 0"),
        ({"training.optimizer.name": "adan"}, "training.optimizer.name: unknown optimizer 'adan'; did you mean 'adam'"),
        ({"training.optimizer.beta1": 1.0}, "beta1"),
        ({"training.optimizer.epsilon": 0.0}, "epsilon"),
        ({"training.optimizer.epsilon": float("inf")}, "epsilon must be above 0 and at most 1e+30, got inf"),
        ({"training.optimizer.weight_decay": float("inf")}, "weight_decay must be from 0 to 1e+30, got inf"),
        ({"search.transform": "cubic"}, "search.transform: invalid enum value 'cubic'; it is one of 'linear', 'log'"),
        ({"problem.name": "mnist"}, "unknown problem 'mnist'"),
        ({"problem.batch_size": 0}, "batch_size"),
        ({"problem.name": "quadratic"}, "trains by sgd, got the optimizer 'adam'"),
        ({"comparison.seeds": 0}, "comparison.seeds"),
        ({"comparison.base_lr": 0.0}, "comparison.base_lr"),
        ({"seed": -1}, "seed must be"),
        ({"problem.name": [1]}, "unknown problem"),
        ({"search.constant_range": [-1e308, 1e308]}, "finite"),
        ({"search.max_size": 1_001}, "search.max_size must be at least 1 and at most 1,000, got 1,001"),
        ({"search.max_depth": 201}, "search.max_depth must be at least 1 and at most 200, got 201"),
        ({"search.max_lr": 1e300}, "1e+38"),
        ({"search": 1, "search.population": 2}, "another value beside it"),
        ({"problem.name": "quadratic", "problem.condition_number": float("inf")}, "a number from 1 to 1e+30, got inf"),
        ({"problem.name": "quadratic", "problem.noise": float("inf")}, "a number from 0 to 1e+30, got inf"),
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
    assert set(PRESETS) == {"original", "memetic", "suite", "mixed", "quadratic", "function"}
    with pytest.raises(ConfigError, match="the preset 'default' is called 'memetic' now: name it so"):
        resolve("default")


OF_ANOTHER_METHOD = [
    (
        "memetic",
        {"tournament": 3},
        "search.tournament is a setting of the generational method, and this search is memetic",
    ),
    ("memetic", {"elites": 1}, "search.elites is a setting of the generational method, and this search is memetic"),
    ("original", {"samples": 8}, "search.samples is a setting of the memetic method, and this search is generational"),
    ("original", {"children": 8}, "search.children is a setting of the memetic method"),
    ("original", {"youth": 4}, "search.youth is a setting of the memetic method"),
    ("original", {"seed_families": True}, "search.seed_families is a setting of the memetic method"),
    ("original", {"random_structures": 8}, "search.random_structures is a setting of the memetic method"),
    ("memetic", {"method": "generational", "youth": 2}, "search.youth is a setting of the memetic method"),
]


@pytest.mark.parametrize(("preset", "search", "message"), OF_ANOTHER_METHOD)
def test_a_setting_of_another_method_is_refused_by_name(preset, search, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        resolve(preset, settings={"search": search})
    path = tmp_path / "mine.toml"
    path.write_bytes(msgspec.toml.encode({"search": search}))
    with pytest.raises(ConfigError, match=message):
        resolve(preset, path)
    with pytest.raises(ConfigError, match=message):
        configuration.changed(resolve(preset), {f"search.{name}": value for name, value in search.items()})


def test_each_method_has_its_own_settings_alone():
    with pytest.raises(TypeError, match="tournament"):
        MemeticSearch(population=8, tournament=3)
    with pytest.raises(TypeError, match="samples"):
        GenerationalSearch(samples=4)
    assert not {"samples", "children", "youth"} & set(msgspec.to_builtins(GenerationalSearch()))
    assert not {"tournament", "elites"} & set(msgspec.to_builtins(MemeticSearch()))


def test_a_misspelt_setting_of_another_method_is_recognised():
    with pytest.raises(ConfigError, match=r"did you mean 'search\.tournament'"):
        resolve("memetic", settings={"search.tournamnt": 3})


def test_another_method_keeps_the_settings_that_both_have():
    memetic = resolve("memetic")
    changed = configuration.changed(memetic, {"search.method": "generational"}).search
    assert isinstance(changed, GenerationalSearch)
    shared = set(msgspec.structs.asdict(changed)) & set(msgspec.structs.asdict(memetic.search))
    assert {"population", "functions", "transform", "crossover", "finalists"} <= shared
    assert all(getattr(changed, name) == getattr(memetic.search, name) for name in shared)
    assert (changed.tournament, changed.elites) == (GenerationalSearch().tournament, GenerationalSearch().elites)


def test_two_methods_differ_by_their_name_and_what_both_have():
    memetic, original = resolve("memetic"), resolve("original")
    found = configuration.differences(memetic, original)
    assert found["search.method"] == ("memetic", "generational")
    assert found["search.population"] == (8, 20)
    assert not {"search.samples", "search.elites"} & set(found)


OLDER = """
[search]
method = "memetic"
population = 6
tournament = 5
elites = 2
samples = 4
children = 3
youth = 2
seed_families = true
random_structures = 2
"""
"""As evolr stored it while one struct held the settings of both methods."""


def test_a_file_that_an_earlier_version_stored_is_read(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(OLDER)
    for config in (configuration.load(path), resolve("memetic", path)):
        search = config.search
        assert isinstance(search, MemeticSearch)
        assert (search.population, search.samples, search.youth) == (6, 4, 2)
    path.write_text(OLDER.replace('"memetic"', '"generational"'))
    for config in (configuration.load(path), resolve("original", path)):
        assert isinstance(config.search, GenerationalSearch)
        assert (config.search.population, config.search.tournament, config.search.elites) == (6, 5, 2)


def test_a_file_of_the_first_version_which_names_no_method_is_a_generational_search(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text("[search]\npopulation = 6\ntournament = 5\n")
    assert configuration.load(path).search == GenerationalSearch(population=6, tournament=5)


def test_a_person_s_file_is_held_to_the_settings_of_its_method(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(OLDER.replace("random_structures = 2\n", ""))
    with pytest.raises(ConfigError, match=r"search\.tournament is a setting of the generational method"):
        resolve("memetic", path)


def test_what_names_no_method_and_no_problem_is_refused_in_words():
    with pytest.raises(ConfigError, match=r"search\.method is not given; it is one of generational, memetic"):
        configuration.from_data({"search": {"population": 3}})
    with pytest.raises(ConfigError, match=r"problem\.name is not given; it is one of mnist1d-mlp, "):
        configuration.from_data({"problem": {"batch_size": 3}})


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
    structs = (GenerationalSearch, MemeticSearch, configuration.Training, configuration.Comparison, Config)
    for struct in (*structs, Mnist1dMlp, Quadratic, External):
        meanings = "".join(base.__doc__ or "" for base in struct.__mro__ if base.__module__.startswith("evolr."))
        for field in msgspec.structs.fields(struct):
            assert field.name in meanings or field.name in (
                "problem",
                "training",
                "search",
                "comparison",
                "optimizer",
            )
