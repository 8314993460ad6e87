"""The cursors of lists, masked: a place in a list is the number of a row, and the numbers of rows tell how many there
are, of whichever tenant.

What a cursor shows is the same for every node and after every restart, and for the same place; it is of one length for
all places that a list usually has. It is masked as in SIV mode: the tag is a MAC of the place, and the mask a stream of
MACs of the tag. A cursor that was changed, made up or taken from another list is none.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable

from oris.errors import not_a_cursor

_TAG = 16
_BLOCK = 32


class Cursors:
    """Masks with the secret of the database, which is read once."""

    def __init__(self, read_secret: Callable[[], Awaitable[bytes]]) -> None:
        self._read_secret = read_secret
        self._secret: bytes | None = None

    async def mask(self, of: str, place: str) -> str:
        """The cursor for a place in a list; `of` names the list. Raises StoreError."""
        secret = await self._known()
        # The length tells how many digits there are.
        padded = place.encode().ljust(-(-len(place) // _BLOCK) * _BLOCK)
        tag = _tag(secret, of, padded)
        return _text(tag + _masked(secret, tag, padded))

    async def unmask(self, of: str, cursor: str) -> str:
        """The place that a cursor of this list stands for. Raises ApiError 400 for any other text, StoreError."""
        secret = await self._known()
        try:
            raw = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        except ValueError:
            raise not_a_cursor() from None
        if _text(raw) != cursor:  # decoding passes over what is not of its alphabet
            raise not_a_cursor()
        tag, hidden = raw[:_TAG], raw[_TAG:]
        padded = _masked(secret, tag, hidden)
        if not hmac.compare_digest(tag, _tag(secret, of, padded)):
            raise not_a_cursor()
        return padded.rstrip().decode()

    async def _known(self) -> bytes:
        if self._secret is None:
            self._secret = await self._read_secret()
        return self._secret


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _tag(secret: bytes, of: str, padded: bytes) -> bytes:
    return hmac.digest(secret, b"tag\0" + of.encode() + b"\0" + padded, "sha256")[:_TAG]


def _masked(secret: bytes, tag: bytes, text: bytes) -> bytes:
    """Masked, or, what was masked, as it was."""
    blocks = range(-(-len(text) // _BLOCK))
    stream = b"".join(hmac.digest(secret, b"mask\0" + tag + block.to_bytes(2, "big"), "sha256") for block in blocks)
    return bytes(one ^ other for one, other in zip(text, stream, strict=False))
