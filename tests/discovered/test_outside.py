"""What benchmarks/outside.py is made of: its contenders, its tuner, how it counts, and its Prodigy and DoG in PyTorch."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from optax import contrib

from benchmarks import char_transformer as script
from benchmarks import outside
from benchmarks.outside_tables import terminal, with_tables
from evolr.discovered import gallery
from evolr.training.optimizers import Optimizer

BESIDE = ["one-cycle", "WSD", "DoG averaged", "Prodigy"]


@pytest.mark.parametrize(
    ("optimizer", "own", "last"),
    [
        ("momentum", ["momentum-suite", "momentum-norm"], "schedule-free SGD"),
        ("adam", ["adam-mnist1d"], "schedule-free AdamW"),
    ],
)
def test_contenders_are_the_gallerys_best_its_others_and_what_a_user_would_take(optimizer, own, last):
    found = outside.contenders(optimizer)
    names = [each.name for each in found]
    assert names[0] == outside.BEST[optimizer]
    assert [name for name in names if name in gallery] == own  # none that was found on the quadratics
    assert [name for name in names if name not in gallery] == [*BESIDE, last]
    assert all(each.schedule() == each.usual for each in found)
    peaks = [max(each.usual.curve(1, 1000)) for each in found if each.name in ("one-cycle", "WSD")]
    assert peaks == pytest.approx([outside.PEAKS[optimizer]] * 2)


def parabola(best, calls):
    """Scores that are least at a factor of `best`, another one in each unit, and that nobody sees whose pool is another."""

    def train(trials, pool):
        calls.extend((trial.seed, pool) for trial in trials)
        rates = [trial.schedule.at(progress=0.5) / 0.1 for trial in trials]
        units = [trial.seed // outside.LUCKS for trial in trials]
        return [
            math.nan if rate > 50 else (math.log10(rate) - best[unit]) ** 2
            for rate, unit in zip(rates, units, strict=True)
        ]

    return train


def test_each_unit_is_tuned_for_itself_and_judged_by_luck_that_no_tuner_saw():
    plain = outside.contenders("momentum")[0]
    entrant = outside.Contender("flat", plain.optimizer, outside.FAMILIES["constant"].schedule(base=0.1))
    calls: list[tuple[int, str]] = []
    found = outside.judge([entrant], parabola([-1.0, 0.5], calls), 2, judged=3)[entrant]
    assert found.scales == pytest.approx([0.1, 10**0.5])
    assert found.usual == pytest.approx([1.0] * 3 + [0.25] * 3)
    assert found.tuned == pytest.approx([0.0] * 6, abs=1e-9)
    tuned, judged = ([seed for seed, of in calls if of == pool] for pool in ("fitness", "test"))
    assert len(tuned) == 2 * outside.TRAININGS
    assert len(judged) == 2 * 2 * 3
    assert not set(tuned) & set(judged)


def test_what_diverged_or_is_worse_than_untrained_counts_as_untrained():
    assert outside.counted(np.array([0.5, 3.0, np.nan, np.inf]), 2.0).tolist() == [0.5, 2.0, 2.0, 2.0]


def test_rows_compare_the_first_contender_with_each_other_untuned_and_tuned():
    part = outside.Part("a test", ("momentum",), 8, 1, 2.0, is_log=False, train=lambda: lambda trials, pool: [])
    group = outside.contenders("momentum")[:2]
    ours, theirs = np.full(8, 0.5), np.array([0.6, 0.7, 0.8, 0.9, 0.6, 0.7, 0.8, np.nan])
    judged = [outside.Judged(ours, ours, [1.0] * 8), outside.Judged(theirs, ours, [1.0] * 8)]
    table = outside.rows(part, group, dict(zip(group, judged, strict=True)))
    against = {which: table[1][which]["best_against_it"] for which in ("usual", "tuned")}
    assert against["usual"]["relation"] == "better than"
    assert against["usual"]["champion_minus_contender"] == pytest.approx(0.5 - (5.1 + 2.0) / 8)
    assert against["tuned"]["relation"] == "not distinguishable from"
    assert [row["usual"]["failed"] for row in table] == [0, 1]
    document = {"title": "a test", "is_log": True, "contenders": {"momentum": table}}
    shown = terminal(document)
    assert max(map(len, shown.splitlines())) <= 80
    assert "momentum-norm        7.72e+00       1  0.41 (" in shown
    page = with_tables(
        "before\n<!-- outside: written -->\nold\n<!-- end of outside -->\nafter", {"quadratic": document}
    )
    assert "old" not in page
    assert "| momentum-norm | 7.72e+00 |" in page
    assert with_tables(page, {"quadratic": document}) == page


def test_a_part_is_written_beside_the_others(tmp_path):
    path = tmp_path / "outside.json"
    outside.merge("digits", {"units": 1}, path)
    outside.merge("script", {"units": 2}, path)
    outside.merge("digits", {"units": 3}, path)
    assert json.loads(path.read_text()) == {"digits": {"units": 3}, "script": {"units": 2}}


@pytest.mark.parametrize(("name", "reference"), [("prodigy_adam", contrib.prodigy), ("dog", contrib.dog)])
def test_prodigy_and_dog_in_pytorch_step_as_those_of_optax(name, reference):
    rng = np.random.default_rng(0)
    start, target, noise = rng.normal(size=7), rng.normal(size=7), rng.normal(0, 0.1, (60, 7))
    iterates = [start]
    with jax.enable_x64(True):  # the first steps are of 1e-6, which float32 rounds in another way each
        ours, theirs = torch.nn.Parameter(torch.tensor(start)), jnp.asarray(start)
        optimizer, state = script.made_of(Optimizer(name=name), [ours]), reference(1.0).init(theirs)
        for step, shift in enumerate(noise):
            rate = 0.0 if step == 0 and name == "prodigy_adam" else 1.0 - step / 60
            optimizer.param_groups[0]["lr"] = rate
            ours.grad = ours.detach() - torch.tensor(target + shift)
            optimizer.step()
            if rate:
                changes, state = reference(rate).update(theirs - target - shift, state, theirs)
                theirs = optax.apply_updates(theirs, changes)
            np.testing.assert_allclose(ours.detach().numpy(), theirs, rtol=1e-9)
            iterates.append(np.asarray(theirs))
    assert np.linalg.norm(iterates[-1] - start) > 1e-3  # they have gone somewhere, a thousand times the first step
    if name == "dog":
        average = start
        for step, iterate in enumerate(iterates[1:], 1):
            average = average + 9 / (8 + step) * (iterate - average)
        optimizer.take_average()
        np.testing.assert_allclose(ours.detach().numpy(), average, rtol=1e-9)


def test_the_script_has_a_million_weights_and_the_digits_are_a_problem():
    assert script.weights_of(script.Transformer()) >= 1_000_000
    assert outside.digits_problem().task("test").steps_per_epoch == 22
