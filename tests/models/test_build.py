"""The next champion pack: what is in it, that its bytes are the judged ones, and that it appears whole."""

from __future__ import annotations

import hashlib
import os
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from muster.models import build
from muster.models.build import BadSource, ModelsMissing, build_pack, incumbents
from muster.models.loading import read_bytes
from muster.models.manifest import MANIFEST
from muster.models.reader import MANIFEST_FILE, Pack, about, read_manifest

Line = Any
SLOPES = {"UA,EWR": 1.0, "AA,JFK": 2.0, "../../x,JFK": 3.0, '"a ""b"", c",é': 4.0}


def _models(line: Line, partition: str) -> pa.Table:
    return line.store.open("models").to_pyarrow_table(filters=[("partition", "=", partition)])


def _winners(*groups: str) -> pa.Table:
    return pa.table({"group": list(groups), "algorithm": ["logistic"] * len(groups), "score": [0.8] * len(groups)})


def test_holds_every_winner_with_the_run_it_came_from(line: Line) -> None:
    built = line.pack(SLOPES)
    manifest = read_manifest(built.folder, built.sha256)
    assert manifest.schema.remove_metadata() == MANIFEST
    assert set(manifest["group"].to_pylist()) == set(SLOPES)
    assert len(set(manifest["origin_run"].to_pylist())) == 1
    assert set(manifest["origin_partition"].to_pylist()) == {line.first}


def test_of_several_algorithms_the_winner_is_kept_and_named(line: Line) -> None:
    line.train(
        line.first,
        {"UA,EWR": {"forest": 1.0, "logistic": 2.0}, "AA,JFK": {"forest": 3.0, "logistic": 4.0}},
        logged=False,
    )
    winners = pa.table({"group": ["AA,JFK", "UA,EWR"], "algorithm": ["logistic", "forest"], "score": [0.8, 0.8]})
    built = build_pack(line.workload, line.store, date(2024, 2, 5), _models(line, line.first), winners, None)
    rows = read_manifest(built.folder, built.sha256).select(["group", "algorithm"]).to_pylist()
    assert {row["group"]: row["algorithm"] for row in rows} == {"AA,JFK": "logistic", "UA,EWR": "forest"}
    pack = Pack(built.folder, built.sha256)
    assert {group: pack.model(group).coef_[0, 0] for group in ("AA,JFK", "UA,EWR")} == {"AA,JFK": 4.0, "UA,EWR": 1.0}


def test_a_winner_of_an_algorithm_without_its_model_is_refused(line: Line) -> None:
    line.train(line.first, {"UA,EWR": {"forest": 1.0}}, logged=False)
    with pytest.raises(ModelsMissing, match="UA,EWR"):
        build_pack(line.workload, line.store, date(2024, 2, 5), _models(line, line.first), _winners("UA,EWR"), None)


def test_is_sorted_by_bucket_then_group(line: Line) -> None:
    built = line.pack(SLOPES)
    rows = read_manifest(built.folder, built.sha256).select(["bucket", "group"]).to_pylist()
    assert [(row["bucket"], row["group"]) for row in rows] == sorted((row["bucket"], row["group"]) for row in rows)


def test_keeps_the_incumbents_that_did_not_lose_byte_for_byte(line: Line) -> None:
    first = line.pack(SLOPES)
    line.train(line.second, {"UA,EWR": 9.0}, logged=False)
    champion = incumbents(line.store, first.folder, first.sha256)
    models = _models(line, line.second)
    second = build_pack(line.workload, line.store, date(2024, 2, 12), models, _winners("UA,EWR"), champion)
    before, after = (read_manifest(pack.folder, pack.sha256).to_pylist() for pack in (first, second))
    old, new = ({row["group"]: row for row in rows} for rows in (before, after))
    assert set(old) == set(new)
    assert old["AA,JFK"]["sha256"] == new["AA,JFK"]["sha256"]
    assert old["AA,JFK"]["origin_run"] == new["AA,JFK"]["origin_run"] != new["UA,EWR"]["origin_run"]
    assert Pack(second.folder, second.sha256).model("UA,EWR").coef_[0, 0] == 9.0
    assert Pack(second.folder, second.sha256).model("AA,JFK").coef_[0, 0] == 2.0


def test_incumbents_of_before_their_scores_were_described_are_kept_and_looked_at(line: Line) -> None:
    first = line.pack(SLOPES)
    manifest = read_manifest(first.folder, first.sha256)
    older = manifest.drop_columns("probabilities").replace_schema_metadata(manifest.schema.metadata)
    pq.write_table(older, first.folder / MANIFEST_FILE)
    digest = hashlib.sha256((first.folder / MANIFEST_FILE).read_bytes()).hexdigest()
    line.train(line.second, {"UA,EWR": 9.0}, logged=False)
    champion = incumbents(line.store, first.folder, digest)
    models = _models(line, line.second)
    second = build_pack(line.workload, line.store, date(2024, 2, 12), models, _winners("UA,EWR"), champion)
    pack = Pack(second.folder, second.sha256)
    assert (pack.about["probabilities"], pack.on_one_scale) == (None, True)


def test_the_same_inputs_give_the_same_bytes(line: Line) -> None:
    built = line.pack(SLOPES)
    bytes_before = {file.name: file.read_bytes() for file in built.folder.iterdir()}
    for file in built.folder.iterdir():
        file.unlink()
    built.folder.rmdir()
    again = line.pack(dict(reversed(SLOPES.items())))
    assert again == built
    assert {file.name: file.read_bytes() for file in again.folder.iterdir()} == bytes_before


def test_divides_shards_at_the_declared_size(line: Line) -> None:
    line.declared = {"pack": {"shard_bytes": 2**20}}
    heavy = {f"G{n},X": (line.model(n), np.random.default_rng(n).bytes(400_000)) for n in range(5)}
    built = line.pack(heavy)
    assert sorted(file.name for file in built.folder.glob("*.bin")) == [f"shard-00{n}.bin" for n in range(3)]
    assert max(file.stat().st_size for file in built.folder.glob("*.bin")) <= 2**20
    assert Pack(built.folder, built.sha256).model("G4,X")[0].coef_[0, 0] == 4


def test_refuses_a_winner_without_a_model(line: Line) -> None:
    line.train(line.first, {"UA,EWR": 1.0}, logged=False)
    with pytest.raises(ModelsMissing, match="AA,JFK"):
        build_pack(
            line.workload, line.store, date(2024, 2, 5), _models(line, line.first), _winners("UA,EWR", "AA,JFK"), None
        )


def test_refuses_a_source_that_was_tampered_with(line: Line) -> None:
    line.train(line.first, {"UA,EWR": 1.0}, logged=False)
    shard = next(Path(line.store.packs()).rglob("*.bin"))
    shard.write_bytes(bytes(shard.stat().st_size))
    with pytest.raises(BadSource, match=r"UA,EWR.*sha256"):
        build_pack(line.workload, line.store, date(2024, 2, 5), _models(line, line.first), _winners("UA,EWR"), None)


def test_refuses_a_shard_outside_the_store(line: Line) -> None:
    line.train(line.first, {"UA,EWR": 1.0}, logged=False)
    rows = _models(line, line.first)
    index = rows.schema.get_field_index("shard")
    rows = rows.set_column(index, "shard", pa.array(["../../etc/passwd"]))
    with pytest.raises(BadSource, match="not below the store"):
        build_pack(line.workload, line.store, date(2024, 2, 5), rows, _winners("UA,EWR"), None)


def test_a_build_that_breaks_off_leaves_nothing(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(build, "write_manifest", killed)
    with pytest.raises(KeyboardInterrupt):
        line.pack(SLOPES)
    assert not list(Path(line.store.packs()).glob("*champion*"))


def test_removes_what_a_killed_build_left_but_not_what_another_is_writing(line: Line) -> None:
    old, fresh = (Path(line.store.packs()) / name for name in (".champion-old.part", ".champion-fresh.part"))
    for folder in (old, fresh):
        folder.mkdir(parents=True)
    os.utime(old, (0, 0))
    line.pack(SLOPES)
    assert (old.exists(), fresh.exists()) == (False, True)


def test_says_what_a_scorer_needs_to_know(line: Line) -> None:
    line.declared = {"pack": {"fallback": {"keys": ["origin"], "share": 0.5}}}
    description = about(read_manifest(*line.pack(SLOPES)[:2]))
    assert description["keys"] == {"carrier": "string", "origin": "string"}
    assert description["features"] == ["a", "b", "record"]
    assert (description["fallback"], description["parent_keys"], description["baseline"]) == (
        "parent",
        ["origin"],
        "record",
    )
    assert description["prior"] == 0.25


def test_models_are_where_the_manifest_says(line: Line) -> None:
    built = line.pack(SLOPES)

    for row in read_manifest(built.folder, built.sha256).to_pylist():
        data = read_bytes(built.folder / row["shard"], row["offset"], row["length"])
        assert hashlib.sha256(data).hexdigest() == row["sha256"]
