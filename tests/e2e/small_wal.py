"""The program with a smaller idea of a large WAL, so that a test need not write 128 MiB."""

from __future__ import annotations

import sys

import oris.server.disk
from oris.cli import main

oris.server.disk.WAL_LARGE_BYTES = 20 * 1024 * 1024
oris.server.disk.CHECKPOINT_S = 0.2

if __name__ == "__main__":
    sys.exit(main())
