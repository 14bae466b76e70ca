"""The table of contents of a pack: a row for each group, and what the pack is of in its metadata."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from muster.models.allowed import ALWAYS
from muster.models.manifest_reader import ABOUT, FORMAT, about
from muster.models.scores import BINARY
from muster.outcomes.kinds import kind_of
from muster.storage.tables import DATE, FLOAT, INT, LONG, STRING
from muster.workload.spec import Parent, Workload

MANIFEST = pa.schema(
    [
        ("group", STRING),
        ("bucket", INT),
        ("parent", pa.bool_()),
        ("algorithm", STRING),  # that trained the group's model
        ("shard", STRING),  # a path below the root
        ("offset", LONG),
        ("length", LONG),
        ("sha256", STRING),  # of the stored bytes
        ("origin_run", STRING),
        ("origin_partition", STRING),
        ("rows", LONG),
        ("positives", LONG),
        ("prior", FLOAT),
        ("score", FLOAT),  # the metric by which the gate let it in
        ("train_from", DATE),
        ("train_to", DATE),  # not included
        ("features_version", LONG),
        ("probabilities", pa.bool_()),  # whether the model's scores are; null of one trained before it was written down
        ("target", STRING),  # as in the table `models`
    ]
)


def allowed_imports(workload: Workload) -> list[str]:
    """Return what models of this workload may name beside numpy, scipy and scikit-learn: see `loading.load`.

    The packages of its declared steps, and what it declares under `pack: allowed_imports:`. And the steps' modules,
    which allow no more than their packages do: by them one's own code is found for whoever opens the models later.
    """
    modules = (step.name.rpartition(":" if ":" in step.name else ".")[0] for step in workload.steps)
    steps = {name for module in modules for name in (module.split(".")[0], module)}
    names = {*steps, *workload.pack.allowed_imports} - {""}
    return sorted(name for name in names if name.split(".")[0] not in ALWAYS or ":" in name)


def allowed_imports_of(*manifests: pa.Table) -> list[str]:
    """Return what models of these packs may name, as their manifests say."""
    return sorted({name for manifest in manifests for name in about(manifest).get("loads", ())})


def describe(
    workload: Workload, rows: pa.Table, partition: date, run: str, carried: Sequence[str] = (), baseline: str = "prior"
) -> dict[str, Any]:
    """Return what a manifest of `rows` says of its pack; enough to score without the workload's YAML.

    `baseline` is what answers without a model, see `feature_rows.answering_baseline`. `carried` is what models that
    come from another pack may name: an earlier workload may have declared other steps.
    """
    fallback = workload.pack.fallback
    return {
        "format": FORMAT,
        "workload": workload.name,
        "partition": partition.isoformat(),
        "run": run,
        "keys": {key: workload.columns[key].type for key in workload.keys},
        "features": list(workload.features.columns),
        "outcome": workload.outcome.model_dump(mode="json", exclude_none=True),
        "scale": workload.outcome.scale,
        "answers": workload.outcome.answers,
        "baseline": baseline,
        "fallback": "parent" if isinstance(fallback, Parent) else fallback,
        "parent_keys": list(fallback.keys) if isinstance(fallback, Parent) else [],
        "prior": _prior(workload, rows),
        "probabilities": all_probabilities(rows["probabilities"].to_pylist()),
        "loads": sorted({*allowed_imports(workload), *carried}),
        "packed": (pc.sum(rows["length"]).as_py() or 0) <= workload.pack.mlflow_bytes,
    }


def all_probabilities(models: Iterable[bool | None]) -> bool | None:
    """Tell whether the scores of all models are probabilities; None where that is not known of some."""
    known = set(models)
    return False if False in known else None if None in known else True


def _prior(workload: Workload, rows: pa.Table) -> float | list[float]:
    """Return what is known of any row by the training rows of all groups (parents pool the same rows again)."""
    own = rows.filter(pc.invert(rows["parent"]))
    counted = own if own.num_rows else rows
    return kind_of(workload.outcome).pooled(counted.select(["rows", "positives", "prior", "target"]).to_pylist())


def fits(description: dict[str, Any], workload: Workload) -> bool:
    """Tell whether models of a pack described so take this workload's keys and features, and answer on its scale."""
    keys, columns = list(workload.keys), list(workload.features.columns)
    same = list(description["keys"]) == keys and description["features"] == columns
    return (
        same and description.get("scale", BINARY) == workload.outcome.scale and _predicts_alike(description, workload)
    )


def _predicts_alike(description: dict[str, Any], workload: Workload) -> bool:
    """Tell whether both predict the same column; of yes and no another threshold is judged by the gate."""
    outcome = workload.outcome
    before = description.get("outcome", {}).get(outcome.kind, {}).get("column", outcome.predicted)
    return outcome.scale == BINARY or before == outcome.predicted


def manifest_bytes(rows: pa.Table, description: dict[str, Any]) -> tuple[bytes, str]:
    """Return a pack's manifest, and its sha256, which is the pack's digest.

    `rows` name shards by their paths below the root. It holds the sha256 of every model, so the digest vouches for all
    of them.
    """
    text = json.dumps(description)  # in its own order: a group's name follows that of the keys
    table = rows.select(MANIFEST.names).cast(MANIFEST).replace_schema_metadata({ABOUT: text})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    data = buffer.getvalue()
    return data, hashlib.sha256(data).hexdigest()
