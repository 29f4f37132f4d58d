import logging
import warnings

import pytest
import torch
from lightning.pytorch.callbacks import GradientAccumulationScheduler

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its own dependencies
    import lightning
    from lightning.pytorch.callbacks import ModelCheckpoint

from evolr.errors import ScheduleError
from evolr.expression import parse
from evolr.lightning import TellLosses, horizon
from evolr.schedule import Schedule
from evolr.torch import ExpressionLR
from tests.contracts.traces import (
    BATCH,
    CLASSES,
    EPOCHS,
    FEEDBACK,
    INPUTS,
    OPEN_LOOP,
    STEPS,
    Trained,
    check,
    samples,
)
from tests.frameworks.exported import exported

TOTAL = EPOCHS * STEPS
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:lightning.*", "ignore::FutureWarning:lightning.*")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


def loader(seed):
    inputs, labels = samples(seed)
    return torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(torch.from_numpy(inputs), torch.from_numpy(labels)), batch_size=BATCH
    )


class Classifier(lightning.LightningModule):
    """A small classifier that records what happens to it. make: (module, optimizer, first losses) → lr_scheduler."""

    def __init__(self, make):
        super().__init__()
        torch.manual_seed(0)
        self.net = torch.nn.Sequential(torch.nn.Linear(INPUTS, 16), torch.nn.Tanh(), torch.nn.Linear(16, CLASSES))
        self.make = make
        with torch.no_grad():
            self.first = self.loss(next(iter(loader(0)))).item()
            self.trained = Trained(sum(self.loss(batch).item() for batch in loader(1)) / STEPS)

    def loss(self, batch):
        inputs, labels = batch
        return torch.nn.functional.cross_entropy(self.net(inputs), labels)

    def training_step(self, batch, _):
        loss = self.loss(batch)
        self.trained.rates.append(self.optimizers().param_groups[0]["lr"])
        self.trained.losses.append(loss.item())
        return loss

    def validation_step(self, batch, _):
        self.log("val_loss", self.loss(batch))

    def on_validation_epoch_end(self):
        if not self.trainer.sanity_checking:
            self.trained.val_losses.append(self.trainer.callback_metrics["val_loss"].item())

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), lr=0.05)
        scheduler = self.make(self, optimizer, loss=self.first, val_loss=self.trained.first_val_loss)
        return {"optimizer": optimizer, "lr_scheduler": scheduler}


def by_evolr(schedule):
    def make(module, optimizer, **first):
        scheduler = ExpressionLR(optimizer, schedule, **horizon(module.trainer), **first)
        return {"scheduler": scheduler, "interval": "step"}

    return make


def fit(make, callbacks, folder, *, checkpoint=None, **options):
    settings = {"max_epochs": EPOCHS, "accelerator": "cpu", "devices": 1, "logger": False, "default_root_dir": folder}
    settings |= {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False, **options}
    module = Classifier(make)
    trainer = lightning.Trainer(callbacks=callbacks, **settings)
    trainer.fit(module, loader(0), loader(1), ckpt_path=checkpoint)
    return module.trained, trainer


def test_a_real_training_follows_the_reference(tmp_path):
    trained, _ = fit(by_evolr(OPEN_LOOP), [], tmp_path)
    check(OPEN_LOOP, trained)
    trained, _ = fit(by_evolr(FEEDBACK), [TellLosses()], tmp_path)
    check(FEEDBACK, trained)


def test_a_real_training_follows_the_reference_by_the_exported_file(tmp_path):
    for schedule in (OPEN_LOOP, FEEDBACK):
        file = exported(schedule, "lightning", tmp_path)
        told = [] if schedule is OPEN_LOOP else [file.TellLosses()]

        def make(module, optimizer, file=file, **first):
            return file.lr_scheduler(optimizer, module.trainer, **first)

        trained, _ = fit(make, told, tmp_path)
        check(schedule, trained)


def test_a_training_goes_on_from_a_checkpoint_with_the_same_learning_rates(tmp_path):
    every = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=True)
    whole, _ = fit(by_evolr(FEEDBACK), [TellLosses(), every], tmp_path, enable_checkpointing=True)
    for epoch in range(EPOCHS - 1):
        checkpoint = tmp_path / f"epoch={epoch}.ckpt"
        again, _ = fit(by_evolr(FEEDBACK), [TellLosses()], tmp_path, checkpoint=checkpoint)
        assert again.rates == whole.rates[(epoch + 1) * STEPS :]


def test_where_gradients_are_accumulated_the_loss_is_the_mean_over_a_step(tmp_path):
    schedule = Schedule(expression=parse("0.1/(1 + loss)"))
    trained, _ = fit(by_evolr(schedule), [TellLosses()], tmp_path, accumulate_grad_batches=5, max_epochs=3)
    means = [sum(trained.losses[k : k + 5]) / 5 for k in range(0, 15, 5)]
    assert trained.rates[5:15:5] == pytest.approx([0.1 / (1 + mean) for mean in means[:2]], rel=1e-6)


def test_the_last_step_of_an_epoch_may_accumulate_less(tmp_path):
    schedule = Schedule(expression=parse("0.1/(1 + loss)"))
    trained, _ = fit(by_evolr(schedule), [TellLosses()], tmp_path, accumulate_grad_batches=2, max_epochs=2)
    told = [trained.losses[k : k + 2] for k in (0, 2)] + [trained.losses[4:5]]  # of five batches
    expected = [0.1 / (1 + sum(losses) / len(losses)) for losses in told]
    assert [trained.rates[k] for k in (2, 4, 5)] == pytest.approx(expected, rel=1e-6)


def test_a_horizon_is_the_trainers_own(tmp_path):
    seen = []

    def make(module, optimizer, **_):
        seen.append(horizon(module.trainer))
        return torch.optim.lr_scheduler.ConstantLR(optimizer)

    for options in (
        {"max_steps": 12, "max_epochs": -1},
        {"max_epochs": 3},
        {"max_epochs": 3, "accumulate_grad_batches": 2},
    ):
        fit(make, [], tmp_path, **options)
    assert seen == [
        {"total_steps": 12, "steps_per_epoch": 5},
        {"total_steps": 15, "steps_per_epoch": 5},
        {"total_steps": 9, "steps_per_epoch": 3},
    ]


@pytest.mark.parametrize("scheduling", [{0: 2}, {0: 4, 2: 2}])
def test_where_a_callback_changes_the_accumulation_there_is_no_horizon(scheduling, tmp_path):
    callbacks = [TellLosses(), GradientAccumulationScheduler(scheduling)]
    with pytest.raises(ScheduleError, match="give the Trainer accumulate_grad_batches instead"):
        fit(by_evolr(FEEDBACK), callbacks, tmp_path)


def test_a_training_without_an_end_has_no_horizon(tmp_path):
    with pytest.raises(ScheduleError, match="give the Trainer max_epochs or max_steps"):
        fit(by_evolr(FEEDBACK), [TellLosses()], tmp_path, max_epochs=-1)


def test_nobody_to_tell_is_an_error(tmp_path):
    def plain(module, optimizer, **_):
        return torch.optim.lr_scheduler.ConstantLR(optimizer)

    with pytest.raises(ScheduleError, match="found no ExpressionLR"):
        fit(plain, [TellLosses()], tmp_path)


def test_a_scheduler_that_is_stepped_by_epochs_is_an_error(tmp_path):
    def by_epochs(module, optimizer, **first):
        return ExpressionLR(optimizer, FEEDBACK, total_steps=TOTAL, steps_per_epoch=STEPS, **first)

    with pytest.raises(ScheduleError, match='give its lr_scheduler "interval": "step"'):
        fit(by_epochs, [TellLosses()], tmp_path)


def test_a_validation_loss_of_another_name_is_an_error(tmp_path):
    with pytest.raises(ScheduleError, match="logs no 'loss/val'; it logs val_loss"):
        fit(by_evolr(FEEDBACK), [TellLosses("loss/val")], tmp_path)


@pytest.mark.parametrize("kind", ["sequence", "chain"])
def test_it_is_told_the_losses_within_other_schedulers(kind, tmp_path):
    schedule = Schedule(expression=parse("0.01*loss"))

    def make(module, optimizer, loss, val_loss):
        del val_loss
        if kind == "sequence":
            other = torch.optim.lr_scheduler.LinearLR(optimizer, 0.1, total_iters=3)
        else:
            other = torch.optim.lr_scheduler.ConstantLR(optimizer, 0.5, total_iters=10**6)
        ours = ExpressionLR(optimizer, schedule, **horizon(module.trainer), loss=loss)
        if kind == "sequence":
            whole = torch.optim.lr_scheduler.SequentialLR(optimizer, [other, ours], [3])
        else:
            whole = torch.optim.lr_scheduler.ChainedScheduler([other, ours])
        return {"scheduler": whole, "interval": "step"}

    trained, _ = fit(make, [TellLosses()], tmp_path)
    factor = {"sequence": 1.0, "chain": 0.5}[kind]  # a sequence sets the rate back when the next one's turn comes
    assert trained.rates[4:] == pytest.approx([0.01 * factor * loss for loss in trained.losses[3:-1]], rel=1e-6)


@pytest.mark.parametrize("clip", [None, 1e-3])
def test_gradients_are_seen_before_they_are_clipped_and_from_the_first_step_on(clip, tmp_path):
    rule = Schedule(expression=parse("0.01*grad_norm"))
    norms, rates = [], []

    class Norms(lightning.Callback):
        def on_before_optimizer_step(self, trainer, pl_module, optimizer):
            norms.append(torch.nn.utils.get_total_norm([p.grad for p in pl_module.parameters()]).item())

    def make(module, optimizer, **_):
        optimizer.register_step_post_hook(lambda o, *_: rates.append(o.param_groups[0]["lr"]))
        return {"scheduler": ExpressionLR(optimizer, rule, **horizon(module.trainer)), "interval": "step"}

    fit(make, [Norms(), TellLosses()], tmp_path, gradient_clip_val=clip, max_epochs=2)
    assert len(rates) == 2 * STEPS
    assert rates == pytest.approx([0.01 * norm for norm in [norms[0], *norms[:-1]]], rel=1e-5)
