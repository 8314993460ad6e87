"""The settings for people, for programs and for the documentation, from the one table."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from oris.config.one_line import one_line
from oris.config.settings import FIELDS

if TYPE_CHECKING:
    from oris.config.field import Field
    from oris.config.load import Loaded

_NOT_SET = "(not set)"


def as_text(loaded: Loaded) -> str:
    """Each setting in two lines: variable, value and source; then what it means, its unit and its default."""
    width = max(len(field.env) for field in FIELDS)
    lines = []
    for field in FIELDS:
        value = one_line(_shown(getattr(loaded.settings, field.name)) or _NOT_SET, limit=1000)
        lines.append(f"{field.env:<{width}}  {value}  [{loaded.sources[field.name]}]")
        lines.append(f"{'':<{width}}    {field.doc} ({_unit_and_default(field)})")
    return "\n".join(lines)


def as_json(loaded: Loaded) -> str:
    """One object, by variable: `{value, source, default, unit, doc}`; a secret's value is `(hidden)` or null."""
    document = {
        field.env: {
            "value": _plain(getattr(loaded.settings, field.name)),
            "source": loaded.sources[field.name],
            "default": _plain(None if field.default is None else field.kind.read(field.default)),
            "unit": field.unit or None,
            "doc": field.doc,
        }
        for field in FIELDS
    }
    return json.dumps(document, indent=2)


def as_markdown() -> str:
    """The reference page `docs/configuration.md`; it depends on the table alone."""
    rows = [_MARKDOWN_ROW.format(*cells) for cells in map(_cells, FIELDS)]
    secrets = ", ".join(f"`{field.env}_FILE`" for field in FIELDS if field.kind.secret)
    return _MARKDOWN_PAGE.format(rows="\n".join(rows), secrets=secrets)


def _unit_and_default(field: Field) -> str:
    default = f"default {field.default}" if field.default is not None else "no default"
    return f"{field.unit}, {default}" if field.unit else default


def _shown(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _plain(value: object) -> str | int | bool | None:
    return value if isinstance(value, int | bool | None) else str(value)


def _cells(field: Field) -> tuple[str, str, str, str, str, str]:
    default = f"`{field.default}`" if field.default is not None else "not set"
    allowed = field.kind.allowed.replace("|", "\\|")
    return (field.env, field.flag, field.name, allowed, default, field.doc + _in_unit(field))


def _in_unit(field: Field) -> str:
    return f" [{field.unit}]" if field.unit else ""


_MARKDOWN_ROW = "| `{0}` | `{1}` | `{2}` | {3} | {4} | {5} |"
_MARKDOWN_PAGE = """\
# Configuration

This page is printed by `python -m oris config --markdown` from the table in `src/oris/config/settings.py`.

A setting is taken from the first of these that has it: a flag, an environment variable, the TOML file named with
`--config FILE`, its default. All are read at the start. A value that is not allowed stops the start with one line on
stderr and exit code 2. `python -m oris config` prints the values in force and where they come from, with secrets
hidden; `--json` prints the same for programs.

SIGHUP reads the sources again and applies, without closing a connection: `log`, the credentials, the TLS files, and the
retention settings (see [tls.md](tls.md)). All other settings need a restart; if one of them changes in the file, a
warning names it. The environment and the flags of a running process cannot change, but the files they name can.

- A variable that is set to the empty text counts as not set.
- Keys of the file are at its top level. A key that is not a setting is an error. Relative paths are relative to the
  working directory.
- A secret can be given as the name of a file that holds it, which keeps it out of the process list and the
  environment: {secrets}, and the flags and keys of the same names. Spaces and line ends around it are removed.
- An `ORIS_*` variable that is not a setting is a warning, because Kubernetes sets such variables for a service named
  `oris`. It is an error if it is one edit away from a setting's name, or with `--strict-config`.
- Without a credential (set here, or stored as an API key) the server listens on loopback addresses only, unless
  `ORIS_ALLOW_INSECURE` is true.
- The bearer token and the API key may have two values at a time. To change one without refusing anybody: set the
  `_NEXT` one to the new value, let all callers move to it, set the first to the new value, and remove `_NEXT` or leave
  it equal. With files or the config file each step is a SIGHUP, with variables a restart.

| variable | flag | key | allowed | default | meaning [unit] |
|---|---|---|---|---|---|
{rows}
"""
