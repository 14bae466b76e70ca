"""`python -m muster_local`: what `./muster` runs."""

from __future__ import annotations

import os
import sys

from muster_local.cli import main

try:
    main()
except SystemExit as end:
    sys.stdout.flush()
    sys.stderr.flush()
    # Arrow's threads may still run when Python takes the process apart: seen to abort it after all was done.
    os._exit(end.code if isinstance(end.code, int) else 0)
