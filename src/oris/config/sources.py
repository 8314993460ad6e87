"""Where values are given: flags, environment and a TOML file, each read into the same form."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from oris.config.one_line import one_line
from oris.config.settings import FIELDS
from oris.errors import ConfigError

if TYPE_CHECKING:
    from oris.config.field import Field

_CONFIG_MAX_BYTES = 1_048_576
_SECRET_MAX_BYTES = 65_536
_TYPE_WORDS = {int: "a number", bool: "true or false without quotes", str: "a string in quotes"}


@dataclass(frozen=True, slots=True)
class Given:
    """A value as somebody wrote it, and where: `environment ORIS_BATCH_MAX`, for messages."""

    text: str
    source: str


Layer = Mapping[str, Given]
"""What one source gives, by spelling: `batch_max`, `api_auth_api_key_file`."""


def flag_layer(flags: Mapping[str, str | None]) -> Layer:
    """The flags by spelling; None is a flag that was not given."""
    return {name: Given(text, "flag --" + name.replace("_", "-")) for name, text in flags.items() if text is not None}


def environment_layer(environ: Mapping[str, str]) -> Layer:
    """The variables that are settings. One that is set to nothing is not set."""
    layer = {}
    for field in FIELDS:
        for spelling in field.spellings:
            name = environment_name(spelling)
            if environ.get(name):
                layer[spelling] = Given(environ[name], "environment " + name)
    return layer


def environment_name(spelling: str) -> str:
    """The variable for a spelling."""
    return "ORIS_" + spelling.upper()


def file_layer(path: Path) -> Layer:
    """The keys of a TOML file. ConfigError for one that cannot be read, or holds what is not a setting."""
    try:
        document = tomllib.loads(_read_small(path, _CONFIG_MAX_BYTES))
    except (OSError, ValueError) as error:
        raise ConfigError(f"config file {one_line(str(path))}: {_reason(error)}") from None
    by_spelling = {spelling: field for field in FIELDS for spelling in field.spellings}
    layer = {}
    for key, value in document.items():
        source = f"file {one_line(str(path))}: {one_line(key)}"
        field = by_spelling.get(key)
        if field is None:
            raise ConfigError(f"{source} is not a setting{_suggestion(key, by_spelling)}")
        layer[key] = Given(_as_text(field, key, value, source), source)
    return layer


def _as_text(field: Field, key: str, value: object, source: str) -> str:
    wanted = field.kind.in_file
    if type(value) is not wanted:  # not isinstance: true is no number
        shown = "the value" if field.kind.secret else one_line(f"{value!r}")
        raise ConfigError(f"{source}: {shown} is not allowed; it must be {_TYPE_WORDS[wanted]}")
    return str(value).lower() if wanted is bool else str(value)


def _suggestion(key: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def secret_from_file(given: Given) -> Given:
    """What stands in the file that was named instead of the secret, without the line's end."""
    try:
        text = _read_small(Path(given.text), _SECRET_MAX_BYTES).strip()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{given.source}: file {one_line(given.text)}: {_reason(error)}") from None
    if not text:
        raise ConfigError(f"{given.source}: file {one_line(given.text)} is empty")
    return Given(text, f"{given.source} ({one_line(given.text)})")


def _read_small(path: Path, max_bytes: int) -> str:
    with path.open("rb") as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise ValueError(f"larger than {max_bytes} bytes")
    return data.decode("utf-8")


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "is not UTF-8"
    return one_line(error.strerror or str(error) if isinstance(error, OSError) else str(error))
