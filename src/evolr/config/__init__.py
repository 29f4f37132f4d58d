"""The configuration of a study: frozen, strict, and stored as resolved.

A configuration is resolved from a preset, then a TOML file, then single settings, the later ones on top.
Every default lives here or in the settings that a problem or an optimiser defines.
"""

from evolr.config.budget import LEAST, plan
from evolr.config.data import from_data
from evolr.config.dotted import dotted
from evolr.config.resolving import changed, config_of, differences, resolve
from evolr.config.search import CONSTANT, METHODS, AnySearch, BayesianSearch, GenerationalSearch, MemeticSearch, Search
from evolr.config.settings import Comparison, Config, Training, require_config, require_signals
from evolr.config.stored import from_stored, from_toml, load, to_toml

__all__ = [
    "CONSTANT",
    "LEAST",
    "METHODS",
    "AnySearch",
    "BayesianSearch",
    "Comparison",
    "Config",
    "GenerationalSearch",
    "MemeticSearch",
    "Search",
    "Training",
    "changed",
    "config_of",
    "differences",
    "dotted",
    "from_data",
    "from_stored",
    "from_toml",
    "load",
    "plan",
    "require_config",
    "require_signals",
    "resolve",
    "to_toml",
]
