"""Chance: one stream per name, each from the seed alone, so that leaving one out does not shift the others."""

from __future__ import annotations

from hashlib import sha256
from random import Random


class Streams:
    """All random streams of a run."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._streams: dict[str, Random] = {}

    def __call__(self, name: str) -> Random:
        """The stream of this name; the same one whenever it is asked for."""
        stream = self._streams.get(name)
        if stream is None:
            digest = sha256(f"{self._seed}/{name}".encode()).digest()
            stream = self._streams[name] = Random(int.from_bytes(digest, "big"))
        return stream
