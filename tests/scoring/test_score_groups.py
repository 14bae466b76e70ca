"""Scoring and judging with groups' own champions: as a pack of the same models does, and nothing stays behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from mlflow.exceptions import MlflowException

from muster.champions.errors import ALIAS, CannotLoad, NotVouched
from muster.champions.names import model_name
from muster.champions.opened import opponents
from muster.champions.versions import MODEL_DIGEST
from muster.mlflow.client import connect
from muster.models.loading import CorruptModel
from muster.scoring.score import CannotScore, prepare, score_bucket
from muster.storage.tables import PREDICTIONS
from tests.promotion.conftest import Line, left_behind, stored
from tests.registry.remembered import remembered

pytestmark = pytest.mark.slow
SLOPES = {"A,X": 1.0, "B,X": -2.0, "C,Y": 0.5, "*,X": 0.3}
PARENT = {"pack": {"fallback": {"keys": ["origin"]}}}
ROWS = ["A,X", "B,X", "C,Y", "N,X", "M,Y"] * 7


def rows(names: list[str]) -> list[dict[str, Any]]:
    random = np.random.default_rng(0)
    return [{"group": name, "a": random.normal(), "b": 0.0, "record": random.random()} for name in names]


def scored(line: Line, partition: str) -> pa.Table:
    scoring = prepare(line.at(partition))
    tables = [score_bucket(scoring, bucket) for bucket in sorted(scoring.features.files)]
    return pa.concat_tables(tables).sort_by("row_id")


def two_weeks(line: Line) -> None:
    """Promote all groups, then new models of two of them."""
    remembered(line, promote_two_weeks)


def promote_two_weeks(line: Line, own_versions: bool = True) -> None:
    """Do so beside another line, whose history stays."""
    for partition in (line.first, line.second):
        line.features(partition, rows(ROWS))
    line.decide(line.first, line.train(line.first, SLOPES), dict.fromkeys(SLOPES, "promote"))
    line.promote(line.first)
    run = line.train(line.second, {group: slope * 3 for group, slope in SLOPES.items()})
    verdicts = {"A,X": "promote", "B,X": "reject", "C,Y": "hold", "*,X": "promote"}
    line.decide(line.second, run, verdicts, dict.fromkeys(SLOPES, "1") if own_versions else "1")
    line.promote(line.second)


@pytest.mark.parametrize("declared", [{}, PARENT], ids=["baseline", "parent"])
def test_predictions_are_exactly_those_of_a_pack_of_the_same_models(
    grouped: Line, tmp_path: Path, declared: dict[str, Any]
) -> None:
    grouped.declared |= declared
    packed = Line(tmp_path / "packed", dict(declared), grouped.name)
    promote_two_weeks(grouped)
    promote_two_weeks(packed, own_versions=False)
    for partition in (grouped.second, grouped.first):
        ours, theirs = scored(grouped, partition), scored(packed, partition)
        assert ours.schema == PREDICTIONS
        same = ["partition", "group", "bucket", "row_id", "time", "score", "fallback", "origin_run"]
        assert ours.select(same).equals(theirs.select(same))
    assert left_behind(grouped) == []


def test_each_prediction_names_the_version_of_the_model_that_answered(grouped: Line) -> None:
    grouped.declared |= PARENT
    two_weeks(grouped)
    rows = scored(grouped, grouped.second).select(["group", "model_version"]).to_pylist()
    versions = {row["group"]: row["model_version"] for row in rows}
    assert versions == {"A,X": "2", "B,X": "1", "C,Y": "1", "N,X": "2", "M,Y": None}


def test_without_any_champion_nothing_is_scored(grouped: Line) -> None:
    grouped.features(grouped.first, rows(ROWS))
    with pytest.raises(CannotScore, match="there is no champion yet"):
        scored(grouped, grouped.first)


def test_with_the_fallback_error_groups_without_a_champion_are_named(grouped: Line) -> None:
    grouped.declared |= {"pack": {"fallback": "error"}}
    two_weeks(grouped)
    with pytest.raises(CannotScore, match=r"2 groups have no model .* 'M,Y', 'N,X'"):
        scored(grouped, grouped.second)


def test_bytes_that_are_not_those_of_the_tag_are_never_loaded(grouped: Line, artifact_store: Path) -> None:
    two_weeks(grouped)
    champion = grouped.champion("A,X")
    assert champion is not None
    file = stored(artifact_store, Path(champion.place).name) / "artifacts" / "model.bin"
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    with pytest.raises(
        CannotLoad, match=r"group 'A,X', champion version 2, .* `\S*muster rollback .* uploads it again"
    ) as refused:
        scored(grouped, grouped.second)
    assert isinstance(refused.value.__cause__, CorruptModel)
    assert left_behind(grouped) == []


def test_a_version_tagged_with_other_bytes_than_the_journal_says_is_refused(grouped: Line) -> None:
    two_weeks(grouped)
    connect().set_model_version_tag(model_name(grouped.name, "A,X"), "2", MODEL_DIGEST, "0" * 64)
    with pytest.raises(NotVouched, match="the journal says"):
        scored(grouped, grouped.second)


def test_a_champion_that_a_human_chose_in_mlflow_answers(grouped: Line) -> None:
    two_weeks(grouped)
    connect().set_registered_model_alias(model_name(grouped.name, "A,X"), ALIAS, "1")
    versions = {row["group"]: row["model_version"] for row in scored(grouped, grouped.second).to_pylist()}
    assert (versions["A,X"], versions["B,X"]) == ("1", "1")


def test_candidates_are_judged_against_each_groups_champion_of_before_their_partition(grouped: Line) -> None:
    two_weeks(grouped)
    groups = pa.array(["A,X", "B,X", "N,X"])
    for partition, due in ((grouped.third, {"A,X": "2", "B,X": "1"}), (grouped.second, {"A,X": "1", "B,X": "1"})):
        judged = opponents(grouped.at(partition))
        assert judged is not None
        with judged.open(groups.to_pylist()) as opened:
            incumbents = opened.incumbents(groups)
            assert {group: incumbents.version_of(group) for group in due} == due
            assert incumbents.version_of("N,X") is None
            [shard] = incumbents.manifest["shard"].unique().to_pylist()
            about = incumbents.files.about(shard)
            assert about is not None
            assert about.size == sum(incumbents.manifest["length"].to_pylist())
    before = opponents(grouped.at(grouped.first))
    assert before is not None
    with before.open(groups.to_pylist()) as opened:
        assert opened.incumbents(groups).manifest.num_rows == 0
    assert left_behind(grouped) == []


def test_a_champion_promoted_after_the_stage_began_is_opened(grouped: Line) -> None:
    grouped.week(grouped.first, dict.fromkeys(SLOPES, "promote"), 1.0)
    grouped.promote(grouped.first)
    begun = opponents(grouped.at(grouped.third))
    grouped.week(grouped.second, {"A,X": "promote"}, 2.0, {"A,X": "1"})
    grouped.promote(grouped.second)
    groups = pa.array(["A,X", "B,X"])
    assert begun is not None
    with begun.open(groups.to_pylist()) as opened:
        incumbents = opened.incumbents(groups)
        assert {group: incumbents.version_of(group) for group in groups.to_pylist()} == {"A,X": "2", "B,X": "1"}


@pytest.mark.parametrize("fallback", ["baseline", "error"])
def test_champions_that_all_take_other_features_score_nothing(grouped: Line, fallback: str) -> None:
    two_weeks(grouped)
    grouped.declared |= {"features": {"columns": ["b", "a", "record"], "buckets": 4}, "pack": {"fallback": fallback}}
    with pytest.raises(CannotScore, match="takes other keys, features or classes; train, evaluate and promote first"):
        prepare(grouped.at(grouped.second))


def test_with_the_fallback_error_groups_are_named_whose_champion_is_younger_or_takes_other_features(
    grouped: Line,
) -> None:
    two_weeks(grouped)
    grouped.declared |= {"pack": {"fallback": "error"}}
    grouped.week(grouped.third, {"M,Y": "promote"}, 1.0)
    grouped.promote(grouped.third)
    with pytest.raises(CannotScore, match=r"2 groups have no model .* 'M,Y', 'N,X'"):
        prepare(grouped.at(grouped.second))
    grouped.declared |= {"features": {"columns": ["b", "a", "record"], "buckets": 4}}
    grouped.week("2024-02-26", {"A,X": "promote"}, 1.0, {"A,X": "2"})
    grouped.promote("2024-02-26")
    grouped.features("2024-02-26", rows(["A,X", "B,X"]))
    with pytest.raises(CannotScore, match=r"1 groups have no model .* 'B,X'"):
        prepare(grouped.at("2024-02-26"))


def test_a_file_that_mlflow_has_and_does_not_give_is_not_gone(grouped: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    two_weeks(grouped)

    def fails(**_: Any) -> None:
        raise MlflowException("The following failures occurred while downloading: 503")

    monkeypatch.setattr("mlflow.artifacts.download_artifacts", fails)
    with pytest.raises(MlflowException, match="503"):
        scored(grouped, grouped.second)


def test_without_waiting_each_group_is_scored_by_its_champion_of_an_earlier_partition(grouped: Line) -> None:
    grouped.declared |= {**PARENT, "retrain": {"every": 7}}
    two_weeks(grouped)
    rows = scored(grouped, grouped.second).select(["group", "model_version"]).to_pylist()
    assert {row["group"]: row["model_version"] for row in rows} == dict.fromkeys(("A,X", "B,X", "C,Y", "N,X"), "1") | {
        "M,Y": None
    }
    with pytest.raises(CannotScore, match="no champion of an earlier partition yet"):
        scored(grouped, grouped.first)
