"""The devices that a population is spread over, and JAX's settings for them.

JAX reads most of this once, when its first array is made. Where a program made arrays before evolr was
asked to train, evolr trains on the devices that it finds.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import jax
import platformdirs

from evolr.errors import ConfigError, quoted, shown, whole_number

_log = logging.getLogger(__name__)
_CACHE_FAULT = "Error reading persistent compilation cache entry"
_XLA_FLAGS = (
    # One thread a device: the devices are the cores, and the bits do not depend on how many there are.
    "--xla_cpu_multi_thread_eigen=false",
)


def available_cores() -> int:
    """The cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


@cache
def prepare() -> None:
    """Sets JAX up: one host device a core, and compiled programs kept in the user's cache directory."""
    given = os.environ.get("XLA_FLAGS", "")
    missing = [flag for flag in _XLA_FLAGS if flag.split("=")[0] not in given]
    os.environ["XLA_FLAGS"] = " ".join([given, *missing]).strip()
    if jax.config.jax_num_cpu_devices < 0:  # pyright: ignore[reportAttributeAccessIssue]  # nobody has set it
        try:
            jax.config.update("jax_num_cpu_devices", available_cores())
        except RuntimeError:  # a program that has already made arrays keeps its devices
            if jax.default_backend() == "cpu" and jax.device_count() < available_cores():
                _log.warning(
                    "JAX was started before evolr: %d of %d cores train; call evolr.training.devices.prepare() before the "
                    "first array is made",
                    jax.device_count(),
                    available_cores(),
                )
    if not jax.config.jax_compilation_cache_dir:  # pyright: ignore[reportAttributeAccessIssue]
        cache_directory = platformdirs.user_cache_path("evolr") / "compiled"
        jax.config.update("jax_compilation_cache_dir", str(cache_directory))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


@contextmanager
def in_32_bits() -> Generator[Callable[[], AbstractContextManager[Any]]]:
    """Whatever is done meanwhile is done in JAX's 32 bits, whatever `jax_enable_x64` says, so that a seed has the same bits.

    Gives the context of what is the user's own, a callback: in it JAX has the bits that it had before.
    """
    before = bool(jax.config.jax_enable_x64)  # pyright: ignore[reportAttributeAccessIssue]
    with jax.enable_x64(False):
        yield lambda: jax.enable_x64(before)


Device = Any  # jax.Device, which pyright takes for a variable


@contextmanager
def mended_cache() -> Generator[None]:
    """While programs are compiled: a damaged entry of the cache is removed and said so, to be written anew next time."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    damaged = [w for w in caught if _CACHE_FAULT in str(w.message)]
    for warning in caught:
        if warning not in damaged:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    directory = jax.config.jax_compilation_cache_dir  # pyright: ignore[reportAttributeAccessIssue]
    if damaged and directory:
        _log.warning(
            "the cache of compiled programs in %s cannot be used, or is damaged; what can be removed of it is, and programs are "
            "compiled anew",
            directory,
        )
        with suppress(OSError):
            for entry in Path(directory).glob("*-cache"):
                with suppress(OSError):
                    entry.unlink(missing_ok=True)


def devices(count: int | None = None) -> list[Device]:
    """The first `count` devices, or all of them.

    Raises ConfigError where there are fewer.
    """
    prepare()
    try:
        found = jax.devices()
    except Exception as error:  # JAX's own assertions too
        given = f", as JAX_PLATFORMS={os.environ['JAX_PLATFORMS']!r} says" if os.environ.get("JAX_PLATFORMS") else ""
        raise ConfigError(
            f"JAX has no device to train on{given}: {quoted(error) or type(error).__name__}. Unset JAX_PLATFORMS, or name a platform "
            "that this machine has"
        ) from error
    if count is not None and not 1 <= whole_number("devices", count) <= len(found):
        raise ConfigError(f"devices must be from 1 to {len(found)}, the number found, got {shown(count)}")
    return found[:count]
