from evolr.expression import parse
from evolr.problems import Metric
from evolr.search.individual import Evaluation, Individual, Place
from evolr.study.results import GenerationReport
from evolr.views import progress

LOSS, ACCURACY = Metric("loss", higher_is_better=False), Metric("accuracy", higher_is_better=True)


def report(fitness, score, **changes):
    champion = Evaluation(Individual(Place(1, 0), parse("epoch*2"), "initial"), fitness, score)
    values = {
        "generation": 1,
        "generations": 10,
        "generations_done": 2,
        "best": fitness,
        "median": float("-inf"),
        "champion": champion,
        "trainings": 30,
        "training_seconds": 3.0,
        "seconds": 4.0,
        "seconds_left": 16.0,
    }
    return GenerationReport(**{**values, **changes})


def lines(metric, given, capsys):
    with progress.searching("plain", metric) as search:
        search.finished(given)
    return capsys.readouterr().err


def test_a_generation_is_one_plain_line(capsys):
    line = lines(ACCURACY, report(0.5, 0.5), capsys)
    assert line == (
        "generation 2/10  best 50.00 %  median diverged  10.0 networks/s  about 16 s left  champion 50.00 %  epoch*2\n"
    )


def test_a_loss_is_shown_as_itself_and_not_as_its_fitness(capsys):
    assert "best 0.25  median diverged" in lines(LOSS, report(-0.25, 0.25), capsys)


def test_a_champion_that_diverged_is_named_so(capsys):
    line = lines(LOSS, report(float("-inf"), float("nan")), capsys)
    assert "best diverged" in line
    assert "champion diverged" in line


def test_quiet_is_quiet(capsys):
    with progress.searching("none", LOSS) as search:
        search.finished(report(-0.25, 0.25))
    with progress.comparing("none") as (on_total, on_trained):
        on_total(3)
        on_trained(3)
    with progress.proving("none", pace=2.0) as (on_total, on_done):
        on_total(3)
        on_done(2, 1)
    assert capsys.readouterr().err == ""


def test_what_a_contest_will_take_is_said_before_its_first_training(capsys):
    with progress.proving("plain", pace=2.5) as (on_total, _):
        on_total(1200)
        assert (
            capsys.readouterr().err == "proving: 1,200 trainings at most, about 50 min 00 s at the pace of the search\n"
        )
    with progress.proving("plain") as (on_total, _):
        on_total(1200)
    assert "proving: 1,200 trainings at most\n" in capsys.readouterr().err


def test_a_family_may_have_any_name(capsys):
    """What is tuned stands in the line, and rich would read [/b] as the end of something."""
    with progress.proving("plain", "tuning [/b]") as (on_total, _):
        on_total(12)
    assert capsys.readouterr().err.startswith("tuning [/b]: 12 trainings at most\n")
