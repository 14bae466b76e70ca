"""Muster's own code as one zip, for executors that have no checkout of it."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("muster", "muster_jobs")


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
    for package in PACKAGES:
        folder = _folder(package)
        for file in folder.rglob("*.py"):
            yield f"{package}/{file.relative_to(folder)}", file


def _folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"the package '{package}' is not installed; install muster's wheel")
    return Path(spec.submodule_search_locations[0])


def job_file(stage: str) -> str:
    """Return the file of a stage's job, wherever Muster is installed."""
    return str(_folder("muster_jobs") / f"{stage}.py")
