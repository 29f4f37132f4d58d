"""Sequences and chains of schedulers: whose turn it is, and what each makes of the learning rate, against its own arithmetic."""

import copy
import pickle

import pytest
from torch.optim.lr_scheduler import ChainedScheduler, ExponentialLR, LambdaLR, LinearLR, OneCycleLR, SequentialLR

import evolr
from evolr.torch import ExpressionLR
from tests.frameworks.torch_rates import LINE, RATES, STEPS, parameters, sgd, stepped


@pytest.mark.parametrize(
    "second", [lambda o: LambdaLR(o, lambda t: 1 - t / 10), lambda o: ExpressionLR(o, LINE, **STEPS)]
)
def test_a_loss_that_is_told_after_its_turn_in_a_sequence_changes_nothing(second):
    optimizer = sgd(0.1)
    first = ExpressionLR(optimizer, evolr.load("0.1*min(1, loss)"), total_steps=3, steps_per_epoch=3, loss=1.0)
    sequence = SequentialLR(optimizer, [first, second(optimizer)], [3])
    used = []
    for loss in (1.0, 0.5, 0.1, 0.4, 0.1, 0.4, 0.2, 0.9):
        used += stepped(optimizer, sequence)
        first.observe(loss=loss)
    assert used == pytest.approx([0.1, 0.1, 0.05, *RATES[:5]])


@pytest.mark.parametrize("is_first", [True, False])
def test_a_chain_of_a_sequence_and_a_schedule_multiplies_them(is_first):
    optimizer = sgd(0.1)
    warm = LinearLR(optimizer, 0.1, total_iters=3)
    sequence = SequentialLR(optimizer, [warm, ExpressionLR(optimizer, evolr.load("0.1"), **STEPS)], [3])
    parts = [ExpressionLR(optimizer, LINE, **STEPS), sequence]
    chain = ChainedScheduler(parts if is_first else parts[::-1], optimizer=optimizer)
    used = [stepped(optimizer, chain)[0] for _ in range(7)]
    assert used[4:] == pytest.approx(RATES[4:7])


def test_in_a_chain_an_added_group_takes_its_first_step_by_the_schedules():
    optimizer = sgd(0.1)
    rules = [LINE, evolr.load("0.1*(1 - progress/2)")]
    chain = ChainedScheduler([ExpressionLR(optimizer, rule, **STEPS) for rule in rules], optimizer=optimizer)
    for step in range(6):
        if step == 3:
            optimizer.add_param_group({"params": parameters(), "lr": 0.1})
        both = RATES[step] * (1 - step / 20)
        assert stepped(optimizer, chain) == pytest.approx([both] * (1 if step < 3 else 2))


def test_the_state_of_a_chain_s_schedules_goes_on_to_the_bit():
    def made():
        optimizer = sgd(0.1, 0.03, momentum=0.9)
        parts = [
            ExpressionLR(optimizer, LINE, **STEPS),
            LinearLR(optimizer, 0.3, 1.0, 7),
            ExpressionLR(optimizer, evolr.load("0.1*0.9**step"), **STEPS),
        ]
        return optimizer, ChainedScheduler(parts, optimizer=optimizer)

    optimizer, chain = made()
    for _ in range(3):
        stepped(optimizer, chain)
    again, resumed = made()
    resumed.load_state_dict(copy.deepcopy(chain.state_dict()))
    again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for step in range(3, 8):
        used = stepped(again, resumed)
        assert used == stepped(optimizer, chain)
        assert used[0] == pytest.approx(RATES[step] * 0.9**step * min(1.0, 0.3 + 0.1 * step))


def _handed_over(rule="0.05", **horizon):
    """Two schedules in a sequence, of which the second says 0.1·(1 − step/10) from step 3 on."""
    optimizer = sgd(0.1)
    horizon = horizon or STEPS
    parts = [ExpressionLR(optimizer, evolr.load(text), **horizon) for text in (rule, "0.1*(1 - progress)")]
    return optimizer, SequentialLR(optimizer, parts, [3])


SEQUENCE = [0.05] * 3 + RATES[:6]


@pytest.mark.parametrize("at", range(1, 8))
@pytest.mark.parametrize("loads_first", ["optimiser", "scheduler", "copy", "pickle"])
@pytest.mark.parametrize("between", [False, True])
@pytest.mark.filterwarnings("ignore:Seems like .optimizer.step")  # torch's own, of any scheduler that is copied
@pytest.mark.filterwarnings("ignore:Detected call of")  # and of one that begins in a new process
def test_a_sequence_of_two_goes_on_wherever_it_is_left(at, loads_first, between):
    optimizer, sequence = _handed_over()
    for step in range(9):
        if step == at and not between:
            optimizer, sequence = _gone_on(optimizer, sequence, loads_first)
        assert stepped(optimizer) == [pytest.approx(SEQUENCE[step])]
        if step == at and between:
            optimizer, sequence = _gone_on(optimizer, sequence, loads_first)
        sequence.step()


def _gone_on(optimizer, sequence, loads_first):
    if loads_first == "copy":
        return copy.deepcopy((optimizer, sequence))
    if loads_first == "pickle":
        return pickle.loads(pickle.dumps((optimizer, sequence)))  # noqa: S301
    states = copy.deepcopy((optimizer.state_dict(), sequence.state_dict()))
    both = list(zip(_handed_over(), states, strict=True))
    for each, state in both if loads_first == "optimiser" else both[::-1]:
        each.load_state_dict(state)
    return both[0][0], both[1][0]


@pytest.mark.filterwarnings("ignore:Detected call of")  # torch's own, of a first step that is skipped
@pytest.mark.parametrize("skipped", [0, 1, 2, 3])
def test_a_step_that_a_scaler_skips_at_the_milestone_changes_nothing(skipped):
    optimizer, sequence = _handed_over()
    used = []
    for step in range(8):
        used.append(float(optimizer.param_groups[0]["lr"]))
        if step != skipped:
            stepped(optimizer)
        sequence.step()
    assert used == pytest.approx(SEQUENCE[:8])


@pytest.mark.filterwarnings("ignore:the scheduler has interval")
def test_a_sequence_that_is_stepped_once_an_epoch_hands_over():
    optimizer, sequence = _handed_over(total_steps=10, interval="epoch")
    used = []
    for _ in range(8):
        used.append(float(optimizer.param_groups[0]["lr"]))
        for _ in range(4):
            stepped(optimizer)
        sequence.step()
    assert used == pytest.approx(SEQUENCE[:8])


def test_a_chain_of_two_for_a_second_training_multiplies_from_its_first_step_on():
    optimizer = sgd(0.1)
    first = ExpressionLR(optimizer, evolr.load("0.07"), total_steps=5)
    for _ in range(3):
        stepped(optimizer, first)
    parts = [ExpressionLR(optimizer, rule, **STEPS) for rule in (evolr.load("0.05"), LINE)]
    chain = ChainedScheduler(parts, optimizer=optimizer)
    assert [stepped(optimizer, chain)[0] for _ in range(3)] == pytest.approx([rate / 2 for rate in RATES[:3]])


def test_one_cycle_after_it_in_a_sequence_leaves_it_its_rate():
    optimizer = sgd(0.1)
    first = ExpressionLR(optimizer, evolr.load("0.05"), **STEPS)
    sequence = SequentialLR(optimizer, [first, OneCycleLR(optimizer, max_lr=0.1, total_steps=10)], [3])
    assert [stepped(optimizer, sequence)[0] for _ in range(3)] == pytest.approx([0.05] * 3)


def test_a_chain_of_one_and_a_sequence_that_begins_with_a_warm_up_has_that_once():
    optimizer = sgd(0.1)
    first = ExpressionLR(optimizer, LINE, **STEPS)
    parts = [LinearLR(optimizer, 0.5, 1.0, 2), ExpressionLR(optimizer, evolr.load("0.05"), **STEPS)]
    chain = ChainedScheduler([first, SequentialLR(optimizer, parts, [3])], optimizer=optimizer)
    used = [stepped(optimizer, chain)[0] for _ in range(3)]
    assert used == pytest.approx([0.05, 0.0675, 0.08])


def test_one_whose_turn_is_over_leaves_a_state_that_is_loaded_as_it_is():
    optimizer = sgd(0.1)
    first = ExpressionLR(optimizer, evolr.load("0.05"), total_steps=5)
    sequence = SequentialLR(optimizer, [first, ExponentialLR(optimizer, 0.5)], [2])
    for _ in range(3):
        stepped(optimizer, sequence)
    saved = copy.deepcopy(optimizer.state_dict())
    for _ in range(2):
        stepped(optimizer, sequence)
    optimizer.load_state_dict(saved)
    assert float(optimizer.param_groups[0]["lr"]) == saved["param_groups"][0]["lr"] == pytest.approx(0.05)
