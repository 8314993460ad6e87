"""`python -m oris audit`: whether the audit trail is what was written, without a server, or beside one that runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

import click

from oris.cli.flags import load_settings, settings_flags
from oris.errors import ConfigError

if TYPE_CHECKING:
    from oris.core.audit import AuditHead
    from oris.core.audit_check import Bad

_BROKEN = 1


@click.group()
def audit() -> None:
    """Check the audit trail, or print where it ends."""


@audit.command()
@click.option(
    "--heads",
    "heads_file",
    metavar="FILE",
    type=click.File(encoding="utf-8"),
    help="Earlier output of `audit heads`; it shows whether the end of a chain was cut off.",
)
@settings_flags
@click.pass_context
def verify(context: click.Context, heads_file: TextIO | None) -> int:
    """Check the whole trail without writing, and name the first bad record of each chain, if any (exit code 1).

    Where old records were deleted, a signed anchor remains. ORIS_AUDIT_ANCHOR_KEY checks its signature.
    """
    settings = load_settings(context)
    noted_heads = () if heads_file is None else _heads(heads_file)

    from oris.core.audit_anchor import AnchorKey
    from oris.storage.audit_trail import Check
    from oris.storage.backends import open_trail

    secret = settings.audit_anchor_key
    key = None if secret is None else AnchorKey(secret.reveal())
    with open_trail(settings) as trail:
        check = Check(trail, _tell, key)
        check.run(noted_heads)
    if check.bad:
        click.echo(f"broken chains: {len(check.bad)}; {check.records} records were read")
        return _BROKEN
    noted = "" if heads_file is None else f", and all {check.noted} heads of the file were found"
    click.echo(f"{check.records} records in {check.chains} chains: all unchanged{noted}")
    return 0


@audit.command()
@settings_flags
@click.pass_context
def heads(context: click.Context) -> int:
    """Print the end of each chain as a line of JSON. Keep these lines where writers of the database cannot write."""
    settings = load_settings(context)

    from oris.core.audit_check import write_head
    from oris.storage.backends import open_trail

    with open_trail(settings) as trail:
        for head in trail.heads():
            try:
                click.echo(write_head(head))
            except UnicodeEncodeError as error:
                raise ConfigError(f"chain {_shown(head.chain_id)} is damaged: see `oris audit verify`") from error
    return 0


def _tell(bad: Bad) -> None:
    record = "" if bad.audit_id is None else f" ({_shown(bad.audit_id)})"
    click.echo(f"chain {_shown(bad.chain_id)}: record {bad.seq}{record} {bad.what}")


def _shown(text: str) -> str:
    return text.encode("ascii", "backslashreplace").decode()


def _heads(file: TextIO) -> tuple[AuditHead, ...]:
    """The lines of a file that `audit heads` has printed, one per start of a server. Raises ConfigError for any other.

    All of them, before the trail is looked at: one that holds no head would be found in order against anything.
    """
    from oris.core.audit_check import read_head

    found: list[AuditHead] = []
    number = 0
    try:
        for line in file:
            number += 1
            found.append(read_head(line))
    except ValueError as error:
        raise ConfigError(f"{file.name}, line {number}: not a line of `oris audit heads`: {error}") from error
    if not found:
        raise ConfigError(f"{file.name}: this file has no heads; make it with `oris audit heads`")
    return tuple(found)
