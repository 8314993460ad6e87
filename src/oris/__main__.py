"""`python -m oris`."""

import sys

from oris.cli import main

sys.exit(main())
