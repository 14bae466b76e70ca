"""Turn a pack into a folder that MLflow can log: the gateway's code, the pack, and what it needs to run anywhere."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from muster import groups
from muster.groups import values
from muster.models import loading, reader
from muster.models.manifest import about, read_manifest
from muster.workload.spec import Workload

if TYPE_CHECKING:
    from mlflow.models import Model, ModelSignature

GATEWAY = Path(__file__).with_name("gateway.py")
NEEDED = ("mlflow", "numpy", "pandas", "pyarrow", "scikit-learn", "zstandard")
"""What the gateway imports and every pack needs. Stated, never inferred: MLflow's inference takes 2.6 s."""
CODE = (groups, loading, reader)
"""Modules that travel with every pack; beside one another, they import nothing else of Muster."""
_KEY_TYPES = {"int": "long"}
_PANDAS_TYPES = {"int": "int64"}


def save_bundle(workload: Workload, folder: Path, sha256: str, to: Path, model: Model) -> None:
    """Write the pack in `folder` as an MLflow model under `to`: a dozen files, whatever the number of groups."""
    from mlflow import pyfunc

    said = about(read_manifest(folder, sha256))
    pyfunc.save_model(
        path=str(to),
        mlflow_model=model,
        python_model=str(GATEWAY),
        artifacts={"pack": str(folder), **{module.__name__.split(".")[-1]: str(module.__file__) for module in CODE}},
        model_config={"manifest_sha256": sha256, "cache_bytes": workload.pack.cache_bytes},
        signature=_signature(said),
        input_example=_example(folder, sha256),
        pip_requirements=requirements(said.get("loads", ())),
    )


def requirements(loads: Iterable[str]) -> list[str]:
    """Return the packages that scoring needs with models that may name `loads`, each at the version installed here."""
    modules = {name.split(":")[0].split(".")[0] for name in loads}
    own = [name for module in sorted(modules) for name in _distributions().get(module, [])]
    return [f"{name}=={version(name)}" for name in dict.fromkeys([*NEEDED, *own]) if name != "muster"]


@cache
def _distributions() -> dict[str, list[str]]:
    return dict(packages_distributions())


def _signature(said: dict[str, Any]) -> ModelSignature:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    keys = [ColSpec(_KEY_TYPES.get(type_, "string"), key) for key, type_ in said["keys"].items()]
    features = [ColSpec("double", name) for name in said["features"]]
    explained = [ColSpec("string", name, required=False) for name in ("origin_run", "fallback")]
    return ModelSignature(Schema([*keys, *features]), Schema([ColSpec("double", "score"), *explained]))


def _example(folder: Path, sha256: str, rows: int = 2) -> pd.DataFrame:
    """Return rows of keys and features for the first groups of the pack; the features are zero."""
    manifest = read_manifest(folder, sha256)
    said = about(manifest)
    own = [item["group"] for item in manifest.select(["group", "parent"]).to_pylist() if not item["parent"]][:rows]
    keys = pd.DataFrame([values(group) for group in own], columns=list(said["keys"]), dtype=object)
    keys = keys.astype({key: _PANDAS_TYPES.get(type_, "object") for key, type_ in said["keys"].items()})
    return keys.assign(**dict.fromkeys(said["features"], 0.0))
