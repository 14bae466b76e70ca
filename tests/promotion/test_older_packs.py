"""Packs of an older Muster, their shards beside the manifest: read, judged, scored with, carried on, gone back to."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from muster import groups
from muster.champions.opened import opponents
from muster.mlflow.client import connect
from muster.models.build import BuiltPack
from muster.models.bundle import CODE, CODE_OF_OLDER
from muster.models.loading import CorruptModel
from muster.models.manifest_reader import ABOUT, BESIDE, FORMAT, CorruptManifest, about
from muster.promotion import promoted
from tests.packs import manifest_of, pack_of
from tests.promotion.conftest import A, B, C, Line, stored
from tests.promotion.history import slopes

pytestmark = pytest.mark.slow
SHARDS = ("shard-000.bin", "shard-001.bin")
WON = {A: "promote", B: "promote", C: "promote"}
ROWS = pd.DataFrame(
    {"carrier": ["B", "A", "N"], "origin": ["X"] * 3, "a": [1.0] * 3, "b": [0.0] * 3, "record": [0.5] * 3}
)


def _older(line: Line, pack: BuiltPack, changes: Mapping[str, Any] | None = None) -> BuiltPack:
    """Write a pack as Muster did before shards were of the store: the last group's model in a shard of its own.

    In place of the given one, of today. `changes` are those of the manifest's first row.
    """
    manifest = manifest_of(line.store, *pack[:2])
    rows, data = manifest.to_pylist(), dict.fromkeys(SHARDS, b"")
    for row in rows:
        name = SHARDS[row is rows[-1]]
        model = line.store.files.read(row["shard"], row["offset"], row["length"])
        row |= {"shard": name, "offset": len(data[name])}
        data[name] += model
    rows[0] |= changes or {}
    described = {name: value for name, value in about(manifest).items() if name != "packed"} | {"format": BESIDE}
    schema = manifest.schema.with_metadata({ABOUT: json.dumps(described)})
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema), buffer, compression="zstd")
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    folder = Path(line.store.uri(line.store.packs), f"champion-{digest[:12]}")
    folder.mkdir(parents=True)
    for name, content in {**data, "manifest.parquet": buffer.getvalue()}.items():
        (folder / name).write_bytes(content)
    line.store.files.delete(f"{pack.folder}/manifest.parquet")
    for shard in manifest["shard"].unique().to_pylist():
        line.store.files.delete(shard)
    return BuiltPack(folder.relative_to(line.root).as_posix(), digest, len(rows))


@pytest.fixture
def older(line: Line) -> BuiltPack:
    """A pack of before, of three groups."""
    return _older(line, line.pack({A: 1.0, B: 2.0, C: 3.0}))


@pytest.fixture
def champion(served: Line, monkeypatch: pytest.MonkeyPatch) -> Line:
    """A line whose first champion is of before."""
    build = promoted.build_pack
    served.features(served.first, [{"group": group, "a": 1.0, "b": 0.0, "record": 0.5} for group in WON])
    served.week(served.first, WON, 1.0)
    with monkeypatch.context() as patched:
        patched.setattr(promoted, "build_pack", lambda *given: _older(served, build(*given)))
        assert served.promote(served.first)["moved"]
    return served


def _parent(group: str) -> str:
    return groups.parent_name(["carrier", "origin"], groups.values(group), ["origin"])


def _files(line: Line) -> dict[str, tuple[bytes, float]]:
    """Return what is in the first champion's folder, and when it was written."""
    found = Path(line.store.uri(_place(line))).iterdir()
    return {file.name: (file.read_bytes(), file.stat().st_mtime) for file in found}


def _place(line: Line) -> str:
    return f"{line.store.packs}/champion-{line.moves[0]['manifest_sha256'][:12]}"


def _formats(line: Line) -> list[int]:
    """Return the formats of all champions' packs, in the order of their moves."""
    digests = [move["manifest_sha256"] for move in line.moves]
    places = [(f"{line.store.packs}/champion-{digest[:12]}", digest) for digest in digests]
    return [about(manifest_of(line.store, *place))["format"] for place in places]


def test_its_models_are_where_its_manifest_says_beside_it(line: Line, older: BuiltPack) -> None:
    manifest, pack = manifest_of(line.store, *older[:2]), pack_of(line.store, *older[:2])
    assert set(manifest["shard"].to_pylist()) == {f"{older.folder}/{name}" for name in SHARDS}
    assert {group: pack.model(group).coef_[0, 0] for group in (A, B, C)} == {A: 1.0, B: 2.0, C: 3.0}
    answers = pack.answer([C, "N,X", A], ROWS[["a", "b", "record"]].to_numpy(), _parent)
    assert answers.score == pytest.approx([0.952574, 0.5, 0.731059], abs=1e-6)
    assert list(answers.fallback) == [None, "no model: baseline", None]


@pytest.mark.parametrize("name", SHARDS)
def test_bytes_that_are_not_those_of_its_manifest_are_refused(line: Line, older: BuiltPack, name: str) -> None:
    shard = Path(line.store.uri(older.folder), name)
    shard.write_bytes(bytes(shard.stat().st_size))
    manifest = manifest_of(line.store, *older[:2])
    for group, place in zip(manifest["group"].to_pylist(), manifest["shard"].to_pylist(), strict=True):
        if place == f"{older.folder}/{name}":
            with pytest.raises(CorruptModel, match=f"in shard '{place}'"):
                pack_of(line.store, *older[:2]).model(group)
        else:
            pack_of(line.store, *older[:2]).model(group)


@pytest.mark.parametrize("name", ["../shard-000.bin", "/etc/passwd", "a/b.bin", "..", ".", ""])
def test_a_shard_that_is_not_beside_its_manifest_is_refused(line: Line, name: str) -> None:
    forged = _older(line, line.pack({A: 1.0}), {"shard": name})
    with pytest.raises(CorruptManifest, match="no plain file name"):
        manifest_of(line.store, *forged[:2])


def test_it_is_what_candidates_are_judged_against_and_what_scores(champion: Line) -> None:
    against = opponents(champion.at(champion.second))
    assert against is not None
    with against.open([A, B]) as opened:
        incumbents = opened.incumbents(pa.array([A, B]))
    assert incumbents.version_of(A) == "1"
    places = incumbents.manifest.select(["shard", "offset", "length", "sha256"]).to_pylist()
    for *place, sha256 in (row.values() for row in places):
        assert hashlib.sha256(incumbents.files.read(*place)).hexdigest() == sha256
    assert slopes(champion) == {A: 1.0, B: 1.0, C: 1.0}


def test_the_next_champion_refers_to_its_shards_and_leaves_them_as_they_are(champion: Line) -> None:
    for file in Path(champion.store.uri(_place(champion))).iterdir():
        os.utime(file, (0, 0))
    before = _files(champion)
    champion.week(champion.second, {A: "promote", B: "reject"}, 7.0, "1")
    result = champion.promote(champion.second)
    assert (result["promoted"], result["kept"], result["from_version"]) == (1, 2, "1")
    assert slopes(champion) == {A: 7.0, B: 1.0, C: 1.0}
    now = champion.champion()
    assert now is not None
    rows = {row["group"]: row for row in manifest_of(champion.store, now.place, now.digest).to_pylist()}
    assert {rows[group]["shard"].rpartition("/")[0] for group in (B, C)} == {_place(champion)}
    assert rows[A]["shard"].startswith(f"{champion.store.packs}/shards/")
    assert _formats(champion) == [BESIDE, FORMAT]
    assert _files(champion) == before


def test_one_goes_back_to_it_and_to_some_of_its_models(champion: Line) -> None:
    champion.week(champion.second, {A: "promote", B: "promote"}, 7.0, "1")
    champion.promote(champion.second)
    assert champion.roll_back(None, [A])["moved"]
    assert slopes(champion) == {A: 1.0, B: 7.0, C: 1.0}
    assert champion.roll_back("1")["to_version"] == "1"
    assert slopes(champion) == {A: 1.0, B: 1.0, C: 1.0}


def test_mlflow_answers_with_its_models_and_with_those_that_are_carried_on(champion: Line) -> None:
    champion.week(champion.second, {A: "promote"}, 7.0, "1")
    champion.promote(champion.second)
    for version, slope in (("1", 1.0), ("2", 7.0)):
        answers = mlflow.pyfunc.load_model(f"models:/{champion.name}/{version}").predict(ROWS)
        expected = pack_of(champion.store, *_version(champion, version)).answer(
            [B, A, "N,X"], ROWS[["a", "b", "record"]].to_numpy(), _parent
        )
        assert answers["score"].tolist() == list(expected.score)
        assert answers["fallback"].tolist() == [None, None, "no model: baseline"]
        assert expected.score[1] == pytest.approx(1 / (1 + 2.718281828459045**-slope))


def _version(line: Line, number: str) -> tuple[str, str]:
    tags = connect().get_model_version(line.name, number).tags
    return tags["muster.pack"], tags["muster.manifest_sha256"]


def test_what_an_older_muster_logged_of_it_is_whole_and_else_it_is_logged_again(
    champion: Line, artifact_store: Path
) -> None:
    source = str(connect().get_model_version(champion.name, "1").source)
    folder = stored(artifact_store, Path(source.removeprefix("models:/")).name)
    (models,) = folder.rglob("models.bin")
    models.unlink()
    assert champion.plan("1").difference["uploads_again"] == 1
    code = models.parent.parent
    for module in set(CODE) - set(CODE_OF_OLDER):  # as it was logged before: with less code, and its very shards
        (code / Path(str(module.__file__)).name).unlink()
    for name in SHARDS:
        (models.parent / name).write_bytes(Path(champion.store.uri(_place(champion)), name).read_bytes())
    assert champion.plan("1").difference["uploads_again"] == 0
    for needed in (models.parent / SHARDS[1], code / "reader.py"):
        content = needed.read_bytes()
        needed.unlink()
        assert champion.plan("1").difference["uploads_again"] == 1
        needed.write_bytes(content)
    (models.parent / SHARDS[1]).unlink()
    assert champion.roll_back("1")["moved"]
    assert mlflow.pyfunc.load_model(f"models:/{champion.name}/1").predict(ROWS)["score"].tolist()[1] == pytest.approx(
        0.731059, abs=1e-6
    )
