"""The mnist1d samples, built offline by the mnist1d package and cached as plain arrays.

The package draws from NumPy's and Python's global random state, which is put back afterwards.
"""

from __future__ import annotations

import io
import logging
import random
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import platformdirs
from numpy.typing import NDArray

from evolr.writing import write

LENGTH: Final = 40  # values in a sample
CLASSES: Final = 10
PUBLISHED_TRAIN: Final = 4_000
PUBLISHED_TEST: Final = 1_000
FRESH_POOLS: Final = {"fitness": (10_000, 1_001), "selection": (4_000, 1_002), "test": (10_000, 1_003)}
"""The size and the generator's seed of each pool that is drawn anew."""

_GENERATOR_VERSION: Final = 1  # of this file's way of building; part of the cache's file names
_log = logging.getLogger(__name__)


class Samples(NamedTuple):
    """n samples. inputs: float32 (n, 40); labels: int32 (n,) in 0 … 9."""

    inputs: NDArray[np.float32]
    labels: NDArray[np.int32]


def published() -> tuple[Samples, Samples]:
    """The published 4,000 training and 1,000 test samples."""
    samples = _cached("published", count=PUBLISHED_TRAIN + PUBLISHED_TEST, seed=42)
    inputs, labels = samples
    cut = PUBLISHED_TRAIN
    return Samples(inputs[:cut], labels[:cut]), Samples(inputs[cut:], labels[cut:])


def fresh(count: int, seed: int) -> Samples:
    """New samples of the same generator. The seed is any but 42, which is the published samples'."""
    return _cached(f"fresh-{seed}", count=count, seed=seed)


def _cached(name: str, count: int, seed: int) -> Samples:
    path = platformdirs.user_cache_path("evolr") / f"mnist1d-v{_GENERATOR_VERSION}-{name}-{count}.npz"
    try:
        return _load(path, count)
    except FileNotFoundError:
        pass
    except Exception as error:  # whatever a damaged zip or array may raise
        _log.warning("the data cache %s is damaged (%s); building it anew", path, type(error).__name__)
    samples = _build(count, seed)
    try:
        _save(path, samples)
    except OSError as error:
        _log.warning("cannot write the data cache %s (%s); the data will be built again next time", path, error)
    return samples


def _load(path: Path, count: int) -> Samples:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        inputs, labels = arrays["inputs"], arrays["labels"]
    if inputs.shape != (count, LENGTH) or labels.shape != (count,):
        raise ValueError(f"expected shapes {(count, LENGTH)} and {(count,)}, got {inputs.shape} and {labels.shape}")
    if inputs.dtype != np.float32 or labels.dtype != np.int32:
        raise ValueError(f"expected float32 and int32, got {inputs.dtype} and {labels.dtype}")
    return Samples(inputs, labels)


def _save(path: Path, samples: Samples) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    np.savez(content, inputs=samples.inputs, labels=samples.labels)
    write(path, content.getvalue())


def _build(count: int, seed: int) -> Samples:
    from mnist1d.data import get_dataset_args, make_dataset  # here: it imports matplotlib

    arguments: Any = get_dataset_args()
    arguments.num_samples, arguments.seed = count, seed
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002
    try:
        data: dict[str, Any] = make_dataset(arguments)
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002
        random.setstate(python_state)
    inputs = np.concatenate([data["x"], data["x_test"]]).astype(np.float32)
    labels = np.concatenate([data["y"], data["y_test"]]).astype(np.int32)
    return Samples(inputs, labels)
