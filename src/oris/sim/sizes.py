"""How big a simulation is. Times are virtual seconds."""

from __future__ import annotations

from msgspec import Struct

NODE = "sim:1"
"""The node that all of it runs on."""


class Sizes(Struct, frozen=True):
    """The defaults take about a third of a second of real time."""

    clients: int = 3
    workers: int = 4
    threads: int = 14
    """Threads per tenant."""
    jobs_per_client: int = 14
    safety_s: float = 18.0
    """The phase with faults."""
    liveness_s: float = 240.0
    """After the faults have stopped, every run must end within this."""
