"""Settings out of flags, environment and file, in that order of precedence, checked as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from oris.config.checks import check_together
from oris.config.environment import environment_warnings, rust_log_hint
from oris.config.one_line import one_line
from oris.config.settings import FIELDS, Settings
from oris.config.sources import (
    Given,
    Layer,
    environment_layer,
    file_layer,
    flag_layer,
    secret_from_file,
)
from oris.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from oris.config.field import Field

DEFAULT_SOURCE = "default"


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, one-line warnings for the operator, and per field where its value comes from:
    `default`, `flag --batch-max`, `environment ORIS_BATCH_MAX` or `file oris.toml: batch_max`.
    """

    settings: Settings
    warnings: tuple[str, ...]
    sources: Mapping[str, str]


def load(
    flags: Mapping[str, str | None],
    environ: Mapping[str, str],
    file: Path | None,
    *,
    strict: bool = False,
    serving: bool = True,
) -> Loaded:
    """Read and check everything; nothing is opened for writing and nothing is started.

    `flags` holds the text of each flag by its field's name (`batch_max`, `api_auth_api_key_file`), None where
    it was not given. With `strict` an unknown `ORIS_*` variable is an error. `serving` False:
    for a command that listens nowhere, so that nobody can be let in by mistake.

    Raises ConfigError with one line that names the source, the value unless it is a secret, and what is allowed.
    """
    layers = (flag_layer(flags), environment_layer(environ), file_layer(file) if file is not None else {})
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for field in FIELDS:
        given = first_given(field, layers)
        sources[field.name] = given.source if given else DEFAULT_SOURCE
        if given:
            values[field.name] = parse(field, given)
    settings = Settings(**values)
    warnings = [
        *environment_warnings(environ, strict=strict),
        *rust_log_hint(environ, sources["log"], settings.log),
        *_exposed_secrets(sources),
        *_useless_proxies(settings, sources),
    ]
    check_together(settings, sources, serving=serving)
    return Loaded(settings, tuple(warnings), sources)


def first_given(field: Field, layers: tuple[Layer, ...]) -> Given | None:
    """What the strongest source that says anything about this field says. Raises ConfigError; reads secret files."""
    for layer in layers:
        found = [spelling for spelling in field.spellings if spelling in layer]
        if len(found) > 1:
            one, other = (layer[spelling].source for spelling in found)
            raise ConfigError(f"{one} and {other} are both given; give only one of them")
        if found:
            given = layer[found[0]]
            return given if found[0] == field.name else secret_from_file(given)
    return None


def parse(field: Field, given: Given) -> object:
    """The value that was written. Raises ConfigError with one line."""
    try:
        return field.kind.read(given.text)
    except ValueError as error:
        allowed = str(error) or field.kind.allowed
        shown = "the value" if field.kind.secret else f'"{one_line(given.text)}"'
        unit = f" ({field.unit})" if field.unit else ""
        raise ConfigError(f"{given.source}: {shown} is not allowed; it must be {allowed}{unit}") from None


def _useless_proxies(settings: Settings, sources: Mapping[str, str]) -> list[str]:
    if not settings.trusted_proxies or settings.has_credentials or settings.sqlite_db.exists():
        return []  # where there is a database, there may be keys in it
    return [
        f"{sources['trusted_proxies']} has no effect: without a credential, the server refuses requests that came "
        "through a proxy"
    ]


def _exposed_secrets(sources: Mapping[str, str]) -> list[str]:
    return [
        f"flag {field.flag} shows the secret to everybody who can list processes; use {field.env}_FILE"
        for field in FIELDS
        if field.kind.secret and sources[field.name] == f"flag {field.flag}"
    ]
