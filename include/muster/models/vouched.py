"""What vouches for the candidates' models until they are champions: a digest in MLflow, where the jobs alone write.

The table `models` says where a model's bytes are and what their sha256 is, but who can write the store can write both.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from muster.errors import MusterError
from muster.mlflow.candidates import MODELS_TAG
from muster.storage.tables import MODELS

ADDED = ("features_table", "probabilities")
"""Columns that came later: without a value they are no part of the digest, as in the rows of before."""


class ModelsNotVouched(MusterError):
    """Raised when `models` does not hold what training wrote into it."""

    def __init__(self, workload: str, partition: str, algorithm: str, expected: str | None) -> None:
        why = "is not what training wrote" if expected else f"has no digest in MLflow (tag '{MODELS_TAG}')"
        super().__init__(
            f"{workload} {partition}: the rows of '{algorithm}' in 'models': what is there {why}; no model of it is "
            "loaded: find out who changed the table, and run train for this partition again"
        )


def models_digest(rows: pa.Table) -> str:
    """Return the digest of rows of `models`, whatever their order."""
    digest = hashlib.sha256()
    columns = [name for name in MODELS.names if name in rows.column_names]
    for row in rows.select(columns).sort_by([("group", "ascending"), ("algorithm", "ascending")]).to_pylist():
        held = {name: value for name, value in row.items() if value is not None or name not in ADDED}
        digest.update(json.dumps(held, default=str).encode() + b"\n")
    return digest.hexdigest()


def check_models(workload: str, partition: str, rows: pa.Table, digests: Mapping[str, str | None]) -> None:
    """Check a partition's rows of `models` against the digests of their algorithms.

    Raises:
        ModelsNotVouched: naming the first algorithm whose rows are others.
    """
    for algorithm in sorted(set(rows["algorithm"].to_pylist())):
        expected = digests.get(algorithm)
        if expected is None or models_digest(rows.filter(pc.field("algorithm") == algorithm)) != expected:
            raise ModelsNotVouched(workload, partition, algorithm, expected)
