"""The manifest keeps what a group's name depends on."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from muster.pack.manifest import MANIFEST, about, describe, fits, read_manifest, write_manifest
from tests.pack.conftest import Line


def test_keys_keep_the_order_in_which_they_are_declared(line: Line, tmp_path: Path) -> None:
    line.declared = {"keys": ["origin", "carrier"]}
    said = describe(line.workload, MANIFEST.empty_table(), date(2024, 2, 5), "2024-02-05-00000000")
    sha256 = write_manifest(tmp_path, MANIFEST.empty_table(), said)
    read = about(read_manifest(tmp_path, sha256))
    assert list(read["keys"]) == ["origin", "carrier"]
    assert fits(read, line.workload)
