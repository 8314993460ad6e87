"""Note key uses: when keys were last used, so that one that nobody needs any more can be told."""

from __future__ import annotations

from msgspec.structs import replace

from oris.core.changes import Decision
from oris.core.commands import NoteKeyUses
from oris.core.facts import Facts
from oris.core.replies import KeyUsesNoted
from oris.core.stamp import Stamp


def note_key_uses(facts: Facts, command: NoteKeyUses, stamp: Stamp) -> Decision:
    """A later use than the one that is stored, or than one that a wrong clock has put into the future; keys that do not
    exist are passed over."""
    noted = tuple(
        replace(key, used_ms=used_ms)
        for key_id, used_ms in command.used
        if (key := facts.api_key(key_id)) is not None
        and (used_ms > (key.used_ms or 0) or (key.used_ms or 0) > stamp.date_ms)
    )
    return Decision(KeyUsesNoted(len(noted)), api_keys=noted)
