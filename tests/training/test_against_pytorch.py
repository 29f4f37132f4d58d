"""The population trainer against the same training in PyTorch, on the real network."""

import numpy as np
import pytest
import torch
from torch import nn

from evolr.training.optimizers import Optimizer
from evolr.training.task import Trial
from evolr.training.trainer import Trainer
from tests.training.tasks import FEEDBACK, MLP


def torch_optimizer(name, parameters):
    return {
        "sgd": lambda: torch.optim.SGD(parameters, lr=1.0),
        "momentum": lambda: torch.optim.SGD(parameters, lr=1.0, momentum=0.9),
        "adam": lambda: torch.optim.Adam(parameters, lr=1.0),
        "adamw": lambda: torch.optim.AdamW(parameters, lr=1.0, weight_decay=1e-4),
    }[name]()


def train_by_hand(schedule, seed, epochs, optimizer_name):
    """The same training in PyTorch float64, one plain loop: what a user's own script would do."""
    layers = MLP.initial(seed)
    model = nn.Sequential(nn.Linear(40, 100), nn.ReLU(), nn.Linear(100, 100), nn.ReLU(), nn.Linear(100, 10)).double()
    with torch.no_grad():
        for linear, (weights, biases) in zip(model[::2], layers, strict=True):
            linear.weight.copy_(torch.tensor(weights.T))
            linear.bias.copy_(torch.tensor(biases))
    monitor = torch.tensor(MLP.monitor.inputs).double(), torch.tensor(MLP.monitor.labels).long()
    criterion = nn.CrossEntropyLoss()
    optimizer = torch_optimizer(optimizer_name, model.parameters())
    with torch.no_grad():
        val_loss = criterion(model(monitor[0]), monitor[1]).item()
    previous = None
    rates, train_losses, val_losses, accuracies = [], [], [], []
    for epoch in range(epochs):
        batches = MLP.batches(seed, epoch)
        losses = []
        for step in range(MLP.steps_per_epoch):
            x, y = torch.tensor(batches.inputs[step]).double(), torch.tensor(batches.labels[step]).long()
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            taken = epoch * MLP.steps_per_epoch + step
            rate = float(
                schedule(
                    epoch=epoch,
                    loss=loss.item() if previous is None else previous,
                    val_loss=val_loss,
                    progress=taken / (epochs * MLP.steps_per_epoch),
                    step=taken,
                )
            )
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
            previous = loss.item()
            losses.append(previous)
            rates.append(rate)
        with torch.no_grad():
            logits = model(monitor[0])
            val_loss = criterion(logits, monitor[1]).item()
            accuracies.append((logits.argmax(1) == monitor[1]).double().mean().item())
        train_losses.append(np.mean(losses))
        val_losses.append(val_loss)
    return rates, train_losses, val_losses, accuracies


@pytest.mark.parametrize("name", ["sgd", "momentum", "adam", "adamw"])
def test_a_training_agrees_with_the_same_training_in_pytorch(name):
    (outcome,) = Trainer(MLP, Optimizer(name=name)).train([Trial(FEEDBACK, 3)], 2, keep_steps=True)
    rates, train_losses, val_losses, accuracies = train_by_hand(FEEDBACK, 3, 2, name)
    np.testing.assert_allclose(outcome.learning_rates, rates, rtol=2e-3)
    np.testing.assert_allclose(outcome.learning_rates[:10], rates[:10], rtol=1e-5)
    np.testing.assert_allclose(outcome.train_loss, train_losses, rtol=2e-4)
    np.testing.assert_allclose(outcome.val_loss, val_losses, rtol=2e-3)
    np.testing.assert_allclose(outcome.val_score, accuracies, atol=0.006)
    np.testing.assert_allclose(outcome.learning_rate, outcome.learning_rates.reshape(2, -1).mean(axis=1), rtol=1e-6)
