"""A manifest that is written over others says the same as one that is written whole, whatever came before."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from benchmarks.pack_data import workload_of
from muster.models.build import BuiltPack, write_pack
from muster.models.layers import PackAt
from muster.models.manifest import MANIFEST
from muster.models.manifest_reader import CorruptManifest, about, read_manifest
from muster.storage.store import Store
from muster.workload.spec import Workload

DAY = date(2024, 2, 5)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path), "layered")


def workload(mlflow_bytes: int = 0) -> Workload:
    declared = workload_of("layered")
    return declared.model_copy(update={"pack": declared.pack.model_copy(update={"mlflow_bytes": mlflow_bytes})})


def rows_of(models: Mapping[str, int]) -> pa.Table:
    """Return rows of a manifest: of each group a model that its number tells from others."""
    fixed = dict.fromkeys(MANIFEST.names) | {"parent": False, "length": 1, "rows": 3, "positives": 1}
    rows = [
        {
            **fixed,
            "group": group,
            "bucket": len(group),
            "shard": f"s{number}",
            "offset": number,
            "sha256": str(number),
            "prior": None if number % 3 else 0.5,
        }
        for group, number in models.items()
    ]
    return pa.Table.from_pylist(rows, MANIFEST)


def written(store: Store, models: Mapping[str, int], base: BuiltPack | None, mlflow_bytes: int = 0) -> BuiltPack:
    at = None if base is None else PackAt(base.folder, base.sha256)
    return write_pack(workload(mlflow_bytes), store, DAY, "run", rows_of(models), [], at)


def read(store: Store, pack: BuiltPack) -> pa.Table:
    return read_manifest(store.files, pack.folder, pack.sha256)


def under(store: Store, pack: BuiltPack) -> int:
    return len(about(read(store, pack)).get("under", ()))


def size(store: Store, pack: BuiltPack) -> int:
    found = store.files.about(f"{pack.folder}/manifest.parquet")
    assert found is not None
    return found.size


@pytest.mark.parametrize("seed", range(6))
def test_any_line_of_packs_reads_as_it_was_written(store: Store, seed: int) -> None:
    """Groups change, come and go; now and then a pack is written over an older one, as a rollback does."""
    chance, base, packs = random.Random(seed), None, []
    models = {f"g{number}": number for number in range(chance.randint(1, 40))}
    for _ in range(15):
        built = written(store, models, base)
        expected = rows_of(models).sort_by([("bucket", "ascending"), ("group", "ascending")])
        assert read(store, built).replace_schema_metadata(None).equals(expected)
        packs.append((dict(models), built))
        again = chance.random() < 0.2
        before, base = chance.choice(packs) if again else packs[-1]
        models = dict(before)
        for group in chance.sample(sorted(models), chance.randint(0, max(1, len(models) // chance.choice([1, 3, 10])))):
            if chance.random() < 0.25 and len(models) > 1:
                del models[group]
            else:
                models[group] = chance.randint(0, 10**6)
        if chance.random() < 0.3:
            models[f"g{chance.randint(0, 80)}"] = chance.randint(0, 10**6)


def test_what_is_written_is_what_changes_and_layers_are_as_many_as_doublings(store: Store) -> None:
    models = {f"group-{number:05}": number for number in range(10_000)}
    whole = pack = written(store, models, None)
    sizes, depths, changed = [], [], iter(range(10**6, 10**9))
    for week in range(12):
        models |= {f"group-{(week * 300 + number):05}": next(changed) for number in range(300)}
        pack = written(store, models, pack)
        sizes.append(size(store, pack) / size(store, whole))
        depths.append(under(store, pack))
    assert sorted(sizes)[len(sizes) // 2] < 0.15  # 3 % of the rows, and what a manifest says of itself
    assert sum(sizes) < 1.6  # twelve times whole would be 12
    assert max(depths) <= 4


def test_a_pack_that_mlflow_has_whole_is_written_whole(store: Store) -> None:
    first = written(store, {"a": 1, "b": 2, "c": 3}, None, mlflow_bytes=100)
    second = written(store, {"a": 9, "b": 2, "c": 3}, first, mlflow_bytes=100)
    assert (under(store, first), under(store, second)) == (0, 0)


def test_the_same_rows_over_the_same_pack_are_the_same_pack(store: Store) -> None:
    first = written(store, {"a": 1, "b": 2, "c": 3}, None)
    again = [written(store, {"a": 9, "b": 2, "c": 3}, first) for _ in range(2)]
    assert again[0] == again[1]
    assert under(store, again[0]) == 1


@pytest.mark.parametrize("fault", ["gone", "other"])
def test_a_layer_that_is_gone_or_another_is_refused(store: Store, fault: str) -> None:
    first = written(store, {"a": 1, "b": 2, "c": 3}, None)
    second = written(store, {"a": 9, "b": 2, "c": 3}, first)
    other = written(store, {"a": 1, "b": 2, "c": 4}, None)
    path = f"{first.folder}/manifest.parquet"
    if fault == "gone":
        store.files.delete(path)
    else:
        store.files.put(path, store.files.read(f"{other.folder}/manifest.parquet"))
    with pytest.raises(CorruptManifest, match="is not there" if fault == "gone" else "has sha256"):
        read(store, second)
