"""`python -m muster_local`: what `./muster` runs."""

from __future__ import annotations

from muster.__main__ import run
from muster_local.cli import main

run(main)
