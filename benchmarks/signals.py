"""What signals cost: a population that reads none of the network, its gradient, or everything, in one run.

    python benchmarks/signals.py

The work is 10 epochs of the mnist1d MLP (batches of 100, momentum) for a population of 20 whose learning rates are the same
tiny constant, so that all arithmetic but the signals' is alike; and a step of a PyTorch network of 10 million parameters with
and without evolr. Rounds alternate; a figure is the median over rounds of a round's ratio. Prints a table and writes
benchmarks/results/signals.json.
"""

from __future__ import annotations

import json
import platform
import statistics
import time
from importlib.metadata import version
from pathlib import Path

ROUNDS, POPULATION, EPOCHS, TORCH_STEPS = 9, 20, 10, 12
RESULTS = Path(__file__).parent / "results" / "signals.json"
FORMULAS = {
    "clock": "0.001 + 0*progress",
    "loss": "0.001 + 0*loss_ema",
    "gradient": "0.001 + 0*grad_norm",
    "all": "0.001 + 0*(grad_norm + grad_norm_ema + grad_norm_rss + update_norm + weight_norm + distance + alignment)",
}


def populations() -> dict[str, list[float]]:
    """Seconds of each round, by formula."""
    from evolr.expression import parse
    from evolr.problems import Mnist1dMlp
    from evolr.schedule import Schedule
    from evolr.training.optimizers import Optimizer
    from evolr.training.task import Trial
    from evolr.training.trainer import Trainer

    trainer = Trainer(Mnist1dMlp().task("fitness"), Optimizer(name="momentum"))
    trials = {name: [Trial(Schedule(expression=parse(text)), 0)] * POPULATION for name, text in FORMULAS.items()}
    seconds: dict[str, list[float]] = {name: [] for name in FORMULAS}
    for turn in range(ROUNDS + 1):
        for name in FORMULAS:
            start = time.perf_counter()
            trainer.train(trials[name], EPOCHS)
            if turn:  # the first compiles
                seconds[name].append(time.perf_counter() - start)
    return seconds


def torch_steps() -> dict[str, list[float]]:
    """Seconds of a round of steps of a network of 10 million parameters, without a scheduler and with ours."""
    import torch
    from torch import nn

    from evolr.expression import parse
    from evolr.schedule import Schedule
    from evolr.torch import ExpressionLR

    torch.set_num_threads(2)

    def training(text: str | None):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(1024, 3072), nn.ReLU(), nn.Linear(3072, 2048), nn.ReLU(), nn.Linear(2048, 256))
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
        inputs, targets = torch.randn(256, 1024), torch.randint(256, (256,))
        rule = None if text is None else Schedule(expression=parse(text))
        scheduler = None if rule is None else ExpressionLR(optimizer, rule, total_steps=10_000, steps_per_epoch=100)

        def step() -> None:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs), targets).backward()
            optimizer.step()
            if scheduler is not None:
                scheduler.step()

        return step

    steps = {
        "none": training(None),
        "clock": training("0.001*(1 - progress)"),
        "gradient": training("1e-4/(1 + grad_norm)"),
        "all": training("1e-4/(1 + grad_norm) + 0*(update_norm + weight_norm + distance + alignment)"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(ROUNDS + 1):
        for name, step in steps.items():
            start = time.perf_counter()
            for _ in range(TORCH_STEPS):
                step()
            if turn:
                seconds[name].append((time.perf_counter() - start) / TORCH_STEPS)
    return seconds


def ratios(seconds: dict[str, list[float]], base: str) -> dict[str, dict[str, float]]:
    """Of each, the median and the range over the rounds of its time over the base's."""
    found = {}
    for name, times in seconds.items():
        each = [own / other for own, other in zip(times, seconds[base], strict=True)]
        found[name] = {
            "ratio": statistics.median(each),
            "least": min(each),
            "greatest": max(each),
            "seconds": statistics.median(times),
        }
    return found


def main() -> None:
    result = {
        "machine": platform.platform(),
        "versions": {name: version(name) for name in ("jax", "torch", "numpy")},
        "population": ratios(populations(), "clock"),
        "torch step, 10 million parameters": ratios(torch_steps(), "none"),
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for what in ("population", "torch step, 10 million parameters"):
        print(what)
        for name, row in result[what].items():
            print(
                f"  {name:10} {row['ratio']:.3f}  ({row['least']:.3f} … {row['greatest']:.3f})  {row['seconds']:.4f} s"
            )


if __name__ == "__main__":
    main()
