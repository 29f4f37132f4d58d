"""Published schedules as their sources write them, each with the source's own function.

    python -m tests.contracts.published

prints how far each back end is from the source, schedule by schedule, and how many there are.
"""

from tests.contracts.published import (
    classics,
    detection_scripts,
    image_papers,
    image_scripts,
    keras_schedules,
    language_scripts,
    optax_schedules,
    papers,
    torch_schedulers,
    transformers_schedules,
)

PUBLISHED = (
    *torch_schedulers.CASES,
    *transformers_schedules.CASES,
    *optax_schedules.CASES,
    *keras_schedules.CASES,
    *papers.CASES,
    *image_papers.CASES,
    *language_scripts.CASES,
    *image_scripts.CASES,
    *detection_scripts.CASES,
    *classics.CASES,
)
