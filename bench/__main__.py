"""`python -m bench [http|jobs|latency|fleet|lanes|outage|loops|slo] [--json] [--tiny]`; no part: the first four."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable

from bench.fleet import Fleet, fleet
from bench.lanes import Lanes, lanes
from bench.latency import Latencies, latency
from bench.loops import Loops, loops
from bench.machine import Machine, machine
from bench.measure import TINY, Size
from bench.outage import Outages, outage
from bench.slo import missed
from bench.table import lines
from bench.throughput import Http, Jobs, http, jobs
from oris.demo.processes import ending_on_signals

Found = Machine | Http | Jobs | Latencies | Fleet | Lanes | Outages | Loops
USUAL: dict[str, Callable[[Size], Found]] = {"http": http, "jobs": jobs, "latency": latency, "fleet": fleet}
PARTS: dict[str, Callable[[Size], Found]] = {**USUAL, "lanes": lanes, "outage": outage, "loops": loops}
"""The last three take minutes."""


def main() -> int:
    """Measure and print. `slo` measures the latencies; 1 when a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure Oris on this machine.")
    parser.add_argument("part", nargs="?", choices=[*PARTS, "slo"], help="one part alone")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    parser.add_argument("--tiny", action="store_true", help="only show that it runs; the numbers mean nothing")
    given = parser.parse_args()
    size = TINY if given.tiny else Size()
    names = list(USUAL) if given.part is None else ["latency" if given.part == "slo" else given.part]
    found: dict[str, Found] = {"machine": machine()}
    with ending_on_signals():
        for name in names:
            found[name] = PARTS[name](size)
    if given.json:
        print(json.dumps({name: dataclasses.asdict(part) for name, part in found.items()}, indent=2))
    else:
        print("\n".join(lines(found)))
    failures = missed(found["latency"]) if given.part == "slo" and isinstance(found["latency"], Latencies) else []
    for failure in failures:
        print(f"target missed: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
