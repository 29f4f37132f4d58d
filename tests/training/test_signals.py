"""The trainer's signals, each shown as a learning rate, against NumPy's own arithmetic on the same training."""

import jax.numpy as jnp
import numpy as np
import pytest

from evolr.expression import parse
from evolr.problems import Quadratic
from evolr.schedule import Schedule
from evolr.signals import SIGNALS, Moment, begun, updated, values
from evolr.signals.signal import FLOATS
from evolr.training.measures import Level, Network, level_of, measured, signals_at
from evolr.training.optimizers import Optimizer
from evolr.training.task import Trial
from evolr.training.trainer import Trainer

PROBLEM = Quadratic(dimension=10, steps_per_epoch=7)
TASK = PROBLEM.task("fitness")
EPOCHS, SEED, DECAY = 3, 4, 0.9
SHOWN = [name for name, signal in SIGNALS.items() if signal.live and name not in ("loss", "val_loss", "lr")]


def trained(text, **settings):
    schedule = Schedule(expression=parse(text), **settings)
    momentum = Optimizer(name="momentum", momentum=DECAY)
    (outcome,) = Trainer(TASK, momentum).train([Trial(schedule, SEED)], EPOCHS, keep_steps=True)
    return outcome


def simulated(rates):
    """What each step tells, by hand, of heavy-ball momentum under these learning rates."""
    eigenvalues, weights, direction = PROBLEM.eigenvalues, np.ones(10), np.zeros(10)
    rows, step = [], 0
    for epoch in range(EPOCHS):
        for noise in TASK.batches(SEED, epoch).astype(float):
            gradient, before = eigenvalues * weights + noise, direction
            loss = 0.5 * eigenvalues @ weights**2 + noise @ weights
            direction = DECAY * direction + gradient
            weights = weights - rates[step] * direction
            size = np.linalg.norm(gradient) * np.linalg.norm(before)
            rows.append(
                {
                    "loss": loss,
                    "grad_norm": np.linalg.norm(gradient),
                    "update_norm": np.linalg.norm(direction) if rates[step] > 0 else np.nan,
                    "alignment": gradient @ before / size if size else 0.0,
                    "weight_norm": np.linalg.norm(weights),
                    "distance": np.linalg.norm(weights - 1),
                    "clean": 0.5 * eigenvalues @ weights**2,
                }
            )
            step += 1
    return rows


def expected(name, rates):
    """The values that a schedule sees, written out from what the signals mean."""
    told = simulated(rates)
    untrained = 0.5 * PROBLEM.eigenvalues.sum()
    loss = np.array([told[0]["loss"], *(row["loss"] for row in told[:-1])])
    norms = np.array([row["grad_norm"] for row in told[:-1]])
    ema, shown = [loss[0]], [np.linalg.norm(told[0]["grad_norm"])]
    for each in loss[1:]:
        ema.append(0.95 * ema[-1] + 0.05 * each)
    for each in norms:
        shown.append(0.95 * shown[-1] + 0.05 * each)
    latest = {key: [row[key] for row in told[:-1]] for key in told[0]}
    if name in ("stale_epochs", "plateaus"):
        ends = [untrained, *(row["clean"] for row in told[6::7])]
        stale = [0, 0, 0 if ends[2] < ends[1] * (1 - 1e-4) else 1]
        return np.repeat(stale if name == "stale_epochs" else [0, 0, 0], 7)
    return np.array(
        {
            "loss_ema": ema,
            "first_loss": [loss[0]] * len(loss),
            "best_loss": np.minimum.accumulate(ema),
            "val_score": np.repeat([untrained, told[6]["clean"], told[13]["clean"]], 7),
            "grad_norm": [told[0]["grad_norm"], *norms],
            "grad_norm_ema": shown,
            "grad_norm_rss": [norms[0], *np.sqrt(np.cumsum(norms**2))],
            "update_norm": [norms[0], *latest["update_norm"]],
            "alignment": [0.0, *latest["alignment"]],
            "weight_norm": [np.sqrt(10), *latest["weight_norm"]],
            "distance": np.maximum.accumulate([1e-6 * (1 + np.sqrt(10)), *latest["distance"]]),
        }[name]
    )


@pytest.mark.parametrize("name", SHOWN)
def test_a_signal_is_what_its_meaning_says(name):
    """alignment may be negative, a learning rate may not: it is shown with an offset."""
    outcome = trained(f"0.01*({name} + 2)")
    shown = outcome.learning_rates.astype(float) / 0.01 - 2
    np.testing.assert_allclose(shown, expected(name, outcome.learning_rates.astype(float)), rtol=2e-4, atol=2e-6)


def test_the_means_of_what_a_schedule_saw_are_kept_with_its_learning_rates():
    outcome = trained("0.01*grad_norm_rss")
    seen = outcome.signals["grad_norm_rss"]
    np.testing.assert_allclose(seen, outcome.learning_rates.reshape(EPOCHS, -1).mean(axis=1) / 0.01, rtol=1e-5)
    assert (outcome.signals["distance"] == 0).all()  # not read, so not measured


def test_a_step_with_learning_rate_0_leaves_the_norm_of_the_update():
    outcome = trained("where(step < 3, 0.01*update_norm, where(step < 4, 0, 0.01*update_norm))")
    shown = outcome.learning_rates
    told = simulated(shown.astype(float))
    assert shown[4] == pytest.approx(0.01 * told[2]["update_norm"], rel=1e-4)


@pytest.mark.parametrize("company", ["0.001*grad_norm", "0.001*distance/grad_norm_rss"])
def test_who_reads_nothing_of_the_network_trains_to_the_same_bits_in_any_company(company):
    mine, others = (Trial(Schedule(expression=parse(text)), SEED) for text in ("0.01*loss_ema", company))
    trainer = Trainer(TASK, Optimizer(name="momentum"))
    (alone,) = trainer.train([mine], EPOCHS, keep_steps=True)
    together = trainer.train([others, mine, others], EPOCHS, keep_steps=True)
    assert np.array_equal(alone.learning_rates, together[1].learning_rates)
    assert np.array_equal(alone.train_loss, together[1].train_loss)
    assert np.array_equal(together[0].train_loss, together[2].train_loss)


def test_only_what_is_read_is_measured():
    assert level_of(["progress", "loss_ema", "val_score", "lr"]) == Level.NOTHING
    assert level_of(["progress", "grad_norm_rss"]) == Level.GRADIENT
    assert level_of(["distance"]) == level_of(["grad_norm", "alignment"]) == Level.EVERYTHING
    assert set(signals_at(Level.EVERYTHING)) == set(SIGNALS)
    assert "grad_norm" not in signals_at(Level.NOTHING)


@pytest.mark.parametrize("name", [name for name, signal in SIGNALS.items() if signal.live])
def test_a_value_that_is_no_number_poisons_no_average(name):
    """After it comes a number again, and the signal is finite again, on floats."""
    row = SIGNALS[name]
    first = {} if row.begins_with is None else {row.begins_with: 1.0}
    moment = Moment(plateau=Schedule(expression=parse("1")).plateau_rule)
    memory = begun([name], first)
    for value in (1.5, float("nan"), float("inf"), 0.5):
        memory = updated(memory, {row.of: value}, moment, FLOATS)
    clean = begun([name], first)
    for value in (1.5, 0.5):
        clean = updated(clean, {row.of: value}, moment, FLOATS)
    assert np.isfinite(values(memory)[name])
    if row.of != "val_loss":  # whose validations without a number count as stale
        assert values(memory)[name] == pytest.approx(values(clean)[name])


@pytest.mark.parametrize("width", [3, 200])
def test_a_network_is_measured_alike_whether_its_arrays_are_joined_or_not(width):
    generator = np.random.default_rng(0)
    sizes = {"a": (width, width), "b": (width,), "c": ()}
    trees = [{k: jnp.asarray(generator.normal(size=s), jnp.float32) for k, s in sizes.items()} for _ in range(5)]
    flat = [np.concatenate([np.ravel(np.asarray(tree[k], float)) for k in sizes]) for tree in trees]
    gradients, directions, weights, initial, before = flat
    expected = {
        "grad_norm": np.linalg.norm(gradients),
        "update_norm": np.linalg.norm(directions),
        "alignment": gradients @ before / np.linalg.norm(gradients) / np.linalg.norm(before),
        "weight_norm": np.linalg.norm(weights),
        "distance": np.linalg.norm(weights - initial),
    }
    found = measured(expected, Network(*trees))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert float(found[name]) == pytest.approx(value, rel=1e-5, abs=1e-6)
    assert measured([], Network()) == {}
