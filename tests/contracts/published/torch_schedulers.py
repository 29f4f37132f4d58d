"""torch.optim.lr_scheduler: the examples of its documentation and the arguments that people give it."""

from __future__ import annotations

from typing import Any, Final

from torch.optim import lr_scheduler as lrs
from torch.optim.swa_utils import SWALR

from tests.contracts.published.case import STEPS_PER_EPOCH, TOTAL_STEPS, Published, from_torch


def _per_iteration(optimizer: Any) -> Any:
    """Warm restarts stepped as its documentation steps it within an epoch: step(epoch + i / iters)."""

    class Stepped:
        scheduler = lrs.CosineAnnealingWarmRestarts(optimizer, T_0=25)
        done = 0

        def step(self) -> None:
            self.done += 1
            self.scheduler.step(self.done // STEPS_PER_EPOCH + self.done % STEPS_PER_EPOCH / STEPS_PER_EPOCH)

    return Stepped()


def _warmed_cosine(optimizer: Any) -> Any:
    """As the reference scripts of torchvision set it: --lr-warmup-epochs 5 --lr-warmup-decay 0.01 cosineannealinglr."""
    warmup = lrs.LinearLR(optimizer, start_factor=0.01, total_iters=5)
    return lrs.SequentialLR(
        optimizer, [warmup, lrs.CosineAnnealingLR(optimizer, T_max=95, eta_min=0.0)], milestones=[5]
    )


def _in_sequence(optimizer: Any) -> Any:
    first = lrs.ConstantLR(optimizer, factor=0.1, total_iters=20)
    return lrs.SequentialLR(optimizer, [first, lrs.ExponentialLR(optimizer, gamma=0.9)], milestones=[20])


def _warmed_steps(optimizer: Any) -> Any:
    warmup = lrs.LinearLR(optimizer, start_factor=0.1, end_factor=1.0, total_iters=50)
    return lrs.SequentialLR(optimizer, [warmup, lrs.StepLR(optimizer, step_size=200, gamma=0.5)], milestones=[50])


def _three_in_sequence(optimizer: Any) -> Any:
    parts = [
        lrs.LinearLR(optimizer, start_factor=1 / 3, total_iters=100),
        lrs.ConstantLR(optimizer, factor=1.0, total_iters=0),
        lrs.LinearLR(optimizer, start_factor=1.0, end_factor=0.0, total_iters=200),
    ]
    return lrs.SequentialLR(optimizer, parts, milestones=[100, 800])


def _chained(optimizer: Any) -> Any:
    parts = [lrs.ConstantLR(optimizer, factor=0.1, total_iters=20), lrs.ExponentialLR(optimizer, gamma=0.9)]
    return lrs.ChainedScheduler(parts)


def _one_cycle(**settings: Any) -> Any:
    return lambda o: lrs.OneCycleLR(o, max_lr=0.01, total_steps=TOTAL_STEPS, cycle_momentum=False, **settings)


def _cyclic(**settings: Any) -> Any:
    return lambda o: lrs.CyclicLR(o, base_lr=0.001, max_lr=0.1, cycle_momentum=False, **settings)


_ONE_CYCLE: Final = {"max_lr": 0.01, "initial_lr": 0.01 / 25, "least": 0.01 / 25 / 1e4}
_TRIANGLE: Final = "max(0, 1 - abs(step/100 - 2*floor(1 + step/(2*100)) + 1))"

CASES: Final = (
    Published(
        "LambdaLR, lambda1", "torch LambdaLR, documentation", "0.05*(epoch // 30)",
        from_torch(lambda o: lrs.LambdaLR(o, lambda epoch: epoch // 30), 0.05, per_epoch=True),
    ),
    Published(
        "LambdaLR, lambda2", "torch LambdaLR, documentation", "0.05 * 0.95 ** epoch",
        from_torch(lambda o: lrs.LambdaLR(o, lambda epoch: 0.95**epoch), 0.05, per_epoch=True),
    ),
    Published(
        "MultiplicativeLR", "torch MultiplicativeLR, documentation",
        "0.05 if step == 0 else lr*0.95 if epoch_progress == 0 else lr",
        from_torch(lambda o: lrs.MultiplicativeLR(o, lambda epoch: 0.95), 0.05, per_epoch=True),
    ),
    Published(
        "StepLR by cases", "torch StepLR, documentation",
        "0.05 if epoch < 30 else 0.005 if epoch < 60 else 0.0005 if epoch < 90 else 0.00005",
        from_torch(lambda o: lrs.StepLR(o, step_size=30, gamma=0.1), 0.05, per_epoch=True),
    ),
    Published(
        "StepLR", "torch StepLR, its closed form", "0.05*0.1**(epoch // 30)",
        from_torch(lambda o: lrs.StepLR(o, step_size=30, gamma=0.1), 0.05, per_epoch=True),
    ),
    Published(
        "StepLR in parts of the training", "torch StepLR, step_size a tenth of it", "0.1*0.7**floor(progress/0.1)",
        from_torch(lambda o: lrs.StepLR(o, step_size=10, gamma=0.7), 0.1, per_epoch=True),
    ),
    Published(
        "StepLR by steps", "torch StepLR, stepped each step", "0.1 * 0.5^floor(step/70)",
        from_torch(lambda o: lrs.StepLR(o, step_size=70, gamma=0.5), 0.1),
    ),
    Published(
        "MultiStepLR", "torch MultiStepLR, documentation", "0.05*0.1**((epoch >= 30) + (epoch >= 80))",
        from_torch(lambda o: lrs.MultiStepLR(o, milestones=[30, 80], gamma=0.1), 0.05, per_epoch=True),
    ),
    Published(
        "MultiStepLR in parts of the training", "torch MultiStepLR",
        "0.05*(1 if progress < 0.3 else 0.1 if progress < 0.7 else 0.01)",
        from_torch(lambda o: lrs.MultiStepLR(o, milestones=[30, 70], gamma=0.1), 0.05, per_epoch=True),
    ),
    Published(
        "ConstantLR", "torch ConstantLR", "0.05*(0.5 if epoch < 40 else 1)",
        from_torch(lambda o: lrs.ConstantLR(o, factor=0.5, total_iters=40), 0.05, per_epoch=True),
    ),
    Published(
        "LinearLR", "torch LinearLR, its closed form",
        "base_lr*(start_factor + (end_factor - start_factor)*min(total_iters, step)/total_iters)",
        from_torch(lambda o: lrs.LinearLR(o, start_factor=1 / 3, end_factor=1.0, total_iters=400), 0.05),
        {"base_lr": 0.05, "start_factor": 1 / 3, "end_factor": 1.0, "total_iters": 400},
    ),
    Published(
        "LinearLR down", "torch LinearLR", "0.1*(1 + (0.01 - 1)*epoch/total_epochs)",
        from_torch(lambda o: lrs.LinearLR(o, start_factor=1.0, end_factor=0.01, total_iters=100), 0.1, per_epoch=True),
    ),
    Published(
        "ExponentialLR", "torch ExponentialLR", "0.1*0.995**step",
        from_torch(lambda o: lrs.ExponentialLR(o, gamma=0.995), 0.1),
    ),
    Published(
        "PolynomialLR past its end", "torch PolynomialLR, its closed form",
        "0.05*(1.0 - min(600, step)/600)**2.0",
        from_torch(lambda o: lrs.PolynomialLR(o, total_iters=600, power=2.0), 0.05),
    ),
    Published(
        "PolynomialLR past its end, unguarded", "torch PolynomialLR: max(0, …)", "0.05*max(0, 1 - step/600)**1.5",
        from_torch(lambda o: lrs.PolynomialLR(o, total_iters=600, power=1.5), 0.05),
    ),
    Published(
        "PolynomialLR, power 0.9", "torch PolynomialLR; Chen et al. 2017 (DeepLab) «poly»",
        "0.01*(1 - step/total_steps)^0.9",
        from_torch(lambda o: lrs.PolynomialLR(o, total_iters=TOTAL_STEPS, power=0.9), 0.01),
    ),
    Published(
        "CosineAnnealingLR", "torch CosineAnnealingLR, documentation",
        "eta_min + (1/2)*(eta_max - eta_min)*(1 + cos(epoch/T_max*pi))",
        from_torch(lambda o: lrs.CosineAnnealingLR(o, T_max=100, eta_min=0.001), 0.1, per_epoch=True),
        {"eta_min": 0.001, "eta_max": 0.1, "T_max": 100},
    ),
    Published(
        "CosineAnnealingLR past its end", "torch CosineAnnealingLR, which rises again",
        "0.001 + (0.1 - 0.001)*(1 + math.cos(math.pi*epoch/40))/2",
        from_torch(lambda o: lrs.CosineAnnealingLR(o, T_max=40, eta_min=0.001), 0.1, per_epoch=True),
    ),
    Published(
        "CosineAnnealingLR by steps", "torch CosineAnnealingLR(T_max=total_steps)",
        "0.5*0.1*(1 + cos(pi*progress))",
        from_torch(lambda o: lrs.CosineAnnealingLR(o, T_max=TOTAL_STEPS), 0.1),
    ),
    Published(
        "CosineAnnealingWarmRestarts", "torch CosineAnnealingWarmRestarts(T_0=25)",
        "1e-4 + (0.1 - 1e-4)*(1 + math.cos(math.pi*(epoch % 25)/25))/2",
        from_torch(lambda o: lrs.CosineAnnealingWarmRestarts(o, T_0=25, eta_min=1e-4), 0.1, per_epoch=True),
    ),
    Published(
        "CosineAnnealingWarmRestarts, T_mult 2", "torch CosineAnnealingWarmRestarts(T_0=10, T_mult=2)",
        "0.1*(1 + cos(pi*(epoch - 10*(2**floor(log2(epoch/10 + 1)) - 1))/(10*2**floor(log2(epoch/10 + 1)))))/2",
        from_torch(lambda o: lrs.CosineAnnealingWarmRestarts(o, T_0=10, T_mult=2), 0.1, per_epoch=True),
    ),
    Published(
        "CosineAnnealingWarmRestarts within epochs", "torch CosineAnnealingWarmRestarts, step(epoch + i / iters)",
        "0.1*(1 + cos(pi*((epoch + epoch_progress) % 25)/25))/2",
        from_torch(_per_iteration, 0.1),
    ),
    Published(
        "OneCycleLR", "torch OneCycleLR, defaults",
        "max_lr + (initial_lr - max_lr)/2*(1 + cos(pi*step/299)) if step <= 299 "
        "else least + (max_lr - least)/2*(1 + cos(pi*(step - 299)/(999 - 299)))",
        from_torch(_one_cycle(), 0.01), _ONE_CYCLE,
    ),
    Published(
        "OneCycleLR, linear", "torch OneCycleLR(anneal_strategy='linear')",
        "(max_lr - initial_lr)*step/299 + initial_lr if step <= 299 "
        "else (least - max_lr)*(step - 299)/700 + max_lr",
        from_torch(_one_cycle(anneal_strategy="linear"), 0.01), _ONE_CYCLE,
    ),
    Published(
        "OneCycleLR, three phases", "torch OneCycleLR(three_phase=True)",
        "max_lr + (initial_lr - max_lr)/2*(1 + cos(pi*step/299)) if step <= 299 "
        "else initial_lr + (max_lr - initial_lr)/2*(1 + cos(pi*(step - 299)/299)) if step <= 598 "
        "else least + (initial_lr - least)/2*(1 + cos(pi*(step - 598)/401))",
        from_torch(_one_cycle(three_phase=True), 0.01), _ONE_CYCLE,
    ),
    Published(
        "CyclicLR, triangular", "torch CyclicLR; Smith 2017, the code of the paper",
        f"0.001 + (0.1 - 0.001)*{_TRIANGLE}",
        from_torch(_cyclic(step_size_up=100, mode="triangular"), 0.001),
    ),
    Published(
        "CyclicLR, triangular2", "torch CyclicLR; Smith 2017, the code of the paper",
        f"0.001 + (0.1 - 0.001)*{_TRIANGLE}/(2**(floor(1 + step/(2*100)) - 1))",
        from_torch(_cyclic(step_size_up=100, mode="triangular2"), 0.001),
    ),
    Published(
        "CyclicLR, exp_range", "torch CyclicLR; Smith 2017, the code of the paper",
        f"0.001 + (0.1 - 0.001)*{_TRIANGLE}*0.999**step",
        from_torch(_cyclic(step_size_up=100, mode="exp_range", gamma=0.999), 0.001),
    ),
    Published(
        "CyclicLR, uneven", "torch CyclicLR(step_size_up=50, step_size_down=150)",
        "0.001 + (0.1 - 0.001)*min(step % 200/50, (200 - step % 200)/150)",
        from_torch(_cyclic(step_size_up=50, step_size_down=150), 0.001),
    ),
    Published(
        "SequentialLR of two", "torch SequentialLR, documentation",
        "0.05*0.1 if epoch < 20 else 0.05*0.9**(epoch - 20)",
        from_torch(_in_sequence, 0.05, per_epoch=True),
    ),
    Published(
        "SequentialLR, warm-up and cosine", "torchvision's reference scripts",
        "0.5*(0.01 + 0.99*epoch/5) if epoch < 5 else 0.5*(1 + cos(pi*(epoch - 5)/(100 - 5)))/2",
        from_torch(_warmed_cosine, 0.5, per_epoch=True),
    ),
    Published(
        "SequentialLR, warm-up and steps", "torch SequentialLR",
        "0.1*(0.1 + 0.9*step/50) if step < 50 else 0.1*0.5**((step - 50) // 200)",
        from_torch(_warmed_steps, 0.1),
    ),
    Published(
        "SequentialLR of three", "torch SequentialLR: warm-up, constant, down to zero",
        "0.3*(1/3 + 2/3*step/100 if step < 100 else 1 if step < 800 else 1 - (step - 800)/200)",
        from_torch(_three_in_sequence, 0.3),
    ),
    Published(
        "ChainedScheduler", "torch ChainedScheduler, documentation", "0.05*(0.1 if epoch < 20 else 1)*0.9**epoch",
        from_torch(_chained, 0.05, per_epoch=True),
    ),
    Published(
        "SWALR", "torch SWALR, documentation: anneal_strategy='linear', anneal_epochs=20, swa_lr=0.05",
        "0.1*(1 - min(1, epoch/20)) + 0.05*min(1, epoch/20)",
        from_torch(lambda o: SWALR(o, 0.05, anneal_epochs=20, anneal_strategy="linear"), 0.1, per_epoch=True),
    ),
)  # fmt: skip
