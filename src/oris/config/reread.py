"""The settings of a running server, read again: what may change takes the new value, all else is named.

Each setting stands alone here: one that cannot be read keeps its old value and becomes a problem, and the others are
read all the same. So a certificate can be rotated while somebody else's secret file is broken.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from oris.config.checks import anchor_key_problem
from oris.config.field import Field
from oris.config.load import first_given, parse
from oris.config.settings import FIELDS, ROTATION, Settings
from oris.config.sources import Layer, environment_layer, file_layer, flag_layer
from oris.errors import ConfigError

ROTATED: Final = frozenset({"api_auth_bearer_token", "api_auth_api_key", "tls_cert", "tls_key", "tls_client_ca"})
"""May get another value, but not come or go: that would open or close the server."""


RETENTION: Final = ("retention_days", "audit_retention_days", "audit_anchor_key", "retention_hold")
"""May change, together: a hold must not wait for a restart."""


@dataclass(frozen=True)
class Reread:
    """What came of it."""

    sources: Sources
    """Those to read from the next time."""
    settings: Settings
    """Those of before, with the new values of what may change."""
    problems: tuple[str, ...]
    """One line for each thing that could not be read; what it says stays as it was."""
    unchangeable: tuple[str, ...]
    """Settings that say something else now, and will only after a restart."""


@dataclass(frozen=True)
class Sources:
    """Where the settings come from: flags and environment, which stay, and a file that may change."""

    fixed: tuple[Layer, ...] = field(repr=False)
    file: Path | None
    file_layer: Layer = field(repr=False)
    """What the file said when it could last be read."""

    @classmethod
    def of(cls, flags: Mapping[str, str | None], environ: Mapping[str, str], file: Path | None) -> Sources:
        """Reads the file. Raises ConfigError."""
        layer = {} if file is None else file_layer(file)
        return cls((flag_layer(flags), environment_layer(environ)), file, layer)

    def read_again(self, before: Settings) -> Reread:
        """Reads all files again, which may block. A config file that is broken counts as unchanged."""
        problems: list[str] = []
        sources = self
        if self.file is not None:
            try:
                sources = dataclasses.replace(self, file_layer=file_layer(self.file))
            except ConfigError as error:
                problems.append(str(error))
        changed: dict[str, Any] = {}
        unchangeable: list[str] = []
        for each in FIELDS:
            old = getattr(before, each.name)
            try:
                new = sources._value(each)
            except ConfigError as error:
                problems.append(str(error))
                continue
            if new == old:
                continue
            if _may_change(before, each.name, new):
                changed[each.name] = new
            else:
                unchangeable.append(each.name)
        settings = dataclasses.replace(before, **changed)
        wrong = anchor_key_problem(settings)
        if wrong is not None:
            # Each is as allowed as ever; together they are not.
            problems.append(f"{wrong[1]}; the retention settings were not changed")
            settings = dataclasses.replace(settings, **{name: getattr(before, name) for name in RETENTION})
        return Reread(sources, settings, tuple(problems), tuple(unchangeable))

    def _value(self, wanted: Field) -> object:
        given = first_given(wanted, (*self.fixed, self.file_layer))
        if given is not None:
            return parse(wanted, given)
        return None if wanted.default is None else wanted.kind.read(wanted.default)


def _may_change(before: Settings, name: str, new: object) -> bool:
    if name in ROTATED:
        return getattr(before, name) is not None and new is not None
    if name in ROTATION:
        # The second of a pair may come and go, as long as the first is there.
        return getattr(before, ROTATION[name]) is not None
    return name == "log" or name in RETENTION
