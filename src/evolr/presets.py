"""The presets: named configurations to start from, as a TOML file would say them. config.py resolves them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from evolr.expression import EXTENDED_SET

_MEMETIC: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "method": "memetic",
        "population": 8,
        "functions": list(EXTENDED_SET),
        "constant_range": [-3.0, 3.0],
        "transform": "log",
        "max_size": 60,
        "max_depth": 20,
        "crossover": 0.2,
        "subtree_mutation": 0.13,
        "point_mutation": 0.1,
        "hoist_mutation": 0.12,
        "constant_mutation": 0.0,
        "growth_mutation": 0.45,
        "seed_families": True,
    }
)
"""The memetic search of the presets below."""

_SUITE: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "problem": {"name": "mnist1d-suite"},
        "training": {"epochs": 12, "optimizer": {"name": "momentum"}},
        "search": {
            **_MEMETIC,
            "generations": 16,
            "children": 12,
            "seeds": 6,
            "last_generations": 6,
            "last_population": 5,
            "last_seeds": 24,
            "terminals": [
                *("progress", "loss", "loss_ema", "val_loss", "first_loss", "best_loss"),
                *("grad_norm", "grad_norm_ema", "grad_norm_rss", "update_norm", "weight_norm", "distance"),
                "constant",
            ],
            "max_lr": 10.0,
            "crossover": 0.1,
            "subtree_mutation": 0.05,
            "point_mutation": 0.05,
            "hoist_mutation": 0.1,
            "growth_mutation": 0.15,
            "power_mutation": 0.4,
            "product_crossover": 0.15,
            "finalists": 24,
            "race_seeds": 32,
        },
        "comparison": {"epochs": 12, "seeds": 64, "base_lr": 0.1},
    }
)
"""The search for one schedule on many tasks."""

PRESETS: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        # The first experiment to the letter; the defaults of config are its settings, and it names the rest.
        "original": {"problem": {"name": "mnist1d-mlp", "pools": "original"}, "search": {"method": "generational"}},
        # The best search that we know, and the one where no preset is named; docs/search.md says how it works, docs/log.md
        # what each part buys.
        "memetic": {
            "problem": {"name": "mnist1d-mlp"},
            "training": {"epochs": 30},
            "search": {
                **_MEMETIC,
                "generations": 40,
                "terminals": ["progress", "loss", "loss_ema", "val_loss", "constant"],
                "finalists": 24,
            },
        },
        # One schedule for many tasks: each seed is another network, and formulas read gradients and weights.
        "suite": _SUITE,
        # One schedule for many kinds of network. A generation meets more tasks, so that it meets most kinds; a product of
        # powers is among the first structures, and fewer structures are tuned longer at the end.
        "mixed": {
            **_SUITE,
            "problem": {"name": "mixed"},
            "search": {
                **_SUITE["search"],
                "seeds": 8,
                "seed_powers": True,
                "last_generations": 40,
                "last_population": 2,
                "race_seeds": 48,
            },
        },
        # The problem with a known optimum.
        "quadratic": {
            "problem": {"name": "quadratic"},
            "training": {"epochs": 10, "optimizer": {"name": "sgd"}},
            "search": {
                **_MEMETIC,
                "population": 20,
                "generations": 90,
                "children": 16,
                "youth": 6,
                "random_structures": 16,
                "terminals": ["progress", "constant"],
                "reference_lr": 0.01,
                "max_lr": 10.0,
                "seeds": 8,
                "finalists": 24,
                "race_seeds": 64,
            },
            "comparison": {"epochs": 10, "seeds": 256, "base_lr": 0.1},
        },
        # A training function of the user's own, where a training is dear: some 310 of them in all.
        "function": {
            "problem": {"name": "external"},
            "search": {
                **_MEMETIC,
                "population": 6,
                "generations": 8,
                "samples": 4,
                "children": 4,
                "youth": 2,
                "random_structures": 2,
                "terminals": ["progress", "loss", "val_loss", "constant"],
                "finalists": 6,
                "race_seeds": 3,
            },
        },
    }
)

DEFAULT: Final = "memetic"
"""The preset where none is named."""

RENAMED: Final[Mapping[str, str]] = MappingProxyType({"default": "memetic"})
"""What presets were called before, and what they are called now."""
