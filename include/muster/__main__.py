"""`python -m muster`, and the command `muster` of the wheel."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress

from muster.cli import main


def run(command_line: Callable[[], None] = main) -> None:
    """Run a command line, and end the process with its code; a reader that has seen enough, `| head`, is no error."""
    code: object = 0
    try:
        command_line()
    except BrokenPipeError:
        pass
    except SystemExit as end:
        code = end.code
        if code is not None and not isinstance(code, int):
            sys.stderr.write(f"{code}\n")
            code = 1
    for stream in (sys.stdout, sys.stderr):
        with suppress(BrokenPipeError):
            stream.flush()
    # Arrow's threads may still run when Python takes the process apart: seen to abort it after all was done.
    os._exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    run()
