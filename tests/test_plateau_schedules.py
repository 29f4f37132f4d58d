"""ReduceLROnPlateau with all its arguments, wherever a schedule is served."""

import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import evolr.optax
from evolr import standard
from evolr.errors import ScheduleError
from evolr.execution.trial_schedule import TrialSchedule
from evolr.expression import parse
from evolr.loop import Loop, follow
from evolr.schedule import Schedule
from evolr.signals.plateau import Plateau, read_plateau
from evolr.training.optimizers import Optimizer
from evolr.training.task import Task, Trial
from evolr.training.trainer import Trainer
from tests.contracts.validations import BASE, CASES, EPOCHS, FACTOR, SETTINGS, TRACES, torch_plateaus, torch_rates
from tests.frameworks.exported import exported

COUNT = parse("plateaus")
SOME = [settings for number, settings in enumerate(SETTINGS) if number % 7 == 0]
IDS = [Plateau(**settings).text for settings in SOME]


def counting(settings, text="plateaus"):
    return Schedule(expression=parse(text), plateau=Plateau(**settings))


def observed(loop, values, steps=1):
    """The learning rate of each epoch's first step in a loop that is told these values."""
    rates = []
    for value in values:
        rates.append(loop.learning_rate)
        for _ in range(steps):
            loop.step()
        loop.observe(val_loss=value)
    return rates


def test_there_are_plateaus_to_count():
    counts = {(name, str(settings)): max(torch_plateaus(TRACES[name], **settings)) for name, settings in CASES}
    assert len(CASES) > 300
    assert len(set(counts.values())) > 20
    for name in TRACES:
        assert max(count for (trace, _), count in counts.items() if trace == name) > 3


@pytest.mark.parametrize("trace", TRACES)
def test_a_loop_counts_plateaus_as_torch_does(trace):
    for name, settings in CASES:
        if name == trace:
            loop = Loop(counting(settings), total_steps=3 * EPOCHS + 1, steps_per_epoch=3)
            assert observed(loop, TRACES[name], 3) == torch_plateaus(TRACES[name], **settings), settings


@pytest.mark.parametrize("trace", ["falling with noise", "accuracy", "better within the cooldown"])
def test_reduce_on_plateau_takes_torchs_arguments(trace):
    for factor, min_lr, eps, settings in itertools.product(
        (0.0, 0.1, 0.5, 0.95), (0, 1e-3, 0.03, 0.1, 0.5), (0, 1e-8, 0.01, 1.0), SETTINGS[::5]
    ):
        arguments = {"factor": factor, "min_lr": min_lr, "eps": eps, **settings}
        schedule = standard.reduce_on_plateau(BASE, **arguments)
        found = follow(schedule, [1.0] * EPOCHS, [9.0, *TRACES[trace]], steps_per_epoch=1)
        assert found == pytest.approx(torch_rates(TRACES[trace], **arguments), rel=1e-12, abs=1e-300), arguments


def test_the_defaults_are_torchs():
    schedule = standard.reduce_on_plateau(BASE)
    values = [1.0] * 200
    found = follow(schedule, values, [9.0, *values], steps_per_epoch=1)
    assert found == pytest.approx(torch_rates(values, factor=0.1), rel=1e-12)
    assert len(set(found)) == 8  # the reduction below 1e-8 is none


def test_an_improvement_within_the_cooldown_ends_nothing_early():
    for values in ([1.0] * 14, [1.0] * 5 + [0.9] * 9):
        schedule = standard.reduce_on_plateau(BASE, patience=2, cooldown=3)
        found = follow(schedule, [1.0] * 15, [9.0, *values], steps_per_epoch=1)
        assert found == pytest.approx(torch_rates([*values, 0.0], factor=0.1, patience=2, cooldown=3))


def test_a_relative_threshold_is_of_a_negative_bests_magnitude():
    """Torch takes an equal loss below 0 for an improvement."""
    values = [-1.0] * 20
    found = observed(Loop(counting({"patience": 3}), total_steps=30, steps_per_epoch=1), values)
    assert found == [max(k, 0) // 4 for k in range(-1, 19)]
    assert set(torch_plateaus(values, patience=3)) == {0}


def test_a_loop_goes_on_from_its_state_within_a_cooldown():
    schedule, values = counting({"patience": 1, "cooldown": 4}), TRACES["level with noise"]
    whole = observed(Loop(schedule, total_steps=99, steps_per_epoch=1), values)
    assert max(whole) > 3
    for epoch in range(1, EPOCHS):
        before = Loop(schedule, total_steps=99, steps_per_epoch=1)
        observed(before, values[:epoch])
        after = Loop(schedule, total_steps=99, steps_per_epoch=1)
        after.load_state_dict(json.loads(json.dumps(before.state_dict())))
        assert observed(after, values[epoch:]) == whole[epoch:]


def test_epochs_without_a_validation_count_with_the_next():
    loop = Loop(counting({"patience": 3}), total_steps=99, steps_per_epoch=1)
    counts = []
    for step in range(1, 14):
        loop.step(val_loss=1.0 if step % 3 == 1 else None)
        counts.append(loop.learning_rate)
    assert counts == [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 2]


def test_a_schedule_of_a_study_keeps_its_plateau():
    given = TrialSchedule(counting({"patience": 0}), epochs=9)
    assert observed(Loop(given, total_steps=9, steps_per_epoch=1), [1.0] * 4) == [0, 0, 1, 2]


# --- the trainer ------------------------------------------------------------------------------------------------------

FINITE = [name for name in TRACES if name != "once no number"]


def told(parameters, _):
    """The next value of the trace that the parameters hold; each step moves their clock on by a little more than 1."""
    clock, trace = parameters
    return trace[jnp.floor(clock).astype(int) - 1], 0.0


RECORDED = Task(
    steps_per_epoch=1,
    initial=lambda seed: (np.float32(0), np.asarray(TRACES[FINITE[seed]], np.float32)),
    batches=lambda seed, epoch: np.zeros((1, 1), np.float32),
    loss=lambda parameters, batch: batch.sum() - parameters[0],
    evaluate=told,
    monitor=np.zeros(1, np.float32),
)


def test_the_trainer_counts_plateaus_as_torch_does():
    cases = [(name, settings) for name, settings in CASES if name in FINITE]
    trials = [Trial(counting(settings, "1 + 0.0002*plateaus"), FINITE.index(name)) for name, settings in cases]
    outcomes = Trainer(RECORDED, Optimizer(name="sgd")).train(trials, EPOCHS, keep_steps=True)
    for (name, settings), outcome in zip(cases, outcomes, strict=True):
        np.testing.assert_array_equal(outcome.val_loss, np.asarray(TRACES[name], np.float32))
        counts = np.rint((outcome.learning_rates.astype(float) - 1) / 0.0002)
        assert counts.tolist() == torch_plateaus(TRACES[name], **settings), (name, settings)


# --- Optax, and exported files ----------------------------------------------------------------------------------------


def optax_counts(transformation, traces):
    """The learning rate of each epoch, for each trace; (traces, epochs)."""

    def step(state, value):
        _, state = transformation.update(jnp.ones(1), state, val_loss=value)
        return state, state.learning_rate

    def train(values):
        return jax.lax.scan(step, transformation.init(jnp.ones(1)), values)[1]

    return jax.jit(jax.vmap(train))(jnp.asarray(traces, jnp.float32)).tolist()


@pytest.mark.parametrize("settings", SOME, ids=IDS)
def test_optax_counts_plateaus_as_torch_does(settings, tmp_path):
    names = [name for name, given in CASES if given == settings]
    schedule, horizon = counting(settings), {"total_steps": EPOCHS, "steps_per_epoch": 1}
    expected = [torch_plateaus(TRACES[name], **settings) for name in names]
    traces = [[9.0, *TRACES[name]][:EPOCHS] for name in names]
    assert optax_counts(evolr.optax.scale_by_expression(schedule, **horizon), traces) == expected
    file = exported(schedule, "optax", tmp_path)
    assert optax_counts(file.scale_by_champion(**horizon), traces) == expected


@pytest.mark.parametrize("settings", SOME, ids=IDS)
def test_exported_files_count_plateaus_as_torch_does(settings, tmp_path):
    python, file = (exported(counting(settings), target, tmp_path) for target in ("python", "torch"))
    for values in [TRACES[name] for name, given in CASES if given == settings]:
        expected = torch_plateaus(values, **settings)
        counts, rates = python.PlateauCounts(*python.FIRST), []
        for value in values:
            rates.append(python.learning_rate(plateaus=counts.plateaus))
            counts = python.validated(counts, value, 1, python.PLATEAU)
        assert rates == expected
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=BASE)
        scheduler = file.scheduler(optimizer, total_steps=EPOCHS, steps_per_epoch=1)
        rates = []
        for value in values:
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step(val_loss=value)
        assert rates == expected


# --- settings, documents ----------------------------------------------------------------------------------------------


def test_a_document_holds_the_plateau():
    schedule = standard.reduce_on_plateau(0.3, mode="max", threshold=0.5, threshold_mode="abs", cooldown=7)
    document = schedule.to_json()
    assert Schedule.from_json(document) == schedule
    assert json.loads(document)["plateau"] == {
        "patience": 10,
        "threshold": 0.5,
        "threshold_mode": "abs",
        "mode": "max",
        "cooldown": 7,
    }


def test_a_document_without_a_plateau_is_read_as_before():
    schedule = Schedule(expression=parse("0.1/(1 + stale_epochs)"))
    document = json.loads(schedule.to_json())
    assert "plateau" not in document
    assert Schedule.from_json(json.dumps(document)) == schedule


@pytest.mark.parametrize(
    ("plateau", "message"),
    [
        ({"patience": 3, "patients": 3}, "patients"),
        ({"patience": 1.5}, "patience"),
        ({"patience": -1}, "patience is a whole number of epochs"),
        ({"mode": "least"}, "least"),
        ({"threshold": 2.0}, "below 1 if it is relative"),
        (3, "plateau"),
    ],
)
def test_a_document_with_another_plateau_is_refused(plateau, message):
    document = json.loads(Schedule(expression=COUNT).to_json()) | {"plateau": plateau}
    with pytest.raises(ScheduleError, match=message):
        Schedule.from_json(json.dumps(document))


@pytest.mark.parametrize(
    "settings",
    [
        {"patience": -1},
        {"patience": 2.0},
        {"patience": True},
        {"patience": 10**10},
        {"cooldown": -1},
        {"cooldown": "3"},
        {"threshold": -0.1},
        {"threshold": float("nan")},
        {"threshold": float("inf")},
        {"threshold": 10**400, "threshold_mode": "abs"},
        {"threshold": 1.0},
        {"threshold": "0.1"},
        {"mode": "least"},
        {"threshold_mode": "relative"},
        {"mode": None},
    ],
)
def test_settings_out_of_their_ranges_are_refused(settings):
    with pytest.raises(ScheduleError, match=next(iter(settings))):
        Plateau(**settings)


def test_what_is_no_plateau_is_refused():
    with pytest.raises(ScheduleError, match=r"evolr\.schedule\.Plateau or None, got 'patience=3'"):
        Schedule(expression=COUNT, plateau="patience=3")


def test_settings_are_read_from_a_text():
    assert read_plateau("patience=3") == Plateau(patience=3)
    given = Plateau(patience=3, cooldown=2, threshold=0.5, threshold_mode="abs", mode="max")
    assert read_plateau(" patience = 3, cooldown=2,threshold=0.5,threshold_mode=abs,mode=max") == given
    assert read_plateau(given.text) == given


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "said as patience=3,cooldown=2"),
        ("3", "said as patience=3"),
        ("patience=3,", "said as patience=3"),
        ("patients=3", "did you mean 'patience'"),
        ("patience=3,patience=4", "one patience, got two"),
        ("patience=much", "a plateau's patience is a whole number, got 'much'"),
        ("patience=-1", "patience is a whole number"),
        ("mode=least", "a plateau's mode is min or max, got 'least'"),
        ("mode=\udcff", "no plateau"),
        ("mode=" + "x" * 5_000, "a plateau's mode is min or max, got 'x{40}…'"),
        ("threshold=7", "below 1"),
    ],
)
def test_other_texts_are_refused(text, message):
    with pytest.raises(ScheduleError, match=message):
        read_plateau(text)


@pytest.mark.parametrize(
    "arguments", [{"factor": 1.0}, {"factor": -0.1}, {"min_lr": -1.0}, {"eps": -1.0}, {"patience": -1}]
)
def test_arguments_that_torch_refuses_or_that_mean_nothing_are_refused(arguments):
    with pytest.raises(ScheduleError):
        standard.reduce_on_plateau(0.1, **arguments)


def test_the_family_has_torchs_other_arguments_as_fixed_constants():
    family = standard.FAMILIES["reduce on plateau"]
    assert [constant.name for constant in family.constants] == ["base", "factor", "patience"]
    made = family.schedule(base=BASE, factor=FACTOR, patience=2, cooldown=3, threshold=0.05, min_lr=0.03)
    assert made == standard.reduce_on_plateau(BASE, factor=FACTOR, patience=2, cooldown=3, threshold=0.05, min_lr=0.03)
    with pytest.raises(ScheduleError, match="did you mean 'cooldown'"):
        family.schedule(cool_down=3)
