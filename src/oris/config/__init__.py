"""The settings of a server: declared in `settings`, read by `load`, printed by `printing`."""

from oris.config.levels import LogLevels, parse_levels
from oris.config.load import Loaded, load
from oris.config.settings import FIELDS, Settings
from oris.config.values import Address, Secret, parse_address

__all__ = [
    "FIELDS",
    "Address",
    "Loaded",
    "LogLevels",
    "Secret",
    "Settings",
    "load",
    "parse_address",
    "parse_levels",
]
