"""`python -m tests.fuzz --inputs N --seed S [--only NUMBER]`: the campaign for a night, or one input again."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import trio

from ..e2e.server_process import serving
from .campaign import SETTINGS, campaign
from .runner import Fuzzer


def main() -> None:
    """Exits 1, with the input that did it, when something fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="the number of a single input")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="oris-fuzz-") as folder:
        if chosen.only is None:
            sys.stdout.write(f"seed {chosen.seed}: {campaign(Path(folder), chosen.seed, chosen.inputs)}\n")
            return
        with serving(Path(folder), **SETTINGS) as server:
            fuzzer = Fuzzer(server.address, chosen.seed)
            trio.run(fuzzer.prepare)
            trio.run(fuzzer.run, iter([chosen.only]))
            sys.stdout.write(f"answers: {dict(fuzzer.statuses)}\n{server.stderr.read_text()}")


if __name__ == "__main__":
    main()
