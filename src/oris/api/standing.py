"""Who is at work under which credential, so that he is sent away when it ends."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

import trio

from oris.errors import ApiError

K = TypeVar("K", bound=Hashable)


class Standing(Generic[K]):
    """Cancel scopes by the credential they are opened under."""

    def __init__(self, is_over: Callable[[K], ApiError]) -> None:
        """`is_over` is what somebody who is sent away is told."""
        self._is_over = is_over
        self._scopes: dict[K, dict[trio.CancelScope, None]] = {}

    @contextmanager
    def under(self, credential: K, left_s: float = math.inf) -> Iterator[None]:
        """Run the body until `send_away`, or for so long: it is cancelled then, and this raises ApiError 401."""
        scope = trio.CancelScope(deadline=trio.current_time() + left_s)
        waiting = self._scopes.setdefault(credential, {})
        waiting[scope] = None
        try:
            with scope:
                yield
        finally:
            del waiting[scope]
            if not waiting:
                self._scopes.pop(credential, None)
        if scope.cancelled_caught:
            raise self._is_over(credential)

    def send_away(self, credential: K, reason: str) -> None:
        """Its time is over. Synchronous; whoever stands under it is gone at his next checkpoint."""
        for scope in self._scopes.get(credential, ()):
            scope.cancel(reason=reason)
