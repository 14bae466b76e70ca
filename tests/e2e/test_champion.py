"""The alias, its journal, the registered versions and what is in them after two weeks."""

from __future__ import annotations

import hashlib
import json

import mlflow
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from tests.conftest import RunningStack
from tests.e2e.answers import answers, origins
from tests.e2e.conftest import Read
from tests.e2e.expected import Week
from tests.e2e.rest import WORKLOAD

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def moves(read: Read, weeks: tuple[Week, Week]) -> pd.DataFrame:
    """Return the journal's rows of the two weeks, in order, without the rollbacks of other tests."""
    journal = read("alias_journal").sort_values("at")
    journal = journal[journal["cause"] != "rollback"]
    return journal[journal["partition"].isin([week.partition for week in weeks])].reset_index(drop=True)


def versions(registry: MlflowClient) -> list[ModelVersion]:
    first_two = [registry.get_model_version(WORKLOAD, version) for version in ("1", "2")]
    assert len(registry.search_model_versions(f"name = '{WORKLOAD}'")) >= len(first_two)
    return first_two


def test_the_alias_went_from_nothing_to_version_1_to_version_2(
    read: Read, registry: MlflowClient, weeks: tuple[Week, Week]
) -> None:
    journal = moves(read, weeks)
    assert journal["from_version"].tolist() == [None, "1"]
    assert journal["to_version"].tolist() == ["1", "2"]
    assert journal["partition"].tolist() == [week.partition for week in weeks]
    assert set(journal["cause"]) == {"gate"}
    assert set(journal["alias"]) == {"Champion"}
    last = read("alias_journal").sort_values("at").iloc[-1]
    assert registry.get_model_version_by_alias(WORKLOAD, "Champion").version == last["to_version"]


def test_the_journal_holds_the_evidence(read: Read, weeks: tuple[Week, Week]) -> None:
    for week, row in zip(weeks, moves(read, weeks).itertuples(), strict=True):
        decided = read("decisions", week.partition)
        evidence, counts = json.loads(row.evidence), decided["verdict"].value_counts()
        assert [evidence[name] for name in ("promoted", "held", "rejected")] == [*counts[["promote", "hold", "reject"]]]
        assert {row.run} == set(decided["run"])


def test_each_version_is_ready_and_tagged(registry: MlflowClient, read: Read, weeks: tuple[Week, Week]) -> None:
    for week, version, row in zip(weeks, versions(registry), moves(read, weeks).itertuples(), strict=True):
        assert version.status == "READY"
        assert version.tags["muster.partition"] == week.partition
        assert version.tags["muster.run"] == row.run
        assert version.tags["muster.manifest_sha256"] == row.manifest_sha256
        assert registry.get_run(version.run_id).data.tags["muster.run"] == row.run


def test_a_pack_is_winners_and_unchanged_incumbents(
    running_stack: RunningStack, registry: MlflowClient, read: Read, weeks: tuple[Week, Week]
) -> None:
    decided = [read("decisions", week.partition) for week in weeks]
    stored = pd.concat(read("models", week.partition) for week in weeks).set_index(["run", "group"])["sha256"]
    for number, version in enumerate(versions(registry), start=1):
        manifest = running_stack.home / "store" / version.tags["muster.pack"] / "manifest.parquet"
        assert hashlib.sha256(manifest.read_bytes()).hexdigest() == version.tags["muster.manifest_sha256"]
        rows = pq.read_table(manifest).to_pandas().set_index("group")
        assert rows["origin_run"].to_dict() == origins(decided[:number])
        for group, row in rows.iterrows():
            assert row["sha256"] == stored[row["origin_run"], group], group
            data = (running_stack.home / "store" / row["shard"]).read_bytes()[row["offset"] :][: row["length"]]
            assert hashlib.sha256(data).hexdigest() == row["sha256"], group


def test_both_weeks_have_winners_and_the_second_keeps_incumbents(read: Read, weeks: tuple[Week, Week]) -> None:
    first, second = (origins([read("decisions", week.partition)]) for week in weeks)
    assert first
    assert second
    assert first.keys() - second.keys()


def test_the_champion_scores_a_mixed_batch_as_the_independent_models_do(
    registry: MlflowClient, read: Read, weeks: tuple[Week, Week]
) -> None:
    assert registry.get_model_version_by_alias(WORKLOAD, "Champion").version == "2"
    model = mlflow.pyfunc.load_model(f"models:/{WORKLOAD}@Champion")
    declared, sample = weeks[1].year.declared, weeks[1].scored
    batch = pd.DataFrame(sample.x, columns=declared["features"]["columns"], index=sample.rows.index)
    batch = sample.rows[declared["keys"]].join(batch).sample(frac=1, random_state=0)
    expected = answers(weeks, [read("decisions", week.partition) for week in weeks], sample).loc[batch.index]
    actual = model.predict(batch)
    np.testing.assert_allclose(actual["score"], expected["score"], rtol=0, atol=1e-9)
    for name in ("origin_run", "fallback"):
        pd.testing.assert_series_equal(actual[name], expected[name], check_dtype=False)
