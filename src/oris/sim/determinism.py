"""Trio made deterministic: the only place that names its two private names. A canary test watches them.

What leaks all the same, and is kept out elsewhere: threads, uuids, the machine's clock, the order of sets, and what
the garbage collector finalizes when.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from trio._core import _run


@contextmanager
def deterministic(seed: int) -> Iterator[None]:
    """Within it, `trio.run` schedules by the seed alone. Everything is put back at the end."""
    allowed, state, collected = _run._ALLOW_DETERMINISTIC_SCHEDULING, _run._r.getstate(), gc.isenabled()
    setattr(_run, "_ALLOW_DETERMINISTIC_SCHEDULING", True)  # noqa: B010  (trio declares it Final)
    _run._r.seed(seed)
    gc.disable()
    try:
        yield
    finally:
        setattr(_run, "_ALLOW_DETERMINISTIC_SCHEDULING", allowed)  # noqa: B010
        _run._r.setstate(state)
        if collected:
            gc.enable()
