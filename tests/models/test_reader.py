"""Loading and scoring from a pack: verified, bounded, one predict a group, fallback as declared."""

from __future__ import annotations

import ast
import os
import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.svm import OneClassSVM

from muster import groups
from muster.models import reader
from muster.models.bundle import CODE
from muster.models.loading import CorruptModel
from muster.models.manifest import manifest_bytes
from muster.models.manifest_reader import MANIFEST_FILE, CorruptManifest, about
from muster.models.reader import Pack, UnknownGroups
from muster.models.scores import scores
from tests.packs import manifest_of, pack_of, shards_of

Line = Any
COUNTED: Counter[str] = Counter()


class Counting(LogisticRegression):
    """Count the calls of predict_proba."""

    def predict_proba(self, X: Any) -> Any:
        COUNTED["calls"] += 1
        return super().predict_proba(X)


def _parent(group: str) -> str:
    return groups.parent_name(["carrier", "origin"], groups.values(group), ["origin"])


def _features(*rows: tuple[float, float, float]) -> np.ndarray:
    return np.array(rows, dtype=np.float64)


def _sigmoid(value: float) -> float:
    return float(1 / (1 + np.exp(-value)))


def _open(line: Line, slopes: dict[str, Any], **options: Any) -> Pack:
    return pack_of(line.store, *line.pack(slopes)[:2], **options)


def test_what_ships_needs_nothing_but_what_ships() -> None:
    shipped = {str(module.__name__).rpartition(".")[2] for module in CODE}
    nodes = [node for module in CODE for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text()))]
    absolute = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    absolute |= {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    assert not [name for name in absolute if name.startswith("muster")]
    assert {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.level} <= shipped


def test_scores_rows_of_mixed_groups_in_their_order(line: Line) -> None:
    pack = _open(line, {"A,X": 1.0, "B,X": -2.0})
    answer = pack.answer(["B,X", "A,X", "B,X"], _features((1, 0, 0), (1, 0, 0), (3, 0, 0)), _parent)
    assert answer.score == pytest.approx([_sigmoid(-2), _sigmoid(1), _sigmoid(-6)])
    assert list(answer.fallback) == [None] * 3
    assert list(answer.origin_run) == [pack.origin_run("A,X")] * 3


def test_predicts_once_a_group_not_once_a_row(line: Line) -> None:
    line.declared = {"pack": {"loads": [__name__.split(".")[0]]}}
    model = line.model(1.0)
    model.__class__ = Counting
    pack = _open(line, {"A,X": model, "B,X": model})
    COUNTED.clear()
    pack.answer(["A,X", "B,X"] * 50, np.zeros((100, 3)), _parent)
    assert COUNTED["calls"] == 2


def test_the_baseline_answers_for_an_unknown_group(line: Line) -> None:
    pack = _open(line, {"A,X": 1.0})
    answer = pack.answer(["N,X", "N,X"], _features((0, 0, 0.7), (0, 0, np.nan)), _parent)
    assert list(answer.score) == [0.7, 0.25]
    assert list(answer.fallback) == ["no model: baseline", "no model: prior"]
    assert list(answer.origin_run) == [None, None]


def test_the_prior_answers_where_it_is_the_baseline(line: Line) -> None:
    line.declared = {"gate": {"baseline": "prior"}}
    answer = _open(line, {"A,X": 1.0}).answer(["N,X"], np.zeros((1, 3)), _parent)
    assert (answer.score[0], answer.fallback[0]) == (0.25, "no model: prior")


def test_the_parent_answers_where_declared_and_the_baseline_without_one(line: Line) -> None:
    line.declared = {"pack": {"fallback": {"keys": ["origin"]}}}
    pack = _open(line, {"A,X": 1.0, "*,X": 5.0})
    answer = pack.answer(["N,X", "N,Y"], _features((1, 0, 0), (1, 0, 0.3)), _parent)
    assert answer.score == pytest.approx([_sigmoid(5), 0.3])
    assert list(answer.fallback) == ["no model: parent", "no model: baseline"]
    assert list(answer.origin_run) == [pack.origin_run("*,X"), None]


@pytest.mark.parametrize("record", [13.5, -0.1])
def test_a_baseline_that_is_no_share_never_answers_among_probabilities(line: Line, record: float) -> None:
    line.features(line.first, [{"group": "A,X", "a": 1.0, "b": 0.0, "record": value} for value in (0.5, record, None)])
    answer = _open(line, {"A,X": 1.0}).answer(["N,X", "N,X"], _features((0, 0, record), (0, 0, 0.5)), _parent)
    assert list(answer.score) == [0.25, 0.25]
    assert list(answer.fallback) == ["no model: prior"] * 2


def test_a_value_that_is_no_share_is_not_answered_with(line: Line) -> None:
    answer = _open(line, {"A,X": 1.0}).answer(["N,X", "N,X"], _features((0, 0, 1.5), (0, 0, 0.9)), _parent)
    assert list(zip(answer.score, answer.fallback, strict=True)) == [
        (0.25, "no model: prior"),
        (0.9, "no model: baseline"),
    ]


def test_of_a_number_any_value_of_the_baseline_answers_and_else_the_mean(line: Line) -> None:
    line.declared = {"outcome": {"regression": {"column": "delay"}}}
    pack = _open(line, {"A,X": LinearRegression().fit(np.eye(3), [1.0, -40.0, 3.0])})
    answer = pack.answer(["A,X", "N,X", "N,X"], _features((0, 1, 0), (0, 0, 13.5), (0, 0, np.nan)), _parent)
    assert answer.score == pytest.approx([-40.0, 13.5, 0.25])
    assert list(answer.fallback) == [None, "no model: baseline", "no model: prior"]


def _forest() -> IsolationForest:
    return IsolationForest(n_estimators=5, random_state=0).fit(np.random.default_rng(0).normal(size=(60, 3)))


def test_where_any_scores_are_no_probabilities_nothing_answers_for_a_group_without_a_model(line: Line) -> None:
    pack = _open(line, {"A,X": _forest(), "B,X": 1.0})
    answer = pack.answer(["N,X", "A,X", "B,X"], _features((9, 9, 0.5), (0, 0, 0.5), (1, 0, 0.5)), _parent)
    assert answer.score[1:] == pytest.approx([scores(_forest(), _features((0, 0, 0.5)))[0], _sigmoid(1)])
    assert np.isnan(answer.score[0])
    assert list(answer.fallback) == ["no model: no score", None, None]


def test_a_probability_answers_only_for_a_model_that_gives_them(line: Line) -> None:
    svm = OneClassSVM().fit(np.eye(3))
    pack = _open(line, {"A,X": svm, "B,X": 1.0})
    answer = pack.answer(["A,X", "B,X"], _features((np.nan, np.inf, 0.6), (np.nan, np.inf, 0.6)), _parent)
    assert list(answer.fallback) == ["model failed: ValueError"] * 2
    assert np.isnan(answer.score[0])
    assert answer.score[1] == 0.6


@pytest.mark.parametrize(("model", "fallback"), [(1.0, "no model: baseline"), (_forest(), "no model: no score")])
def test_a_pack_of_before_it_was_written_down_is_looked_at(line: Line, model: Any, fallback: str) -> None:
    built = line.pack({"A,X": model})
    manifest = manifest_of(line.store, *built[:2])
    described = {name: value for name, value in about(manifest).items() if name != "probabilities"}
    data, digest = manifest_bytes(manifest, described)
    line.store.files.put(f"{built.folder}/{MANIFEST_FILE}", data)
    answer = pack_of(line.store, built.folder, digest).answer(["N,X"], _features((0, 0, 0.5)), _parent)
    assert list(answer.fallback) == [fallback]


def test_unknown_groups_are_named_where_the_fallback_is_an_error(line: Line) -> None:
    line.declared = {"pack": {"fallback": "error"}}
    with pytest.raises(UnknownGroups, match=r"2 group.*'M,X', 'N,X'"):
        _open(line, {"A,X": 1.0}).answer(["N,X", "A,X", "M,X"], np.zeros((3, 3)), _parent)


def test_a_missing_value_does_not_change_the_scores_of_the_other_rows(line: Line) -> None:
    pack = _open(line, {"A,X": 1.0})
    answer = pack.answer(["A,X", "A,X"], _features((np.nan, 0, 0.6), (1, 0, 0)), _parent)
    assert answer.score == pytest.approx([0.6, _sigmoid(1)])
    assert list(answer.fallback) == ["model failed: ValueError", None]
    assert list(answer.origin_run) == [None, pack.origin_run("A,X")]


def test_a_model_that_raises_harms_no_other_group(line: Line) -> None:
    answer = _open(line, {"A,X": LogisticRegression(), "B,X": 1.0}).answer(["A,X", "B,X"], np.ones((2, 3)), _parent)
    assert list(answer.fallback) == ["model failed: AttributeError", None]
    assert answer.score == pytest.approx([1.0, _sigmoid(1)])


@pytest.mark.parametrize("error", [SystemExit, GeneratorExit])
def test_a_model_that_ends_the_process_does_not(
    line: Line, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    def leave(*_: Any) -> None:
        raise error

    monkeypatch.setattr("muster.models.reader.scores", leave)
    answer = _open(line, {"A,X": 1.0}).answer(["A,X"], np.ones((1, 3)), _parent)
    assert list(answer.fallback) == [f"model failed: {error.__name__}"]


def test_no_rows_give_no_answers(line: Line) -> None:
    assert len(_open(line, {"A,X": 1.0}).answer([], np.zeros((0, 3)), _parent).score) == 0


def test_loads_only_what_is_asked_for_and_drops_the_least_recently_used(line: Line) -> None:
    names = [f"G{n},X" for n in range(5)]
    size = _size(line.model(1.0))
    pack = _open(line, dict.fromkeys(names, 1.0), cache_bytes=3 * size)
    assert pack.cached_bytes == 0
    first = pack.model(names[0])
    for name in names[1:3]:
        pack.model(name)
    assert pack.model(names[0]) is first
    for name in names[3:]:
        pack.model(name)
    assert pack.cached_bytes == 3 * size
    assert pack.model(names[0]) is first
    pack.model(names[1])
    assert pack.cached_bytes == 3 * size


def _size(model: Any) -> int:
    return len(pickle.dumps(model, protocol=5)) + reader.LIVE_BYTES


def test_tampered_bytes_are_refused_before_they_are_unpickled(line: Line, tmp_path: Path) -> None:
    built = line.pack({"A,X": 1.0})

    class Evil:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "owned"),)

    [shard] = shards_of(line.store, *built[:2])
    shard.write_bytes(zstandard.ZstdCompressor().compress(pickle.dumps(Evil())))
    with pytest.raises(CorruptModel, match=rf"'A,X' in shard 'packs/{line.name}/shards/{shard.name}'"):
        pack_of(line.store, *built[:2]).model("A,X")
    assert not (tmp_path / "owned").exists()


def test_a_missing_shard_is_corrupt_not_unknown(line: Line) -> None:
    built = line.pack({"A,X": 1.0})
    [shard] = shards_of(line.store, *built[:2])
    shard.unlink()
    with pytest.raises(CorruptModel):
        pack_of(line.store, *built[:2]).answer(["A,X"], np.zeros((1, 3)), _parent)


def test_a_tampered_manifest_is_refused(line: Line) -> None:
    built = line.pack({"A,X": 1.0})
    manifest = Path(line.store.uri(built.folder), MANIFEST_FILE)
    manifest.write_bytes(manifest.read_bytes() + b"x")
    with pytest.raises(CorruptManifest, match="expected was"):
        pack_of(line.store, *built[:2])


def test_a_missing_manifest_is_refused(line: Line) -> None:
    with pytest.raises(CorruptManifest, match="is not there"):
        manifest_of(line.store, "packs/none", "0" * 64)
