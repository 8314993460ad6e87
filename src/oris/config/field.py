"""How a setting is declared: one line of the table, from which everything about it is derived."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from oris.config.kinds import Kind

ENV_PREFIX = "ORIS_"
_METADATA_KEY = "oris.config"


@dataclass(frozen=True, slots=True)
class Field:
    """One setting. Its name alone gives its variable, flag and key: `batch_max` is `ORIS_BATCH_MAX`,
    `--batch-max` and `batch_max`. `default` is the text one would write, None for "not set".
    """

    name: str
    kind: Kind[Any]
    default: str | None
    doc: str
    unit: str

    @property
    def env(self) -> str:
        """The environment variable."""
        return ENV_PREFIX + self.name.upper()

    @property
    def flag(self) -> str:
        """The command-line flag."""
        return "--" + self.name.replace("_", "-")

    @property
    def spellings(self) -> tuple[str, ...]:
        """The names it is given under: its own and, for a secret, `NAME_file`, a file that holds it."""
        return (self.name, self.name + "_file") if self.kind.secret else (self.name,)


def setting(default: str | None, kind: Kind[Any], doc: str, *, unit: str = "") -> Any:
    """A field of `Settings`; the default is read as if it had been written by hand, so it is always allowed."""
    value = None if default is None else kind.read(default)
    return dataclasses.field(
        default=value, metadata={_METADATA_KEY: {"kind": kind, "default": default, "doc": doc, "unit": unit}}
    )


def declared_fields(settings_type: type) -> tuple[Field, ...]:
    """The settings a class declares, in its order."""
    return tuple(Field(name=f.name, **f.metadata[_METADATA_KEY]) for f in dataclasses.fields(settings_type))
