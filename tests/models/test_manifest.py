"""The manifest keeps what a group's name depends on."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from muster.models.allowed import Forbidden
from muster.models.build import build_pack, incumbents
from muster.models.loading import load
from muster.models.manifest import MANIFEST, allowed_imports, describe, fits, manifest_bytes
from muster.models.manifest_reader import MANIFEST_FILE, about, read_manifest
from muster.storage.files import Files
from tests.promotion.conftest import Line

LIGHT = {"algorithms": {"light": ["sklearn.impute.SimpleImputer", "lightgbm.LGBMClassifier"]}}


def test_models_may_name_the_packages_of_the_declared_steps_and_what_is_declared_beside(line: Line) -> None:
    assert allowed_imports(line.workload) == []
    line.declared = {"algorithms": {"a": ":own", "b": "light.x:make"}, "pack": {"loads": ["numpy:average", "lightgbm"]}}
    assert allowed_imports(line.workload) == ["light", "light.x", "lightgbm", "numpy:average"]


def test_the_modules_of_steps_are_kept_and_allow_no_more_than_their_packages(line: Line) -> None:
    line.declared = {"algorithms": {"a": ["sklearn.impute.SimpleImputer", "acme.deep.models.Mine"]}}
    assert allowed_imports(line.workload) == ["acme", "acme.deep.models"]
    with pytest.raises(Forbidden, match="none of the packages"):
        load(b"cacme.deep.models\nMine\n.", ["acme.deep.models"])


def test_a_pack_allows_what_the_models_that_it_carries_on_may_name(line: Line) -> None:
    line.declared = LIGHT
    first = line.pack({"A,X": 1.0})
    line.declared = {}
    models = line.store.open("models").to_pyarrow_table()
    winners = pa.table({"group": ["A,X"], "algorithm": ["logistic"], "score": [0.75]})
    champion = incumbents(line.store, first.folder, first.sha256)
    built = build_pack(line.workload, line.store, date(2024, 2, 12), models, winners, champion)
    assert about(read_manifest(line.store.files, built.folder, built.sha256))["loads"] == ["lightgbm"]


def test_keys_keep_the_order_in_which_they_are_declared(line: Line, tmp_path: Path) -> None:
    line.declared = {"keys": ["origin", "carrier"]}
    description = describe(line.workload, MANIFEST.empty_table(), date(2024, 2, 5), "2024-02-05-00000000")
    data, sha256 = manifest_bytes(MANIFEST.empty_table(), description)
    (tmp_path / MANIFEST_FILE).write_bytes(data)
    read = about(read_manifest(Files(str(tmp_path)), "", sha256))
    assert list(read["keys"]) == ["origin", "carrier"]
    assert fits(read, line.workload)
    assert not fits(read | {"keys": dict(reversed(read["keys"].items()))}, line.workload)
