"""`./muster down`: stop everything of this home."""

from __future__ import annotations


def down() -> None:
    """Stop all services and jobs of this home, also those that a crash left behind."""
    from rich import print as show

    from muster.settings import settings
    from muster_local import local

    stopped = local.stop(settings())
    show(f"Stopped {stopped} processes." if stopped else "Nothing was running.")
