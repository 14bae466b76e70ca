"""Tie a process to the one that started it: it gets SIGTERM when that one dies, however it dies.

Run as `python -I -S die_with_parent.py PARENT COMMAND...` it becomes that command. The tie survives exec, so it
holds for spark-submit's JVM too. Only Linux has it; elsewhere the command just runs.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1
"""Of `<linux/prctl.h>`; the signal comes when the parent's thread that started this process ends."""


def die_with_parent(parent: int) -> None:
    """Ask the kernel for the signal; end at once when the parent is gone already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit(128 + signal.SIGTERM)


def tied(command: Sequence[str]) -> list[str]:
    """Return the command that becomes `command`, tied to this process."""
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]


if __name__ == "__main__":
    die_with_parent(int(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 - the arguments come from the operator
