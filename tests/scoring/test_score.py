"""Scoring a bucket: the same answers as the gateway's, a row for each row, loading only what answers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import mlflow
import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from muster import groups
from muster.champions import opened
from muster.champions.opened import PackChampions
from muster.champions.versions import RegisteredVersion
from muster.features.files import list_features
from muster.mlflow.client import connect
from muster.scoring.score import CannotScore, NoChampionThen, Scoring, count_predictions, prepare, score_bucket
from muster.storage.tables import PREDICTIONS

Line = Any
KNOWN = {"A,X": 1.0, "B,X": -2.0, "C,Y": 0.5}


def _rows(names: list[str], seed: int = 0) -> list[dict[str, Any]]:
    random = np.random.default_rng(seed)
    return [{"group": name, "a": random.normal(), "b": 0.0, "record": random.random()} for name in names]


def _scoring(line: Line, partition: str, slopes: dict[str, Any]) -> Scoring:
    """Return the scoring of a slice with a pack of `slopes`, without MLflow."""
    built = line.pack(slopes)
    champion = RegisteredVersion(line.unit(), "7", built.sha256, line.first, built.folder)
    champions = PackChampions(champion, line.store, fits=True, fallback="baseline")
    days = line.at(partition).windows.score
    features = list_features(line.at(partition), days)
    return Scoring(line.workload, features, days, partition, datetime.now(UTC), champions)


def _score(line: Line, scoring: Scoring) -> pa.Table:
    tables = [score_bucket(scoring, bucket) for bucket in sorted(scoring.features.files)]
    return pa.concat_tables(tables).sort_by("row_id")


def test_every_row_gets_one_prediction_that_says_where_it_came_from(line: Line) -> None:
    line.features(line.first, _rows([*KNOWN, "N,X"] * 5))
    scoring = _scoring(line, line.first, KNOWN)
    predictions = _score(line, scoring)
    assert predictions.schema == PREDICTIONS
    assert predictions["row_id"].to_pylist() == [f"{number:05}" for number in range(20)]
    assert set(predictions["model_version"].to_pylist()) == {"7"}
    assert set(predictions["features_version"].to_pylist()) == {scoring.features.version}
    own = predictions.filter(pa.compute.is_null(predictions["fallback"]))
    assert set(own["group"].to_pylist()) == set(KNOWN)
    assert own["origin_run"].null_count == 0


def test_rows_of_other_slices_and_of_parents_are_not_scored(line: Line) -> None:
    line.features(line.first, _rows(["A,X", "*,X"]))
    line.features(line.second, _rows(["A,X"]))
    assert _score(line, _scoring(line, line.first, KNOWN)).num_rows == 1


def test_only_the_models_of_the_bucket_are_loaded(line: Line) -> None:
    line.features(line.first, _rows(list(KNOWN)))
    scoring = _scoring(line, line.first, KNOWN)
    opened._opened.cache_clear()
    bucket = groups.bucket("A,X", line.workload.features.buckets)
    mine = {name for name in KNOWN if groups.bucket(name, line.workload.features.buckets) == bucket}
    score_bucket(scoring, bucket)
    with scoring.champions.open([]) as pack:
        assert set(pack.reader(line.workload.pack.cache_bytes)._loaded) == mine != set(KNOWN)


def test_a_row_without_features_has_a_reason_for_a_score(line: Line) -> None:
    known = _rows(["A,X", "B,X", "N,X"])
    failed = {**known[1], "a": None, "record": None, "feature_error": "KeyError: 'kg'"}
    line.features(line.first, [known[0], failed, known[2]])
    rows = _score(line, _scoring(line, line.first, KNOWN)).to_pylist()
    assert [row["fallback"] for row in rows] == [None, "no features", "no model: baseline"]
    assert np.isnan(rows[1]["score"])
    assert rows[1]["origin_run"] is None
    assert np.isfinite([rows[0]["score"], rows[2]["score"]]).all()


def test_counts_who_answered(line: Line) -> None:
    line.features(line.first, _rows(["A,X", "A,X", "B,X", "N,X", "M,Y"]))
    write_deltalake(line.store.table("predictions"), _score(line, _scoring(line, line.first, KNOWN)))
    counts = count_predictions(line.at(line.first))
    assert counts == {"rows": 5, "groups": 4, "own": 3, "fallback": {"no model: baseline": 2}}
    assert count_predictions(line.at(line.second))["rows"] == 0


def _promoted(line: Line, slopes: dict[str, Any], partition: str = "", against: str | None = None) -> None:
    partition = partition or line.first
    run = line.train(partition, slopes)
    line.decide(partition, run, dict.fromkeys(slopes, "promote"), against)
    line.promote(partition)


@pytest.mark.slow
@pytest.mark.parametrize("fallback", ["baseline", {"keys": ["origin"], "share": 0.5}], ids=["baseline", "parent"])
def test_predictions_equal_the_gateways(served: Line, fallback: Any) -> None:
    served.declared = {"pack": {"fallback": fallback}}
    _promoted(served, {**KNOWN, "*,X": 3.0})
    rows = _rows([*KNOWN, "N,X", "N,Z"] * 40)
    served.features(served.first, rows)
    predictions = _score(served, prepare(served.at(served.first)))
    connect()
    frame = pa.Table.from_pylist(rows).to_pandas()
    frame[["carrier", "origin"]] = [groups.values(name) for name in frame["group"]]
    answers = mlflow.pyfunc.load_model(f"models:/{served.name}@Champion").predict(frame.drop(columns="group"))
    assert predictions["score"].to_pylist() == answers["score"].tolist()
    assert predictions["fallback"].to_pylist() == answers["fallback"].tolist()
    assert predictions["origin_run"].to_pylist() == answers["origin_run"].tolist()


@pytest.mark.slow
def test_without_a_champion_it_says_so(served: Line) -> None:
    served.features(served.first, _rows(["A,X"]))
    with pytest.raises(CannotScore, match="there is no champion yet"):
        prepare(served.at(served.first))


@pytest.mark.slow
def test_groups_without_a_model_are_named_before_anything_is_scored(served: Line) -> None:
    served.declared = {"pack": {"fallback": "error"}}
    _promoted(served, KNOWN)
    served.features(served.first, _rows(["A,X", "N,X", "*,X"]))
    with pytest.raises(CannotScore, match=r"1 groups have no model.*'N,X'$"):
        prepare(served.at(served.first))


@pytest.mark.slow
def test_a_champion_of_other_features_does_not_score(served: Line) -> None:
    _promoted(served, KNOWN)
    served.declared = {"features": {"columns": ["b", "a", "record"], "buckets": 4}}
    served.features(served.first, _rows(["A,X"]))
    with pytest.raises(CannotScore, match="takes other keys, features or classes"):
        prepare(served.at(served.first))


@pytest.mark.slow
def test_an_earlier_slice_is_left_as_it_is_where_its_champion_took_other_keys_or_features(served: Line) -> None:
    """A later partition has a champion that fits by now: nothing of this one's would make its own do so."""
    _promoted(served, KNOWN)
    served.declared = {"features": {"columns": ["b", "a", "record"], "buckets": 4}}
    _promoted(served, {"A,X": 2.0}, served.second, against="1")
    why = "champion version 1 of the slice's time took other keys, features or classes; what was predicted then stays"
    with pytest.raises(NoChampionThen, match=why):
        prepare(served.at(served.first))


@pytest.mark.slow
def test_a_slice_that_is_scored_again_gets_the_champion_of_its_own_time(served: Line) -> None:
    _promoted(served, KNOWN)
    _promoted(served, {"A,X": 2.0}, served.second, against="1")
    for partition in (served.first, served.second, served.third):
        served.features(partition, _rows(["A,X"]))
    by = {
        partition: prepare(served.at(partition)).champions for partition in (served.first, served.second, served.third)
    }
    assert {partition: champion.version for partition, champion in by.items()} == {
        served.first: "1",
        served.second: "2",
        served.third: "2",
    }


def test_without_waiting_a_slice_is_scored_by_an_earlier_partitions_champion_now_and_again(served: Line) -> None:
    served.declared |= {"retrain": {"every": 7}}
    served.features(served.first, _rows(["A,X"]))
    served.features(served.second, _rows(["A,X"]))
    _promoted(served, KNOWN)
    with pytest.raises(NoChampionThen, match="no champion of an earlier partition yet, and scoring waits for none"):
        prepare(served.at(served.first))
    assert prepare(served.at(served.second)).champions.version == "1"
    _promoted(served, {"A,X": 2.0}, served.second, against="1")
    assert prepare(served.at(served.second)).champions.version == "1"
    served.declared |= {"retrain": {"every": 7, "score_waits": True}}
    assert prepare(served.at(served.second)).champions.version == "2"
