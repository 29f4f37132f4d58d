"""The script before.py with a schedule that evolr evolves for it, beside cosine; some minutes on two cores."""

import math
import sys
from statistics import mean

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import evolr
from evolr.problems.mnist1d_data import published

QUICK = "--quick" in sys.argv
EPOCHS, SEEDS = (2, range(100, 102)) if QUICK else (12, range(100, 110))
torch.set_num_threads(1)  # so small a network is fastest on one core
BATCH, STEPS = 100, 40  # 4,000 samples
SETTINGS = {"search.generations": 1, "search.seed_families": False} if QUICK else {}
RATES = []  # the learning rates of the latest training

(inputs, labels), (val_inputs, val_labels) = (
    (torch.tensor(samples.inputs), torch.tensor(samples.labels).long()) for samples in published()
)


def cosine(progress, **_):
    return 0.005 * (1 + math.cos(math.pi * progress))


def validate(model):
    with torch.no_grad():
        output = model(val_inputs)
        return cross_entropy(output, val_labels).item(), (output.argmax(1) == val_labels).float().mean().item()


def train(schedule, seed, epochs):
    torch.manual_seed(seed)
    RATES.clear()
    model = nn.Sequential(nn.Linear(40, 100), nn.ReLU(), nn.Linear(100, 100), nn.ReLU(), nn.Linear(100, 10))
    optimizer = torch.optim.Adam(model.parameters())
    val_loss, accuracy = validate(model)
    loss = val_loss  # until there is one
    for epoch in range(epochs):
        for number, batch in enumerate(torch.randperm(len(inputs)).split(BATCH)):
            progress = (epoch + number / STEPS) / epochs
            RATES.append(schedule(progress=progress, loss=loss, val_loss=val_loss))
            optimizer.param_groups[0]["lr"] = RATES[-1]
            loss = cross_entropy(model(inputs[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        val_loss, accuracy = validate(model)
    print(f"seed {seed}: validation loss {val_loss:.3f}, accuracy {100 * accuracy:.1f} %")
    return accuracy


if __name__ == "__main__":
    result = evolr.evolve(train, "runs/own_script", epochs=EPOCHS, metric="accuracy", settings=SETTINGS)
    print("champion:", result.schedule.expression)
    for name, schedule in (("cosine", cosine), ("evolved", evolr.TrialSchedule(result.schedule, EPOCHS))):
        scores = [train(schedule, seed, EPOCHS) for seed in SEEDS]
        print(f"{name:8} {100 * mean(scores):.2f} %")
        plt.plot(RATES, label=name)
    plt.xlabel("step")
    plt.ylabel("learning rate")
    plt.legend()
    plt.savefig("own_script.png")
