"""Muster's own code as one zip, for executors that have no checkout of it."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

from muster.settings import PROJECT

PACKAGES = {"muster": PROJECT / "include" / "muster", "jobs": PROJECT / "jobs"}


def packed_code(folder: Path) -> Path:
    """Return the zip of today's code in `folder`, made when it is not there; its name tells its content."""
    files = sorted(_files())
    digest = hashlib.sha256(b"".join(name.encode() + file.read_bytes() for name, file in files)).hexdigest()
    packed = folder / f"muster-{digest[:12]}.zip"
    if not packed.exists():
        folder.mkdir(parents=True, exist_ok=True)
        partial = packed.with_suffix(f".{os.getpid()}.tmp")
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, file in files:
                archive.write(file, name)
        partial.replace(packed)
    return packed


def _files() -> Iterator[tuple[str, Path]]:
    for package, folder in PACKAGES.items():
        for file in folder.rglob("*.py"):
            yield f"{package}/{file.relative_to(folder)}", file
