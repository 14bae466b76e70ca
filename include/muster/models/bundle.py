"""Turn a pack, or one group's model, into a folder that MLflow can log: its code, its bytes, what it needs to run."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from muster import groups
from muster.models import loading, reader
from muster.models.build import BuiltPack
from muster.models.manifest import allowed_imports
from muster.models.reader import about, read_manifest
from muster.workload.spec import Workload

if TYPE_CHECKING:
    from mlflow.models import Model, ModelSignature

PYFUNC = Path(__file__).with_name("pyfunc.py")
NEEDED = ("mlflow", "numpy", "pandas", "pyarrow", "scikit-learn", "zstandard")
"""What every model's code imports. Stated, never inferred: MLflow's inference takes 2.6 s."""
CODE = (groups, loading, reader)
"""Modules that travel with every pack; beside one another, they import nothing else of Muster."""
STORED = "artifacts/model.bin"
"""Where one group's stored bytes are in its MLflow model."""
_KEY_TYPES = {"int": "long"}
_PANDAS_TYPES = {"int": "int64"}


def save_pack(workload: Workload, pack: BuiltPack, to: Path, model: Model) -> None:
    """Write a pack as an MLflow model under `to`: a dozen files, whatever the number of groups."""
    from mlflow import pyfunc

    manifest = read_manifest(pack.folder, pack.sha256)
    description = about(manifest)
    pyfunc.save_model(
        path=str(to),
        mlflow_model=model,
        python_model=str(PYFUNC),
        artifacts={"pack": str(pack.folder), **_code(*CODE)},
        model_config={"manifest_sha256": pack.sha256, "cache_bytes": workload.pack.cache_bytes},
        signature=_pack_signature(description),
        input_example=_pack_example(manifest["group"].filter(_own(manifest)).to_pylist()[:2], description),
        pip_requirements=requirements(description.get("loads", ())),
    )


def save_model(workload: Workload, group: str, stored: Path, sha256: str, to: Path) -> None:
    """Write one group's stored bytes as an MLflow model under `to`."""
    from mlflow import pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    features, imports = list(workload.features.columns), allowed_imports(workload)
    inputs = Schema([ColSpec("double", name) for name in features])
    pyfunc.save_model(
        path=str(to),
        python_model=str(PYFUNC),
        artifacts={"model": str(stored), **_code(loading, reader)},
        model_config={"group": group, "loads": imports, "sha256": sha256, "features": features},
        signature=ModelSignature(inputs, Schema([ColSpec("double", "score")])),
        input_example=pd.DataFrame([dict.fromkeys(features, 0.0)]),
        pip_requirements=requirements(imports),
    )


def _code(*modules: Any) -> dict[str, str]:
    """Return modules as artifacts, by name."""
    return {module.__name__.split(".")[-1]: str(module.__file__) for module in modules}


def requirements(imports: Iterable[str]) -> list[str]:
    """Return the packages that scoring needs with models that may name `imports`, at the versions installed here."""
    modules = {name.split(":")[0].split(".")[0] for name in imports}
    own = [name for module in sorted(modules) for name in _distributions().get(module, [])]
    return [f"{name}=={version(name)}" for name in dict.fromkeys([*NEEDED, *own]) if name != "muster"]


@cache
def _distributions() -> dict[str, list[str]]:
    return dict(packages_distributions())


def _pack_signature(description: dict[str, Any]) -> ModelSignature:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    keys = [ColSpec(_KEY_TYPES.get(type_, "string"), key) for key, type_ in description["keys"].items()]
    features = [ColSpec("double", name) for name in description["features"]]
    explained = [ColSpec("string", name, required=False) for name in ("origin_run", "fallback")]
    return ModelSignature(Schema([*keys, *features]), Schema([ColSpec("double", "score"), *explained]))


def _own(manifest: pa.Table) -> pa.ChunkedArray:
    """Return which rows are groups of their own, not parents."""
    return pc.invert(manifest["parent"])


def _pack_example(examples: list[str], description: dict[str, Any]) -> pd.DataFrame:
    """Return rows of keys and features for some groups of the pack; the features are zero."""
    types = description["keys"]
    keys = pd.DataFrame([groups.values(group) for group in examples], columns=list(types), dtype=object)
    keys = keys.astype({key: _PANDAS_TYPES.get(type_, "object") for key, type_ in types.items()})
    return keys.assign(**dict.fromkeys(description["features"], 0.0))
