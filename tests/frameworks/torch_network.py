"""A small training in PyTorch whose schedule reads the network, and the reference, computed apart."""

import numpy as np
import torch
from torch import nn
from torch.optim import SGD, AdamW

from evolr.expression import parse
from evolr.loop import Loop
from evolr.schedule import Schedule
from evolr.torch import ExpressionLR

STEPS = 12
MAKERS = {
    "sgd": lambda p: SGD(p, lr=0.1, momentum=0.9),
    "adamw": lambda p: AdamW(p, lr=0.1, weight_decay=0.1),
    "fused": lambda p: AdamW(p, lr=0.1, fused=True),
    "groups": lambda p: SGD([{"params": [q], "lr": 0.1 * 2**-k} for k, q in enumerate(p)], momentum=0.5),
}


def schedule(text):
    return Schedule(expression=parse(text))


class Training:
    """A small regression; `told` holds what each step shows, measured by hand in float64."""

    def __init__(self, rule, make=MAKERS["sgd"], **first):
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 1))
        self.optimizer = make(list(self.model.parameters()))
        self.scheduler = ExpressionLR(self.optimizer, rule, total_steps=STEPS, steps_per_epoch=4, **first)
        self.rates, self.told, self.direction = [], [], None
        self.initial = self.weights()

    def weights(self):
        return np.concatenate([p.detach().double().numpy().ravel() for p in self.model.parameters()])

    def ratios(self):
        sizes = [(g["lr"], p.numel()) for g in self.optimizer.param_groups for p in g["params"]]
        return np.concatenate([np.full(n, float(lr)) for lr, n in sizes])

    def run(self, since, until, *, closure=False, clip=None):
        for step in range(since, until):
            torch.manual_seed(100 + step)
            inputs, targets = torch.randn(16, 8), torch.randn(16, 1)
            seen = {}

            def backward(inputs=inputs, targets=targets, seen=seen):
                self.optimizer.zero_grad()
                loss = ((self.model(inputs) - targets) ** 2).mean()
                loss.backward()
                seen["gradient"] = np.concatenate([p.grad.double().numpy().ravel() for p in self.model.parameters()])
                return loss

            if not closure:
                backward()
            if clip:
                self.scheduler.see_gradients()
                nn.utils.clip_grad_norm_(self.model.parameters(), clip)
            before = self.weights()
            self.optimizer.step(backward) if closure else self.optimizer.step()
            self.rates.append(max(float(g["lr"]) for g in self.optimizer.param_groups))
            after, gradient, previous = self.weights(), seen["gradient"], self.direction
            self.direction = (before - after) / self.ratios()
            size = 0 if previous is None else np.linalg.norm(gradient) * np.linalg.norm(previous)
            self.told.append(
                {
                    "grad_norm": np.linalg.norm(gradient),
                    "update_norm": np.linalg.norm(self.direction),
                    "weight_norm": np.linalg.norm(after),
                    "distance": np.linalg.norm(after - self.initial),
                    "alignment": gradient @ previous / size if size else 0.0,
                }
            )
            self.scheduler.step()
        return self

    def reference(self, rule):
        first = {"grad_norm": self.told[0]["grad_norm"], "weight_norm": np.linalg.norm(self.initial)}
        loop = Loop(rule, total_steps=STEPS, steps_per_epoch=4, **first)
        return [loop.learning_rate, *(loop.step(**told) for told in self.told[:-1])]


ALL = schedule("0.01*(distance + 1e-3)/grad_norm_rss*(2 + alignment)*weight_norm/update_norm + 0.001*grad_norm_ema")
