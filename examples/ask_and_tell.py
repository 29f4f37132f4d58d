"""A search by hand: ask for formulas, train under them wherever you like, and tell what they scored.

    python examples/ask_and_tell.py

For trainings that a function cannot run: on a cluster, in a queue, by a colleague. What was asked and not told is asked
again, by another process too.
"""

import random

import evolr

STEPS = 10  # an epoch


def loss_under(rates, seed):
    """Noisy gradient descent on x²/2, from 1: the loss that is left."""
    luck = random.Random(seed)
    x = 1.0
    for rate in rates:
        x -= rate * (x + luck.gauss(0, 0.3))
    return x * x / 2


if __name__ == "__main__":
    config = evolr.resolve(
        "function",
        settings={
            "problem.metric_name": "loss",
            "problem.higher_is_better": False,
            "training.epochs": 10,
            "search.terminals": ["progress", "constant"],
        },
    )
    with evolr.Study("runs/by_hand", config) as study:
        while asked := study.ask():
            for each in asked:
                rates = each.schedule.curve(each.epochs, STEPS).tolist()
                losses = [loss_under(rates, seed) for seed in range(8)]
                study.tell(each, sum(losses) / len(losses))
        print(f"{len(study.history())} formulas tried")
        for best in study.front:
            print(f"{best.individual.expression.size:4} nodes, loss {best.score:.2e}: {best.individual.expression}")
