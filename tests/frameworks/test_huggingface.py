import logging
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its own dependencies
    import transformers

import evolr
from evolr.errors import ScheduleError
from evolr.expression import parse
from evolr.huggingface import ExpressionCallback, horizon
from evolr.schedule import Schedule
from evolr.torch import ExpressionLR
from tests.contracts.traces import BATCH, CLASSES, EPOCHS, FEEDBACK, INPUTS, OPEN_LOOP, STEPS, Trained, check, samples

TOTAL = EPOCHS * STEPS
BY_LOSS = Schedule(expression=parse("0.1/(1 + loss)"))
logging.getLogger("transformers").setLevel(logging.ERROR)


class Examples(torch.utils.data.Dataset):
    def __init__(self, seed):
        self.inputs, self.labels = (torch.from_numpy(array) for array in samples(seed))

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, k):
        return {"inputs": self.inputs[k], "labels": self.labels[k]}


class Classifier(torch.nn.Module):
    """A small classifier that records what happens to it: learning rates and losses, one a batch of training."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = torch.nn.Sequential(torch.nn.Linear(INPUTS, 16), torch.nn.Tanh(), torch.nn.Linear(16, CLASSES))
        self.optimizer, self.rates, self.losses, self.seen = None, [], [], []

    def forward(self, inputs, labels=None):
        logits = self.net(inputs)
        loss = torch.nn.functional.cross_entropy(logits, labels)
        self.record(loss, labels)
        return {"loss": loss, "logits": logits}

    def record(self, loss, labels):
        if self.training:
            self.rates.append(self.optimizer.param_groups[0]["lr"])
            self.losses.append(loss.item())
            self.seen.append(labels.tolist())

    def loss_of(self, seed, count=None):
        """Of the first examples, as the network is."""
        examples = Examples(seed)
        with torch.no_grad():
            logits = self.net(examples.inputs[:count])
            return torch.nn.functional.cross_entropy(logits, examples.labels[:count]).item()


class TokenClassifier(Classifier):
    """One that takes the number of items in all batches of a step, as Hugging Face's own models do."""

    def forward(self, inputs, labels=None, num_items_in_batch=None, **_):
        logits = self.net(inputs)
        loss = torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
        loss = loss / (len(labels) if num_items_in_batch is None else num_items_in_batch)
        self.record(loss, labels)
        return {"loss": loss, "logits": logits}


def trainer_of(folder, schedule, *, model=None, listens=True, callback=None, kind=transformers.Trainer, **arguments):
    """A trainer under a schedule, set up as the page says. callback: settings of ours."""
    settings = {
        "num_train_epochs": EPOCHS,
        "per_device_train_batch_size": BATCH,
        "per_device_eval_batch_size": STEPS * BATCH,
        "learning_rate": 0.05,
        "train_sampling_strategy": "sequential",
        "eval_strategy": "epoch",
        "save_strategy": "no",
        "logging_steps": 1,
        "use_cpu": True,
        "report_to": [],
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "dataloader_pin_memory": False,
    }
    made = {name: arguments.pop(name) for name in ("compute_loss_func", "eval_dataset") if name in arguments}
    model = model or Classifier()
    trainer = kind(
        model,
        transformers.TrainingArguments(str(folder), **settings | arguments),
        train_dataset=Examples(0),
        **{"eval_dataset": Examples(1), **made},
    )
    model.optimizer = trainer.create_optimizer()
    first = {"loss": model.loss_of(0, BATCH), "val_loss": model.loss_of(1)}
    trainer.lr_scheduler = ExpressionLR(model.optimizer, schedule, **horizon(trainer), **first)
    if listens:
        trainer.add_callback(ExpressionCallback(trainer, **callback or {}))
    return trainer


def logged(trainer, name):
    return [entry[name] for entry in trainer.state.log_history if name in entry]


@pytest.mark.parametrize("schedule", [OPEN_LOOP, FEEDBACK], ids=["open loop", "feedback"])
def test_a_real_training_follows_the_reference(schedule, tmp_path):
    trainer = trainer_of(tmp_path, schedule, listens=schedule is FEEDBACK)
    first = trainer.model.loss_of(1)
    trainer.train()
    check(schedule, Trained(first, trainer.model.rates, trainer.model.losses, logged(trainer, "eval_loss")))
    assert logged(trainer, "learning_rate") == pytest.approx(trainer.model.rates)


@pytest.mark.parametrize(
    ("every", "steps"),
    [
        (
            {"eval_strategy": "steps", "eval_steps": STEPS, "save_strategy": "steps", "save_steps": 3},
            range(3, TOTAL, 3),
        ),
        ({"save_strategy": "epoch"}, [2 * STEPS]),
    ],
    ids=["by steps", "by epochs"],
)
def test_a_training_goes_on_from_a_checkpoint_with_the_same_learning_rates(every, steps, tmp_path):
    whole = trainer_of(tmp_path, FEEDBACK, **every)
    whole.train()
    for step in steps:
        again = trainer_of(tmp_path / "again", FEEDBACK, **every | {"save_strategy": "no"})
        again.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{step}"))
        assert again.model.rates == whole.model.rates[step:]


@pytest.mark.parametrize("model", [Classifier, TokenClassifier])
def test_where_gradients_are_accumulated_it_is_told_the_mean_over_a_step(model, tmp_path):
    trainer = trainer_of(tmp_path, BY_LOSS, model=model(), gradient_accumulation_steps=2, num_train_epochs=2)
    trainer.train()
    losses, rates = trainer.model.losses, trainer.model.rates
    steps = [losses[k : k + 2] for k in (0, 2)] + [losses[4:5]]  # the last of an epoch of five batches
    means = [sum(step) if model is TokenClassifier else sum(step) / len(step) for step in steps]
    assert [rates[k] for k in (2, 4, 5)] == pytest.approx([0.1 / (1 + mean) for mean in means], rel=1e-6)
    assert means == pytest.approx(logged(trainer, "loss")[:3], rel=1e-6)
    assert len(logged(trainer, "loss")) == 6


@pytest.mark.parametrize("accumulated", [1, 2])
def test_it_sees_the_gradient_before_it_is_clipped(accumulated, tmp_path):
    by_gradient = Schedule(expression=parse("0.1/(1 + grad_norm)"))
    trainer = trainer_of(tmp_path, by_gradient, max_grad_norm=0.01, gradient_accumulation_steps=accumulated)
    trainer.train()
    norms = logged(trainer, "grad_norm")
    assert min(norms[:5]) > 0.1  # so it is clipped
    seen = [norms[0], *norms[:-1]]  # the first sets the learning rate of its own step
    assert logged(trainer, "learning_rate") == pytest.approx([0.1 / (1 + norm) for norm in seen], rel=1e-5)


def test_it_is_told_the_loss_that_is_trained_on_whoever_computes_it(tmp_path):
    def compute_loss(outputs, labels, num_items_in_batch):
        return torch.nn.functional.cross_entropy(outputs["logits"], labels, label_smoothing=0.5)

    class Free(Classifier):
        def forward(self, inputs, labels=None):
            if labels is None:  # as Trainer asks if a function computes the loss
                self.rates.append(self.optimizer.param_groups[0]["lr"])
                return {"logits": self.net(inputs)}
            return super().forward(inputs, labels)

    trainer = trainer_of(
        tmp_path, BY_LOSS, model=Free(), compute_loss_func=compute_loss, eval_strategy="no", num_train_epochs=1
    )
    trainer.train()
    assert trainer.model.rates[1:] == pytest.approx(
        [0.1 / (1 + loss) for loss in logged(trainer, "loss")[:-1]], rel=1e-6
    )


def test_where_it_evaluates_at_the_start_that_is_the_first_validation_loss(tmp_path):
    by_validation = Schedule(expression=parse("0.01*val_loss"))
    trainer = trainer_of(tmp_path, by_validation, eval_on_start=True, num_train_epochs=2)
    trainer.lr_scheduler.observe(val_loss=77.0)
    trainer.train()
    evaluated = logged(trainer, "eval_loss")
    assert len(evaluated) == 3
    expected = [0.01 * evaluated[0]] * STEPS + [0.01 * evaluated[1]] * STEPS
    assert trainer.model.rates == pytest.approx(expected)


def test_an_evaluation_outside_of_the_training_is_not_told(tmp_path):
    by_validation = Schedule(expression=parse("0.01*val_loss"))
    trainer = trainer_of(tmp_path, by_validation, num_train_epochs=1)
    before = trainer.lr_scheduler.get_last_lr()
    trainer.evaluate(Examples(2))
    assert trainer.lr_scheduler.get_last_lr() == before
    trainer.train()
    before = trainer.lr_scheduler.get_last_lr()
    trainer.evaluate(Examples(2))
    assert trainer.lr_scheduler.get_last_lr() == before


def test_of_several_sets_it_is_told_the_one_that_is_named(tmp_path):
    by_validation = Schedule(expression=parse("0.01*val_loss"))
    sets = {"other": Examples(2), "held_out": Examples(1)}
    trainer = trainer_of(
        tmp_path, by_validation, eval_dataset=sets, callback={"val_loss": "eval_held_out_loss"}, num_train_epochs=2
    )
    trainer.train()
    assert trainer.model.rates[STEPS] == pytest.approx(0.01 * logged(trainer, "eval_held_out_loss")[0])
    assert logged(trainer, "eval_other_loss")[0] != logged(trainer, "eval_held_out_loss")[0]


def test_a_score_is_told_by_its_name(tmp_path):
    by_score = Schedule(expression=parse("0.01*val_score"))
    trainer = trainer_of(tmp_path, OPEN_LOOP, listens=False, num_train_epochs=2)
    trainer.compute_metrics = lambda predicted: {"accuracy": (predicted[0].argmax(1) == predicted[1]).mean()}
    model = trainer.model
    trainer.lr_scheduler = ExpressionLR(model.optimizer, by_score, **horizon(trainer), val_score=0.25)
    trainer.add_callback(ExpressionCallback(trainer, val_score="eval_accuracy"))
    trainer.train()
    assert model.rates == pytest.approx([0.0025] * STEPS + [0.01 * logged(trainer, "eval_accuracy")[0]] * STEPS)


@pytest.mark.parametrize(
    ("text", "callback", "message"),
    [
        ("0.01*val_loss", {"val_loss": "eval_los"}, "the evaluation logs no 'eval_los'; it logs .*eval_loss"),
        ("0.01*val_score", {}, "reads the validation's score: say its name, val_score=…"),
    ],
)
def test_what_an_evaluation_does_not_log_is_an_error(text, callback, message, tmp_path):
    trainer = trainer_of(tmp_path, OPEN_LOOP, listens=False)
    first = {"val_loss": 1.0} if "val_loss" in text else {"val_score": 1.0}
    trainer.lr_scheduler = ExpressionLR(
        trainer.optimizer, Schedule(expression=parse(text)), **horizon(trainer), **first
    )
    trainer.add_callback(ExpressionCallback(trainer, **callback))
    with pytest.raises(ScheduleError, match=message):
        trainer.train()


def test_nobody_to_tell_is_an_error(tmp_path):
    trainer = trainer_of(tmp_path, OPEN_LOOP)
    trainer.lr_scheduler = None
    with pytest.raises(ScheduleError, match="found no ExpressionLR: give the Trainer optimizers="):
        trainer.train()


def test_another_number_of_steps_is_warned_of(tmp_path):
    trainer = trainer_of(tmp_path, OPEN_LOOP)
    trainer.args.num_train_epochs = EPOCHS - 1
    with pytest.warns(UserWarning, match=r"for total_steps=30, and Trainer takes 25 .*\*\*horizon\(trainer\)"):
        trainer.train()


def test_a_horizon_is_the_trainers_own(tmp_path):
    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter([Examples(0)[k] for k in range(STEPS * BATCH)])

    for arguments, steps_per_epoch in (
        ({}, 5),
        ({"gradient_accumulation_steps": 2}, 3),
        ({"gradient_accumulation_steps": 8, "num_train_epochs": 2}, 1),
        ({"num_train_epochs": 1.5}, 5),
        ({"max_steps": 7}, 5),
    ):
        trainer = trainer_of(tmp_path, OPEN_LOOP, **arguments)
        trainer.train()
        assert trainer.lr_scheduler.horizon == {
            "total_steps": trainer.state.max_steps,
            "steps_per_epoch": steps_per_epoch,
        }
        assert trainer.state.global_step == trainer.state.max_steps
    trainer.train_dataset = Stream()
    assert horizon(trainer) == {"total_steps": 7, "steps_per_epoch": 7}
    trainer.args.max_steps = -1
    with pytest.raises(ScheduleError, match="give the TrainingArguments max_steps"):
        horizon(trainer)


def test_to_ask_for_the_horizon_leaves_the_order_of_the_data_as_it_was(tmp_path):
    orders = []
    for asked in (0, 3):
        trainer = trainer_of(tmp_path, OPEN_LOOP, num_train_epochs=1, train_sampling_strategy="random")
        for _ in range(asked):
            horizon(trainer)
        trainer.train()
        orders.append(trainer.model.seen)
    plain = transformers.Trainer(Classifier(), trainer.args, train_dataset=Examples(0), eval_dataset=Examples(1))
    plain.model.optimizer = plain.create_optimizer()
    plain.train()
    assert orders == [plain.model.seen] * 2
    assert plain.model.seen[0] != Examples(0).labels[:BATCH].tolist()


def test_the_pages_own_lines_run(tmp_path, monkeypatch):
    page = Path(__file__).parents[2] / "docs" / "frameworks" / "huggingface.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)

    def save(text):
        Path("champion.json").write_bytes(Schedule(expression=parse(text)).to_json())

    save("0.01*(1 - progress)/(1 + loss_ema + val_loss)")
    before = trainer_of(tmp_path, OPEN_LOOP)
    names = {"evolr": evolr, "torch": torch, "transformers": transformers, "model": before.model}
    names |= {"arguments": before.args, "data": Examples(0), "held_out": Examples(1)}
    exec(blocks[0], names)  # noqa: S102
    trainer = names["trainer"]
    assert trainer.state.global_step == TOTAL
    assert len(set(logged(trainer, "learning_rate"))) == TOTAL
    save("0.01*(1 - progress)")
    exec(blocks[1], names)  # noqa: S102
    names["trainer"].train()
    assert logged(names["trainer"], "learning_rate") == pytest.approx([0.01 * (1 - k / TOTAL) for k in range(TOTAL)])
    assert np.isfinite(logged(names["trainer"], "loss")).all()
