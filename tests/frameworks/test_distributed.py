"""In a distributed training each process tells its own loss, and all of them have one learning rate: two real processes."""

import pytest
import torch

from evolr.errors import ScheduleError
from evolr.expression import parse
from evolr.schedule import Schedule
from evolr.torch import ExpressionLR
from tests.frameworks.ranks import run

TRAINING = """
from torch.nn.parallel import DistributedDataParallel
from evolr import Schedule
from evolr.expression import parse
from evolr.torch import ExpressionLR

STEPS, EPOCH = 24, 6
SCHEDULE = Schedule(expression=parse("0.02*loss/(1 + loss_ema + stale_epochs) + 0.01*val_loss + 0.1*lr"), max_lr=0.05)


class Training:
    def __init__(self):
        torch.manual_seed(0)
        self.model = DistributedDataParallel(torch.nn.Linear(4, 1))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)
        first = {"loss": self.loss(0).item(), "val_loss": self.loss(1000).item()}
        self.scheduler = ExpressionLR(self.optimizer, SCHEDULE, total_steps=STEPS, steps_per_epoch=EPOCH, **first)
        self.done, self.rates, self.told = 0, [], [list(first.values())]

    def loss(self, step):
        generator = torch.Generator().manual_seed(100 * step + rank)
        inputs, targets = torch.randn(8, 4, generator=generator), torch.randn(8, 1, generator=generator)
        return ((self.model(inputs) - targets) ** 2).mean()

    def run(self, steps):
        for _ in range(steps):
            loss = self.loss(self.done)
            self.optimizer.zero_grad()
            loss.backward()
            self.rates.append(self.optimizer.param_groups[0]["lr"])
            self.optimizer.step()
            self.scheduler.step(loss=loss)
            self.done += 1
            self.told.append([loss.item()])
            if self.done % EPOCH == 0:
                with torch.no_grad():
                    val_loss = self.loss(1000)
                self.scheduler.observe(val_loss=val_loss)
                self.told[-1].append(val_loss.item())

    def weights(self):
        return self.model.module.weight.flatten().tolist()

    def state(self):
        return [self.model.state_dict(), self.optimizer.state_dict(), self.scheduler.state_dict(), self.done]

    def load(self, state):
        self.model.load_state_dict(state[0])
        self.optimizer.load_state_dict(state[1])
        self.scheduler.load_state_dict(state[2])
        self.done = state[3]
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """What each rank says of one training, and of those that go on from where it was saved."""
    folder = tmp_path_factory.mktemp("training")
    lines = f"""
whole = Training()
for step in range(STEPS):
    if rank == 0:
        torch.save(whole.state(), f"{folder}/{{step}}.pt")
    whole.run(1)
dist.barrier()
gone_on = []
for step in range(0, STEPS, 5):
    again = Training()
    again.load(torch.load(f"{folder}/{{step}}.pt", weights_only=True))
    again.run(STEPS - step)
    gone_on.append([step, again.rates, again.weights()])
answer(rates=whole.rates, weights=whole.weights(), told=whole.told, gone_on=gone_on)
"""
    return run(TRAINING + lines, folder)


def test_the_replicas_of_a_training_stay_equal_and_follow_the_mean_of_what_they_tell(trained):
    both = trained
    assert both[0]["rates"] == both[1]["rates"]
    assert both[0]["weights"] == both[1]["weights"]
    told = [
        [(a + b) / 2 for a, b in zip(*pair, strict=True)] for pair in zip(*(each["told"] for each in both), strict=True)
    ]
    assert both[0]["told"] != both[1]["told"]
    schedule = Schedule(
        expression=parse("0.02*loss/(1 + loss_ema + stale_epochs) + 0.01*val_loss + 0.1*lr"), max_lr=0.05
    )
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    alone = ExpressionLR(optimizer, schedule, total_steps=24, steps_per_epoch=6, loss=told[0][0], val_loss=told[0][1])
    rates = []
    for loss, *val_loss in told[1:]:
        rates += alone.get_last_lr()
        optimizer.step()
        alone.step(loss=loss)
        for value in val_loss:
            alone.observe(val_loss=value)
    assert both[0]["rates"] == pytest.approx(rates, rel=1e-12)
    assert len(set(rates)) == 24


def test_a_training_goes_on_on_all_ranks_from_what_one_has_saved(trained):
    for rank in trained:
        assert [step for step, *_ in rank["gone_on"]] == [0, 5, 10, 15, 20]
        for step, rates, weights in rank["gone_on"]:
            assert rates == trained[0]["rates"][step:]
            assert weights == trained[0]["weights"]


TOLD = """
from evolr import Schedule
from evolr.expression import parse
from evolr.torch import ExpressionLR

meetings = []
all_reduce = dist.all_reduce
dist.all_reduce = lambda *a, **k: (meetings.append(1), all_reduce(*a, **k))


def scheduler(text, **settings):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
    return ExpressionLR(optimizer, Schedule(expression=parse(text)), total_steps=100, **settings)


def rate(s):
    return s.get_last_lr()[0]

"""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What each rank says of how often they met, and of the rates that came of what they told."""
    return run(TOLD + MEETINGS + VALUES, tmp_path_factory.mktemp("told"))


MEETINGS = """
counts = {}
for name, text, first in (
    ("clock", "0.1*(1 - progress)", {}),
    ("loss", "0.1*loss", {"loss": 1.0}),
    ("validation", "0.1*val_loss", {"val_loss": 1.0}),
    ("both", "0.1*loss*val_loss", {"loss": 1.0, "val_loss": 2.0}),
    ("average", "0.1*loss_ema", {"loss": 1.0}),
    ("gradient", "0.1/(1 + grad_norm)", {}),
):
    meetings.clear()
    s = scheduler(text, **first)
    made = len(meetings)
    parameter = s.optimizer.param_groups[0]["params"][0]
    found = []
    for told in ({"loss": 1.0}, {"val_loss": 1.0}, {"loss": 1.0, "val_loss": 2.0}):
        parameter.grad = torch.ones(1)
        s.optimizer.step()
        before = len(meetings)
        s.step(**{"loss": 1.0, **told} if "loss" in s.observations else told)
        found.append(len(meetings) - before)
    counts[name] = [made, *found]
"""


def test_ranks_meet_once_a_step_and_only_for_what_the_schedule_reads(told):
    zero, one = (each["counts"] for each in told)
    assert zero == one
    assert zero == {
        "clock": [0, 0, 0, 0],
        "loss": [1, 1, 1, 1],
        "validation": [1, 0, 1, 1],
        "both": [1, 1, 1, 1],
        "average": [1, 1, 1, 1],
        "gradient": [0, 0, 0, 0],
    }


VALUES = """
nan = float("nan")
shared = scheduler("0.1*loss", loss=1.0 + rank)
first = rate(shared)
rates = []
for mine in ([3.0, 5.0], [3.0, nan], [nan, 7.0], [torch.tensor(2.0, requires_grad=True), 4], [nan, nan]):
    shared.optimizer.step()
    shared.step(loss=mine[rank])
    rates.append(rate(shared))
own = scheduler("0.1*loss", loss=1.0 + rank, across_ranks="as_told")
own.optimizer.step()
own.step(loss=3.0 + rank)
unread = scheduler("0.1*(1 - progress)", loss=1.0 + rank)
if rank == 0:  # nobody waits for it
    unread.observe(loss=3.0)
answer(counts=counts, first=first, rates=rates, own=rate(own))
"""


def test_a_rank_that_has_no_value_tells_nan_and_one_may_keep_to_its_own(told):
    zero, one = told
    assert zero["first"] == one["first"] == pytest.approx(0.15)
    assert zero["rates"] == one["rates"] == pytest.approx([0.4, 0.3, 0.7, 0.3, 0.0])
    assert (zero["own"], one["own"]) == pytest.approx((0.3, 0.4))


def test_another_word_for_what_ranks_tell_is_refused():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    with pytest.raises(ScheduleError, match="across_ranks is 'mean' or 'as_told', got 'sum'"):
        ExpressionLR(optimizer, Schedule(expression=parse("0.1")), total_steps=4, across_ranks="sum")


LIGHTNING = """
import warnings
warnings.simplefilter("ignore")
import lightning
from evolr import Schedule
from evolr.expression import parse
from evolr.lightning import TellLosses, horizon
from evolr.torch import ExpressionLR

DATA = torch.utils.data.TensorDataset(*(torch.randn(64, n, generator=torch.Generator().manual_seed(n)) for n in (4, 1)))
SCHEDULE = Schedule(expression=parse("0.02*loss/(1 + loss_ema) + 0.01*val_loss"), max_lr=0.05)


class Module(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = torch.nn.Linear(4, 1)
        self.rates, self.losses = [], []

    def training_step(self, batch, _):
        self.rates.append(self.optimizers().param_groups[0]["lr"])
        loss = torch.nn.functional.mse_loss(self.net(batch[0]), batch[1])
        self.losses.append(loss.item())
        return loss

    def validation_step(self, batch, _):
        self.log("val_loss", torch.nn.functional.mse_loss(self.net(batch[0]), batch[1]))

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        scheduler = ExpressionLR(optimizer, SCHEDULE, **horizon(self.trainer), loss=1.0, val_loss=1.0)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def fit(folder, checkpoint=None):
    loader = lambda: torch.utils.data.DataLoader(DATA, batch_size=4)
    every = lightning.pytorch.callbacks.ModelCheckpoint(folder, filename="{epoch}", save_top_k=-1)
    trainer = lightning.Trainer(
        max_epochs=3, accelerator="cpu", devices=2, strategy="ddp", logger=False, default_root_dir=folder,
        enable_progress_bar=False, enable_model_summary=False, callbacks=[TellLosses(), every],
    )
    module = Module()
    trainer.fit(module, loader(), loader(), ckpt_path=checkpoint)
    return module


"""


def test_lightnings_replicas_stay_equal_and_go_on_from_a_checkpoint(tmp_path):
    lines = f"""
whole = fit("{tmp_path}")
again = fit("{tmp_path}/again", "{tmp_path}/epoch=0.ckpt")
answer(
    rates=whole.rates, losses=whole.losses, weights=whole.net.weight.flatten().tolist(),
    again=again.rates, weights_again=again.net.weight.flatten().tolist(),
)
"""
    zero, one = run(LIGHTNING + lines, tmp_path)
    assert zero["losses"] != one["losses"]
    for name in ("rates", "weights", "again", "weights_again"):
        assert zero[name] == one[name], name
    assert len(set(zero["rates"])) == 24
    assert zero["again"] == zero["rates"][8:]
    assert zero["weights_again"] == zero["weights"]


def rates_of(first, losses, evaluated):
    """The learning rates of the steps after the first, in one process, by the means of what the ranks tell."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    schedule = Schedule(expression=parse("0.02*loss/(1 + loss_ema) + 0.01*val_loss"), max_lr=0.05)
    alone = ExpressionLR(optimizer, schedule, total_steps=15, steps_per_epoch=5, loss=first[0], val_loss=first[1])
    rates = []
    for step, loss in enumerate(losses[:-1], start=1):
        optimizer.step()
        alone.step(loss=loss)
        if step % 5 == 0:
            alone.observe(val_loss=evaluated[step // 5 - 1])
        rates += alone.get_last_lr()
    return rates


HUGGINGFACE = """
import warnings
warnings.simplefilter("ignore")
import transformers
from pathlib import Path
from evolr import Schedule
from evolr.expression import parse
from tests.frameworks.test_huggingface import TokenClassifier, Classifier, logged, trainer_of

SCHEDULE = Schedule(expression=parse("0.02*loss/(1 + loss_ema) + 0.01*val_loss"), max_lr=0.05)
"""


MODELS = ("Classifier", "TokenClassifier")


@pytest.fixture(scope="module")
def by_hugging_face(tmp_path_factory):
    """What each rank says of the training of each model."""
    folder = tmp_path_factory.mktemp("hugging face")
    lines = f"""
every = {{"save_strategy": "epoch", "per_device_train_batch_size": 8, "num_train_epochs": 3, "ddp_backend": "gloo"}}
weights = lambda trainer: next(trainer.model.parameters()).flatten().tolist()
found = {{}}
for model in ({", ".join(MODELS)}):
    name = model.__name__
    whole = trainer_of(f"{folder}/{{name}}", SCHEDULE, model=model(), **every)
    whole.train()
    again = trainer_of(f"{folder}/{{name}} again", SCHEDULE, model=model(), **every)
    again.train(resume_from_checkpoint=f"{folder}/{{name}}/checkpoint-5")
    found[name] = dict(
        rates=whole.model.rates, losses=whole.model.losses, weights=weights(whole), logged=logged(whole, "loss"),
        again=again.model.rates, weights_again=weights(again), evaluated=logged(whole, "eval_loss"), first=[
            Classifier().loss_of(0, 16), Classifier().loss_of(1)
        ],
    )
answer(**found)
"""
    return run(HUGGINGFACE + lines, folder)


@pytest.mark.parametrize("model", MODELS)
def test_hugging_faces_replicas_stay_equal_and_go_on_from_a_checkpoint(model, by_hugging_face):
    zero, one = (each[model] for each in by_hugging_face)
    assert zero["losses"] != one["losses"]
    for name in ("rates", "weights", "again", "weights_again"):
        assert zero[name] == one[name], name
    assert len(set(zero["rates"])) == 15
    assert zero["again"] == zero["rates"][5:]
    assert zero["weights_again"] == zero["weights"]
    factor = (
        2 if model == "TokenClassifier" else 1
    )  # Trainer multiplies by the processes what is divided by all their items
    means = [factor * (a + b) / 2 for a, b in zip(zero["losses"], one["losses"], strict=True)]
    assert zero["logged"] == pytest.approx(means, rel=1e-6)
    assert zero["rates"][1:] == pytest.approx(rates_of(zero["first"], means, zero["evaluated"]), rel=1e-6)
