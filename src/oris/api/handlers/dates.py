"""Times of the engine's clock as dates: what people are shown goes by the calendar."""

from __future__ import annotations

from oris.api.services import Call
from oris.wire.times import rfc3339


def date_of(call: Call, at_ms: int) -> str:
    """A time of the engine's, such as a lease's end, by the calendar as it stands now."""
    return rfc3339(at_ms + call.services.engine.clock.skew_ms())


def date_or_none(call: Call, at_ms: int | None) -> str | None:
    """The same of a time that there may not be."""
    return None if at_ms is None else date_of(call, at_ms)
