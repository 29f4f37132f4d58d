"""An ordinary PyTorch script: a small network on mnist1d, trained by Adam under a cosine schedule."""

import math
import sys
from statistics import mean

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from evolr.problems.mnist1d_data import published

QUICK = "--quick" in sys.argv
EPOCHS, SEEDS = (2, range(100, 102)) if QUICK else (12, range(100, 110))
torch.set_num_threads(1)  # so small a network is fastest on one core
BATCH, STEPS = 100, 40  # 4,000 samples
RATES = []  # the learning rates of the latest training

(inputs, labels), (val_inputs, val_labels) = (
    (torch.tensor(samples.inputs), torch.tensor(samples.labels).long()) for samples in published()
)


def cosine(progress):
    return 0.005 * (1 + math.cos(math.pi * progress))


def validate(model):
    with torch.no_grad():
        output = model(val_inputs)
        return cross_entropy(output, val_labels).item(), (output.argmax(1) == val_labels).float().mean().item()


def train(seed, epochs):
    torch.manual_seed(seed)
    RATES.clear()
    model = nn.Sequential(nn.Linear(40, 100), nn.ReLU(), nn.Linear(100, 100), nn.ReLU(), nn.Linear(100, 10))
    optimizer = torch.optim.Adam(model.parameters())
    val_loss, accuracy = validate(model)
    for epoch in range(epochs):
        for number, batch in enumerate(torch.randperm(len(inputs)).split(BATCH)):
            progress = (epoch + number / STEPS) / epochs
            RATES.append(cosine(progress))
            optimizer.param_groups[0]["lr"] = RATES[-1]
            loss = cross_entropy(model(inputs[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        val_loss, accuracy = validate(model)
    print(f"seed {seed}: validation loss {val_loss:.3f}, accuracy {100 * accuracy:.1f} %")
    return accuracy


if __name__ == "__main__":
    scores = [train(seed, EPOCHS) for seed in SEEDS]
    print(f"cosine   {100 * mean(scores):.2f} %")
    plt.plot(RATES, label="cosine")
    plt.xlabel("step")
    plt.ylabel("learning rate")
    plt.legend()
    plt.savefig("own_script.png")
