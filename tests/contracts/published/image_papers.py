"""Papers of image classifiers: the learning rate as a paper gives it.

Worked out here in plain Python. Where an author's own lengths are longer, they are scaled to the table's 1,000 steps
and 100 epochs.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import Final

from tests.contracts.published.case import EPOCHS, STEPS_PER_EPOCH, Published, by_epoch, by_step


def _one_hour(step: int) -> float:
    """8,192 images a step: 0.1 to 3.2 over the first five epochs, each step; a tenth at 30, 60 and 80 epochs."""
    epoch = step / STEPS_PER_EPOCH
    if epoch < 5:
        return 0.1 + (3.2 - 0.1) * epoch / 5
    return 3.2 * 0.1 ** bisect_right([30, 60, 80], math.floor(epoch))


CASES: Final = (
    Published(
        "ImageNet in 1 hour", "Goyal et al. 2017, section 5.1",
        "0.1 + (3.2 - 0.1)*(epoch + epoch_progress)/5 if epoch < 5 "
        "else 3.2*0.1**((epoch >= 30) + (epoch >= 60) + (epoch >= 80))",
        by_step(_one_hour),
    ),
    Published(
        "AlexNet", "Krizhevsky et al. 2012: a tenth, three times",
        "0.01/10**((epoch >= 30) + (epoch >= 60) + (epoch >= 80))",
        by_epoch(lambda epoch: 0.01 / 10 ** bisect_right([30, 60, 80], epoch)),
    ),
    Published(
        "ResNet on CIFAR", "He et al. 2016: 0.1, a tenth at 50 % and 75 %; 0.01 until it warms",
        "0.01 if step < 20 else 0.1 if progress < 0.5 else 0.01 if progress < 0.75 else 0.001",
        by_step(lambda step: 0.01 if step < 20 else 0.1 * 0.1 ** bisect_right([500, 750], step)),
    ),
    Published(
        "DenseNet", "Huang et al. 2017: a tenth at 50 % and 75 %",
        "0.1*(0.1**(epoch >= 0.5*total_epochs))*(0.1**(epoch >= 0.75*total_epochs))",
        by_epoch(lambda epoch: 0.1 * (0.1 ** (epoch >= EPOCHS * 0.5)) * (0.1 ** (epoch >= EPOCHS * 0.75))),
    ),
    Published(
        "Wide ResNet", "Zagoruyko and Komodakis 2016: times 0.2 at 60, 120, 160 of 200",
        "0.1*0.2**min(3, (epoch >= 30) + (epoch >= 60) + (epoch >= 80))",
        by_epoch(lambda epoch: 0.1 * 0.2 ** bisect_right([30, 60, 80], epoch)),
    ),
    Published(
        "Inception-v3", "Szegedy et al. 2016: 0.94 every two epochs", "0.045*0.94**floor(epoch/2)",
        by_epoch(lambda epoch: 0.045 * 0.94 ** (epoch // 2)),
    ),
    Published(
        "EfficientNet", "Tan and Le 2019: 0.97 every 2.4 epochs", "0.256*0.97**floor((epoch + epoch_progress)/2.4)",
        by_step(lambda step: 0.256 * 0.97 ** (step // 24)),
    ),
    Published(
        "MobileNet v2", "Sandler et al. 2018: 0.98 an epoch", "0.045*0.98^epoch",
        by_epoch(lambda epoch: 0.045 * 0.98**epoch),
    ),
)  # fmt: skip
