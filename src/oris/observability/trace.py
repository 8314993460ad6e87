"""Trace context as the W3C defines it (Trace Context, level 1): read, carried on, written.

What cannot be read starts a new trace, and never refuses a request. `tracestate` is neither read nor handed on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from oris.ids import RandomBits

_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-)?")
_LENGTH: Final = 55
"""The characters of the four fields, dashes included."""
_NO_TRACE = "0" * 32
_NO_SPAN = "0" * 16
_SAMPLED: Final = 1


@dataclass(frozen=True, slots=True)
class Trace:
    """A position in a trace: the trace, this span, the span that caused it, and whether it is sampled.

    Ids are lower-case hex, 32 and 16 digits. `flags` has only the bit that level 1 defines, sampled (1).
    """

    trace_id: str
    span_id: str
    parent_span_id: str | None = None
    flags: int = _SAMPLED

    @property
    def traceparent(self) -> str:
        """The header that hands this position to somebody else."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"

    def child(self, random: RandomBits) -> Trace:
        """A new span of the same trace, caused by this one."""
        return Trace(self.trace_id, _fresh(random, 64), self.span_id, self.flags)

    @staticmethod
    def new(random: RandomBits) -> Trace:
        """The first span of a new trace; sampled, so that those behind it keep what they see."""
        return Trace(_fresh(random, 128), _fresh(random, 64))


def read_traceparent(header: str) -> Trace | None:
    """The caller's own span, out of its `traceparent` header; go on with `child`.

    A later version may carry more fields; its first four are read. None for what is malformed, has version ff, or an
    id of zeros.
    """
    return _read(header[: _LENGTH + 1])


@lru_cache(maxsize=4096)
def _read(beginning: str) -> Trace | None:
    """`beginning` is the four fields and what follows at once. More says nothing, and strangers could fill the cache
    with it.
    """
    match = _FORM.fullmatch(beginning)
    if match is None:
        return None
    version, trace_id, span_id, flags, rest = match.groups()
    if version == "ff" or (version == "00" and rest is not None) or trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    return Trace(trace_id, span_id, None, int(flags, 16) & _SAMPLED)


def stored_trace(text: str) -> Trace:
    """The span that a run was stored with, which was written here."""
    trace = read_traceparent(text)
    assert trace is not None, text
    return trace


def _fresh(random: RandomBits, bits: int) -> str:
    number = 0
    while number == 0:  # the one value that is not an id
        number = random.getrandbits(bits)
    return f"{number:0{bits // 4}x}"
