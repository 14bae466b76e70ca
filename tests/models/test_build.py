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
from muster.models.manifest import MANIFEST
from muster.models.manifest_reader import MANIFEST_FILE, CorruptManifest, about
from muster.storage.files import Files
from tests.packs import manifest_of, pack_of, shards_of

Line = Any
SLOPES = {"UA,EWR": 1.0, "AA,JFK": 2.0, "../../x,JFK": 3.0, '"a ""b"", c",é': 4.0}


def _models(line: Line, partition: str) -> pa.Table:
    return line.store.open("models").to_pyarrow_table(filters=[("partition", "=", partition)])


def _winners(*groups: str) -> pa.Table:
    return pa.table({"group": list(groups), "algorithm": ["logistic"] * len(groups), "score": [0.8] * len(groups)})


def _content(line: Line) -> dict[str, bytes]:
    """Return what is in the folders of packs and of champions' models, by path."""
    files, own = line.store.files, (f"{line.store.packs}/champion-", f"{line.store.packs}/{build.SHARDS}/")
    return {file.path: files.read(file.path) for file in files.listed(line.store.packs) if file.path.startswith(own)}


def _watched(monkeypatch: pytest.MonkeyPatch) -> tuple[set[str], set[str]]:
    """Return the paths of files that are read from now on, and of those that are written."""
    read: set[str] = set()
    written: set[str] = set()
    for name, seen in {"read": read, "read_ranges": read, "put": written, "create": written}.items():
        _watch(monkeypatch, name, seen)
    return read, written


def _watch(monkeypatch: pytest.MonkeyPatch, name: str, seen: set[str]) -> None:
    method = getattr(Files, name)

    def noted(files: Files, path: str, *arguments: Any) -> Any:
        seen.add(path)
        return method(files, path, *arguments)

    monkeypatch.setattr(Files, name, noted)


def test_holds_every_winner_with_the_run_it_came_from(line: Line) -> None:
    built = line.pack(SLOPES)
    manifest = manifest_of(line.store, *built[:2])
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
    rows = manifest_of(line.store, *built[:2]).select(["group", "algorithm"]).to_pylist()
    assert {row["group"]: row["algorithm"] for row in rows} == {"AA,JFK": "logistic", "UA,EWR": "forest"}
    pack = pack_of(line.store, *built[:2])
    assert {group: pack.model(group).coef_[0, 0] for group in ("AA,JFK", "UA,EWR")} == {"AA,JFK": 4.0, "UA,EWR": 1.0}


def test_a_winner_of_an_algorithm_without_its_model_is_refused(line: Line) -> None:
    line.train(line.first, {"UA,EWR": {"forest": 1.0}}, logged=False)
    with pytest.raises(ModelsMissing, match="UA,EWR"):
        build_pack(line.workload, line.store, date(2024, 2, 5), _models(line, line.first), _winners("UA,EWR"), None)


def test_is_sorted_by_bucket_then_group(line: Line) -> None:
    built = line.pack(SLOPES)
    rows = manifest_of(line.store, *built[:2]).select(["bucket", "group"]).to_pylist()
    assert [(row["bucket"], row["group"]) for row in rows] == sorted((row["bucket"], row["group"]) for row in rows)


def test_keeps_the_incumbents_that_did_not_lose_and_touches_none_of_their_bytes(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = line.pack(SLOPES)
    (old_shard,) = shards_of(line.store, *first[:2])
    os.utime(old_shard, (0, 0))
    line.train(line.second, {"UA,EWR": 9.0}, logged=False)
    champion = incumbents(line.store, first.folder, first.sha256)
    models = _models(line, line.second)
    read, written = _watched(monkeypatch)
    second = build_pack(line.workload, line.store, date(2024, 2, 12), models, _winners("UA,EWR"), champion)
    before, after = (manifest_of(line.store, *pack[:2]).to_pylist() for pack in (first, second))
    old, new = ({row["group"]: row for row in rows} for rows in (before, after))
    assert set(old) == set(new)
    kept = [old.pop(name) for name in ("AA,JFK", "../../x,JFK", '"a ""b"", c",é')]
    assert kept == [new.pop(row["group"]) for row in kept]
    assert new["UA,EWR"]["shard"] not in {row["shard"] for row in kept}
    assert read & set(models["shard"].to_pylist()) == set(models["shard"].to_pylist())
    assert {name for name in read if name.endswith(".bin")} == set(models["shard"].to_pylist())
    assert {name for name in written if name.endswith(".bin")} == {new["UA,EWR"]["shard"]}
    assert (
        sum(line.store.files.about(name).size for name in written if name.endswith(".bin")) == new["UA,EWR"]["length"]
    )
    assert old_shard.stat().st_mtime == 0
    assert {row["origin_run"] for row in kept} == {old["UA,EWR"]["origin_run"]} != {new["UA,EWR"]["origin_run"]}
    assert pack_of(line.store, *second[:2]).model("UA,EWR").coef_[0, 0] == 9.0
    assert pack_of(line.store, *second[:2]).model("AA,JFK").coef_[0, 0] == 2.0


def test_incumbents_of_before_their_scores_were_described_are_kept_and_looked_at(line: Line) -> None:
    first = line.pack(SLOPES)
    manifest = manifest_of(line.store, *first[:2])
    older = manifest.drop_columns("probabilities").replace_schema_metadata(manifest.schema.metadata)
    file = Path(line.store.uri(first.folder), MANIFEST_FILE)
    pq.write_table(older, file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    line.train(line.second, {"UA,EWR": 9.0}, logged=False)
    champion = incumbents(line.store, first.folder, digest)
    models = _models(line, line.second)
    second = build_pack(line.workload, line.store, date(2024, 2, 12), models, _winners("UA,EWR"), champion)
    pack = pack_of(line.store, *second[:2])
    assert (pack.about["probabilities"], pack.on_one_scale) == (None, True)


def test_the_same_inputs_give_the_same_bytes(line: Line) -> None:
    built = line.pack(SLOPES)
    bytes_before = _content(line)
    for name in bytes_before:
        line.store.files.delete(name)
    again = line.pack(dict(reversed(SLOPES.items())))
    assert again == built
    assert _content(line) == bytes_before


def test_another_manifest_under_its_name_is_not_taken_for_it(line: Line) -> None:
    built = line.pack(SLOPES)
    line.store.files.put(f"{built.folder}/{MANIFEST_FILE}", b"another")
    with pytest.raises(CorruptManifest, match="expected was"):
        line.pack(SLOPES)


def test_divides_shards_at_the_declared_size(line: Line) -> None:
    line.declared = {"pack": {"shard_bytes": 2**20}}
    heavy = {f"G{n},X": (line.model(n), np.random.default_rng(n).bytes(400_000)) for n in range(5)}
    built = line.pack(heavy)
    sizes = [file.stat().st_size for file in shards_of(line.store, *built[:2])]
    assert len(sizes) == 3
    assert max(sizes) <= 2**20
    assert pack_of(line.store, *built[:2]).model("G4,X")[0].coef_[0, 0] == 4


def test_refuses_a_winner_without_a_model(line: Line) -> None:
    line.train(line.first, {"UA,EWR": 1.0}, logged=False)
    with pytest.raises(ModelsMissing, match="AA,JFK"):
        build_pack(
            line.workload, line.store, date(2024, 2, 5), _models(line, line.first), _winners("UA,EWR", "AA,JFK"), None
        )


def test_refuses_a_source_that_was_tampered_with(line: Line) -> None:
    line.train(line.first, {"UA,EWR": 1.0}, logged=False)
    shard = next(Path(line.store.uri(line.store.packs)).rglob("*.bin"))
    shard.write_bytes(bytes(shard.stat().st_size))
    with pytest.raises(BadSource, match=r"UA,EWR.*sha256"):
        build_pack(line.workload, line.store, date(2024, 2, 5), _models(line, line.first), _winners("UA,EWR"), None)


def test_refuses_a_shard_outside_the_store(line: Line) -> None:
    line.train(line.first, {"UA,EWR": 1.0}, logged=False)
    rows = _models(line, line.first)
    index = rows.schema.get_field_index("shard")
    rows = rows.set_column(index, "shard", pa.array(["../../etc/passwd"]))
    with pytest.raises(BadSource, match="no path of a file below the root"):
        build_pack(line.workload, line.store, date(2024, 2, 5), rows, _winners("UA,EWR"), None)


def test_a_build_that_breaks_off_leaves_no_pack_and_the_next_one_is_whole(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(build, "manifest_bytes", killed)
        with pytest.raises(KeyboardInterrupt):
            line.pack(SLOPES)
    assert not list(Path(line.store.uri(line.store.packs)).glob("*champion*"))
    left = _content(line)
    built = line.pack(SLOPES)
    assert {name for name in _content(line) if name not in left} == {f"{built.folder}/{MANIFEST_FILE}"}
    assert pack_of(line.store, *built[:2]).model("AA,JFK").coef_[0, 0] == 2.0


def test_says_what_a_scorer_needs_to_know(line: Line) -> None:
    line.declared = {"pack": {"fallback": {"keys": ["origin"], "share": 0.5}}}
    description = about(manifest_of(line.store, *line.pack(SLOPES)[:2]))
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

    for row in manifest_of(line.store, *built[:2]).to_pylist():
        assert row["shard"].startswith(f"{line.store.packs}/{build.SHARDS}/")
        data = line.store.files.read(row["shard"], row["offset"], row["length"])
        assert hashlib.sha256(data).hexdigest() == row["sha256"]
