"""The files in which the attempts of a stage leave their results: `<partition>-<attempt>.json`."""

from __future__ import annotations

from pathlib import Path

ANY_PARTITION = "????-??-??"


def result_files(folder: Path, partition: str = ANY_PARTITION) -> list[Path]:
    """Return the results in a stage's folder, of all partitions or of one."""
    return list(folder.glob(f"{partition}-*.json"))


def partition_of(file: Path) -> str:
    """Return the partition that a result is of."""
    return file.name[: len(ANY_PARTITION)]
