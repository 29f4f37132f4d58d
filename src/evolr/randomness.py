"""Counter-based randomness: every draw comes from a generator keyed by what it is for.

No random state is kept or passed on, so what is drawn depends neither on order nor on interruption.
"""

from __future__ import annotations

import zlib

import numpy as np


def generator(*key: int | str) -> np.random.Generator:
    """The generator of a key, for instance (study seed, generation, slot, purpose).

    Integers must not be negative; a string counts by its checksum.
    """
    words = [zlib.crc32(part.encode()) if isinstance(part, str) else part for part in key]
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(words)))


def seed_from(*key: int | str) -> int:
    """A seed in [0, 2³¹), drawn from the generator of a key."""
    return int(generator(*key).integers(2**31))
