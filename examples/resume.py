"""A search that stops after so many trainings, and goes on later to the same result as one that was never stopped.

    python examples/resume.py

Ctrl-C, a crash and `kill -9` are stops like any other: run the same script again, and it goes on where it was.
"""

import random

import evolr


def train(schedule, seed, epochs):
    """Noisy gradient descent on x²/2, from 1: the loss that is left after so many epochs of ten steps."""
    luck = random.Random(seed)
    x = 1.0
    for epoch in range(epochs):
        rate = schedule(epoch=epoch, loss=x * x / 2, val_loss=x * x / 2)
        for _ in range(10):
            x -= rate * (x + luck.gauss(0, 0.3))
    return x * x / 2


def search(directory, trainings=None):
    """Until its end, or until so many trainings have landed."""
    landed = []
    return evolr.evolve(
        train,
        directory,
        epochs=10,
        metric="loss",
        higher_is_better=False,
        settings={"search.seeds": 4},
        on_trial=landed.append,
        should_stop=lambda: "that is enough for now" if trainings and len(landed) >= trainings else None,
    )


if __name__ == "__main__":
    first = search("runs/stopped", trainings=300)
    print(f"stopped: {first.stopped_by}")
    second = search("runs/stopped")
    print(f"gone on: {second.trainings} trainings in all, loss {second.champion.score:.2e}")
    whole = search("runs/whole")
    print(f"without a stop: {whole.trainings} trainings, loss {whole.champion.score:.2e}")
    print(f"champion: {second.schedule.expression}")
    print("the same champion" if second.schedule == whole.schedule else "another champion")
