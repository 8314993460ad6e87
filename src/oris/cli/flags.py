"""Every setting as a flag, made from the table of settings; shared by all commands that need settings.

@click.command()
@settings_flags
@click.pass_context
def migrate(context: click.Context) -> int:
    settings = load_settings(context)
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from oris.config.load import load
from oris.config.reread import Sources
from oris.config.settings import FIELDS

if TYPE_CHECKING:
    from oris.config.field import Field
    from oris.config.load import Loaded
    from oris.config.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])
_FLAGS = "oris.flags"
_FILE = "oris.config_file"
_STRICT = "oris.strict"


def settings_flags(function: F) -> F:
    """Give a command the flags of all settings, `--config` and `--strict-config`.

    They are kept in the context, not passed to the function. A command's own win over those given before its name.
    """
    for field in reversed(FIELDS):
        for spelling in reversed(field.spellings):
            function = _setting_option(field, spelling)(function)
    function = click.option(
        "--strict-config",
        is_flag=True,
        expose_value=False,
        callback=_keep_true(_STRICT),
        help="Refuse ORIS_* variables that are not settings.",
    )(function)
    return click.option(
        "--config",
        metavar="FILE",
        type=click.Path(path_type=Path),
        expose_value=False,
        callback=_keep_true(_FILE),
        help="Read settings from a TOML file.",
    )(function)


def load_all(context: click.Context, *, serving: bool = True) -> Loaded:
    """The settings, with their sources and warnings, from the flags of this call and the process's environment."""
    meta = context.meta
    strict = meta.get(_STRICT, False)
    return load(meta.get(_FLAGS, {}), os.environ, meta.get(_FILE), strict=strict, serving=serving)


def load_settings(context: click.Context, *, serving: bool = True) -> Settings:
    """The settings; warnings are printed on stderr, one line each. Raises ConfigError."""
    loaded = load_all(context, serving=serving)
    print_warnings(loaded)
    return loaded.settings


def load_sources(context: click.Context) -> Sources:
    """Where the same settings may be read again. Raises ConfigError."""
    meta = context.meta
    return Sources.of(meta.get(_FLAGS, {}), os.environ, meta.get(_FILE))


def print_warnings(loaded: Loaded) -> None:
    """One line on stderr for each."""
    for warning in loaded.warnings:
        warn(warning)


def warn(text: str) -> None:
    """A line on stderr."""
    click.echo(f"oris: warning: {text}", err=True)


def _setting_option(field: Field, spelling: str) -> Callable[[F], F]:
    flag = "--" + spelling.replace("_", "-")
    if field.kind.in_file is bool:
        flag = f"{flag}/--no-{flag[2:]}"
    is_file = spelling != field.name
    return click.option(
        flag,
        spelling,
        default=None,
        metavar=None if field.kind.in_file is bool else ("FILE" if is_file else field.kind.word.upper()),
        expose_value=False,
        callback=_keep_flag,
        help=f"A file with this value: {field.doc}." if is_file else _help(field),
    )


def _help(field: Field) -> str:
    unit = f" [{field.unit}]" if field.unit else ""
    default = f" Default: {field.default}." if field.default is not None else ""
    return f"{field.doc[0].upper()}{field.doc[1:]}{unit}.{default}"


def _keep_flag(context: click.Context, parameter: click.Parameter, value: object) -> None:
    if value is not None and parameter.name is not None:
        context.meta.setdefault(_FLAGS, {})[parameter.name] = str(value)


def _keep_true(key: str) -> Callable[[click.Context, click.Parameter, object], None]:
    def keep(context: click.Context, _parameter: click.Parameter, value: object) -> None:
        if value:
            context.meta[key] = value

    return keep
