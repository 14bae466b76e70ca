"""`python -m muster`, and the command `muster` of the wheel."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from muster.cli import main


def run(command_line: Callable[[], None] = main) -> None:
    """Run a command line, and end the process with its code."""
    try:
        command_line()
    except SystemExit as end:
        sys.stdout.flush()
        sys.stderr.flush()
        # Arrow's threads may still run when Python takes the process apart: seen to abort it after all was done.
        os._exit(end.code if isinstance(end.code, int) else 0)


if __name__ == "__main__":
    run()
