"""A real script in PyTorch: a transformer of 1.1 million weights that learns to write sentences character by character.

The sentences are those of examples/char_gru.py, in three texts of different random numbers. What is steered is the learning rate,
by evolr's adapter; of Prodigy and DoG it is a factor of the step that they find. Both are written here after optax.contrib's, to
which tests/discovered/test_outside.py holds them.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from evolr.schedule import Schedule
from evolr.torch import ExpressionLR
from evolr.training.optimizers import Optimizer
from examples.char_gru import CHARACTERS, TEST, TRAINING, VALIDATION, loss_of

LENGTH, BATCH = 16, 4  # characters of a piece, pieces of a batch
EPOCHS, STEPS = 10, 20  # STEPS of an epoch, after which the network is validated
WIDTH, HEADS, LAYERS = 208, 8, 2
SIZES = (LENGTH, BATCH, EPOCHS, STEPS, WIDTH, HEADS, LAYERS)  # all by which two versions of this script may differ
_FIRST_ESTIMATE = 1e-6  # of Prodigy and DoG, as published
_AVERAGING = 8.0  # γ of DoG's polynomial-decay average, as its authors' program has it

JUDGED = {"fitness": VALIDATION, "test": TEST}


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first_norm, self.second_norm = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.inward, self.outward = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.feed = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, values: Tensor) -> Tensor:
        count, length, _ = values.shape
        parts = self.inward(self.first_norm(values)).view(count, length, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        seen = scaled_dot_product_attention(*parts.unbind(), is_causal=True)
        values = values + self.outward(seen.transpose(1, 2).flatten(2))
        return values + self.feed(self.second_norm(values))


class Transformer(nn.Module):
    """(batch, length) characters → (batch, length, characters): what comes next at each place."""

    def __init__(self) -> None:
        super().__init__()
        self.characters, self.places = nn.Embedding(len(CHARACTERS), WIDTH), nn.Embedding(LENGTH, WIDTH)
        self.blocks = nn.Sequential(*[Block() for _ in range(LAYERS)])
        self.last = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, len(CHARACTERS)))

    def forward(self, characters: Tensor) -> Tensor:
        return self.last(self.blocks(self.characters(characters) + self.places.weight[: characters.shape[1]]))


def weights_of(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@torch.no_grad()
def loss_on(model: nn.Module, text: Tensor, most: int = 200) -> float:
    """Of the first pieces of a text, at most so many."""
    return loss_of(model, text.unfold(0, LENGTH + 1, LENGTH)[:most]).item()


def train(schedule: Schedule, seed: int, optimizer: Optimizer, pool: str) -> float:
    """The loss after a training, NaN if it diverged; all luck is the seed's."""
    torch.manual_seed(seed)
    model = Transformer()
    made = made_of(optimizer, list(model.parameters()))
    val_loss = loss_on(model, VALIDATION, 40)  # of the untrained network
    horizon = {"total_steps": EPOCHS * STEPS, "steps_per_epoch": STEPS}
    scheduler = ExpressionLR(made, schedule, **horizon, loss=val_loss, val_loss=val_loss)
    for _ in range(EPOCHS):
        for _ in range(STEPS):
            starts = torch.randint(len(TRAINING) - LENGTH, (BATCH, 1))
            loss = loss_of(model, TRAINING[starts + torch.arange(LENGTH + 1)])
            if not loss.isfinite():
                return float("nan")
            made.zero_grad()
            loss.backward()
            made.step()
            scheduler.step(loss=loss)
        if scheduler.reads_validation:
            scheduler.observe(val_loss=loss_on(model, VALIDATION, 40))
    if isinstance(made, DoG):
        made.take_average()
    return loss_on(model, JUDGED[pool])


def made_of(optimizer: Optimizer, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    """An optimiser of PyTorch by evolr's settings."""
    betas = (optimizer.beta1, optimizer.beta2)
    match optimizer.name:
        case "momentum":
            return torch.optim.SGD(parameters, momentum=optimizer.momentum)
        case "adam":
            return torch.optim.Adam(parameters, betas=betas, eps=optimizer.epsilon)
        case "prodigy_adam":
            return Prodigy(parameters, betas, optimizer.epsilon)
        case "dog":
            return DoG(parameters)
        case _:
            raise ValueError(f"this script has momentum, adam, prodigy_adam and dog, got {optimizer.name}")


class _OfOneVector(torch.optim.Optimizer):
    """What looks at all parameters as one vector; `lr` is a factor of the step that it finds."""

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        super().__init__(parameters, {"lr": 1.0})
        self.first = self.vector()

    @property
    def parameters(self) -> list[nn.Parameter]:
        return self.param_groups[0]["params"]

    def vector(self) -> Tensor:
        return nn.utils.parameters_to_vector(self.parameters).detach().clone()

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """A step; none at a learning rate of 0, as in evolr's own trainer."""
        assert closure is None
        if rate := float(self.param_groups[0]["lr"]):
            gradient = nn.utils.parameters_to_vector([parameter.grad for parameter in self.parameters])
            now = self.vector()
            nn.utils.vector_to_parameters(now - self.change(rate, gradient, now), self.parameters)

    def change(self, rate: float, gradient: Tensor, now: Tensor) -> Tensor:
        """What a step subtracts from the parameters."""
        raise NotImplementedError


class Prodigy(_OfOneVector):
    """Mishchenko and Defazio 2023, without weight decay; optax.contrib.prodigy's arithmetic."""

    def __init__(
        self, parameters: Iterable[nn.Parameter], betas: tuple[float, float] = (0.9, 0.999), epsilon: float = 1e-8
    ) -> None:
        super().__init__(parameters)
        self.betas, self.epsilon = betas, epsilon
        self.mean, self.square, self.sum = (torch.zeros_like(self.first) for _ in range(3))
        self.estimate, self.numerator, self.steps = _FIRST_ESTIMATE, 0.0, 0

    def change(self, rate: float, gradient: Tensor, now: Tensor) -> Tensor:
        (beta1, beta2), d = self.betas, self.estimate
        beta3, self.steps = beta2**0.5, self.steps + 1
        step = d * rate * (1 - beta2**self.steps) ** 0.5 / (1 - beta1**self.steps)
        self.mean.lerp_(d * gradient, 1 - beta1)
        self.square.mul_(beta2).addcmul_(gradient, gradient, value=(1 - beta2) * d**2)
        self.sum.mul_(beta3).add_(gradient, alpha=step * d / _FIRST_ESTIMATE)
        gained = torch.dot(gradient, self.first - now).item()
        self.numerator = beta3 * self.numerator + d / _FIRST_ESTIMATE * step * gained
        self.estimate = max(d, self.numerator / self.sum.abs().sum().item())
        return step * self.mean / (self.square.sqrt() + self.estimate * self.epsilon)


class DoG(_OfOneVector):
    """Ivgi, Hinder and Carmon 2023; optax.contrib.dog's arithmetic, and the average by which its authors judge it."""

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        super().__init__(parameters)
        self.distance = _FIRST_ESTIMATE * (1 + self.first.norm().item())
        self.squares, self.steps, self.average = 0.0, 0, self.first.clone()

    def step(self, closure: None = None) -> None:
        super().step(closure)
        self.steps += 1
        self.average.lerp_(self.vector(), (_AVERAGING + 1) / (_AVERAGING + self.steps))

    def change(self, rate: float, gradient: Tensor, now: Tensor) -> Tensor:
        self.distance = max(self.distance, (now - self.first).norm().item())
        self.squares += gradient.square().sum().item()
        return rate * self.distance / (self.squares + 1e-8) ** 0.5 * gradient

    def take_average(self) -> None:
        """Makes the parameters the average of those that there were."""
        nn.utils.vector_to_parameters(self.average, self.parameters)
