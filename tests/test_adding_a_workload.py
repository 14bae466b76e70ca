"""docs/adding_a_workload.md: every field is there with its default, and the worked example works."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from pydantic import AliasPath, BaseModel
from sklearn.metrics import roc_auc_score

from muster import groups
from muster.context import Context
from muster.features.compute import compute
from muster.ingest.landing import land
from muster.storage.store import Store
from muster.storage.tables import observations_schema
from muster.training.algorithms import estimator_factories
from muster.workload.functions import function
from muster.workload.load import load_workload
from muster.workload.spec import Workload
from muster.workload.windows import DateRange
from muster.workload.wording import sections
from muster_local import PROJECT

TEXT = (PROJECT / "docs" / "adding_a_workload.md").read_text(encoding="utf-8")
NOT_SECTIONS = {"columns", "rules", "steps"}
"""Their short forms are explained by themselves."""
DOCUMENTED_AS_WELL = {"fallback", "algorithms", "search"}
"""Sections that have a row of their own, besides their fields'."""


def declared(section: type[BaseModel], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each field's dotted path and default; `...` where it has none."""
    for name, field in section.model_fields.items():
        if isinstance(field.validation_alias, AliasPath):  # a key of a section that may be written short
            name = ".".join(map(str, field.validation_alias.path))
        inner = [] if name in NOT_SECTIONS else list(sections(field.annotation))
        if not inner or name in DOCUMENTED_AS_WELL:
            yield above + name, ... if field.is_required() else field.default
        for part in inner:
            yield from declared(part, f"{above}{name}.")


def documented() -> dict[str, Any]:
    rows = re.findall(r"^\| `([a-z_.]+)` \| ([^|]+) \|", TEXT, re.MULTILINE)
    words = {"required": ..., "none": None, "the file's name": ...}
    return {path: words[text] if text in words else yaml.safe_load(text.strip("`")) for path, text in rows}


def test_every_field_is_explained_with_its_default() -> None:
    fields = {path: list(value) if isinstance(value, tuple) else value for path, value in declared(Workload)}
    assert documented() == fields


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The worked example as it stands in the page."""
    folder = tmp_path_factory.mktemp("workloads")
    example = TEXT[TEXT.index("## A worked example") :]
    for language, suffix in (("yaml", "yaml"), ("python", "py")):
        block = re.search(rf"```{language}\n(.*?)```", example, re.DOTALL)
        assert block is not None
        (folder / f"parcels.{suffix}").write_text(block[1])
    return folder


@pytest.fixture(scope="module")
def parcels(folder: Path) -> Workload:
    return load_workload(folder / "parcels.yaml")


@pytest.fixture(scope="module")
def observations(parcels: Workload, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    """What ingest makes of the example's files."""
    store = Store(str(tmp_path_factory.mktemp("store")), "parcels")
    land(Context(parcels, folder, store))
    rows = pd.concat(
        pd.read_csv(file, parse_dates=["accepted"]) for file in sorted(Path(store.uri(store.landing)).glob("*.gz"))
    )
    rows["accepted"] = rows["accepted"].dt.tz_localize("UTC")
    rows["group"] = [groups.name(keys) for keys in rows[list(parcels.keys)].itertuples(index=False)]
    rows["bucket"] = [groups.bucket(name, parcels.features.buckets) for name in rows["group"]]
    rows["row_id"], rows["date"] = rows["parcel"], rows["accepted"].dt.date
    return pa.Table.from_pandas(rows, observations_schema(parcels), preserve_index=False)


def featured(workload: Workload, folder: Path, rows: pa.Table, days: DateRange) -> pd.DataFrame:
    return compute(workload, function(workload, folder, workload.features.function), rows, days).to_pandas()


def test_examples_model_learns_what_is_in_its_data(parcels: Workload, folder: Path, observations: pa.Table) -> None:
    rows = featured(parcels, folder, observations, DateRange(date(2024, 1, 1), date(2024, 4, 1)))
    of_group = rows[rows["group"] == "north,b"]
    x, y = of_group[list(parcels.features.columns)].to_numpy(), of_group["label"].to_numpy()
    later = (of_group["date"] >= date(2024, 3, 4)).to_numpy()
    fitted = (
        estimator_factories(Context(parcels, folder, Store("", "parcels")))[0].create(seed=1).fit(x[~later], y[~later])
    )
    assert roc_auc_score(y[later], fitted.predict_proba(x[later])[:, 1]) > 0.6


def test_examples_baseline_is_no_worse_than_chance(parcels: Workload, folder: Path, observations: pa.Table) -> None:
    rows = featured(parcels, folder, observations, DateRange(date(2024, 1, 1), date(2024, 4, 1)))
    scores = {group: roc_auc_score(own["label"], own[parcels.gate.baseline]) for group, own in rows.groupby("group")}
    assert min(scores.values()) > 0.45
    assert min(scores["north,b"], scores["south,b"]) > 0.6


def test_examples_features_know_nothing_of_the_day_itself(
    parcels: Workload, folder: Path, observations: pa.Table
) -> None:
    day = date(2024, 2, 7)
    hidden = np.array([moment >= day for moment in observations["date"].to_pylist()])
    outcome = pa.array(observations["days_late"].to_pylist(), mask=hidden)
    position = observations.schema.get_field_index("days_late")
    blind = observations.set_column(position, "days_late", outcome)
    days = DateRange(day, day + timedelta(days=1))
    features = list(parcels.features.columns)
    with_outcome, without = (featured(parcels, folder, rows, days)[features] for rows in (observations, blind))
    pd.testing.assert_frame_equal(with_outcome, without)
