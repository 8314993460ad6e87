"""The simulator: servers, workers, clients and faults in one deterministic run. A seed determines everything.

The engine, the core, the SQLite store and the route table are the real ones; clock, disk, network and chance are not.
A code of a letter and a number names an invariant: see docs/invariants.md.
"""

from oris.sim.outcome import Outcome
from oris.sim.run import simulate
from oris.sim.sizes import Sizes

__all__ = ["Outcome", "Sizes", "simulate"]
