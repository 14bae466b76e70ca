"""Turn a pack, or one group's model, into a folder that MLflow can log: its code, its bytes, what it needs to run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import packages_distributions, version
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from muster import groups
from muster.models import allowed, loading, manifest_reader, reader, scores, stored
from muster.models.build import BuiltPack, read_models
from muster.models.feature_rows import example_rows
from muster.models.manifest_reader import MANIFEST_FILE, PACKED, about, read_manifest
from muster.storage import files, object_store
from muster.storage.store import Store
from muster.workload.spec import Workload

if TYPE_CHECKING:
    from mlflow.models import Model, ModelSignature

PYFUNC = Path(__file__).with_name("pyfunc.py")
NEEDED = ("mlflow", "numpy", "pandas", "pyarrow", "scikit-learn", "zstandard")
"""What every model's code imports. Stated, never inferred: MLflow's inference takes 2.6 s."""
CODE = (groups, allowed, loading, scores, object_store, files, stored, manifest_reader, reader)
"""Modules that travel with every pack; beside one another, they import nothing else of Muster."""
CODE_OF_OLDER = (groups, allowed, loading, scores, reader)
"""Those that travelled with a pack that has its shards beside its manifest."""
CODE_OF_ONE = (allowed, loading, scores)
"""Those that travel with one group's model."""
STORED = "artifacts/model.bin"
"""Where one group's stored bytes are in its MLflow model."""
SAVED = ("MLmodel", "conda.yaml", PYFUNC.name, "python_env.yaml", "requirements.txt")
"""Files that MLflow writes with every model beside its artifacts; an input example there may be too."""
EXAMPLE_GROUPS = 3
"""Groups of which a pack's input example has rows."""


def save_pack(workload: Workload, store: Store, pack: BuiltPack, to: Path, model: Model) -> None:
    """Write a pack as an MLflow model under `to`: some twenty files, whatever the number of groups.

    The models are with it where its manifest says so; else it reads them from the store, with credentials of its own.

    Raises:
        BadSource: when a model's stored bytes are missing or not those of its digest.
    """
    from mlflow import pyfunc

    manifest = read_manifest(store.files, pack.folder, pack.sha256)
    description = about(manifest)
    packed = is_packed(description)
    folder = to.with_name(PurePosixPath(pack.folder).name)
    folder.mkdir()
    (folder / MANIFEST_FILE).write_bytes(store.files.read(f"{pack.folder}/{MANIFEST_FILE}"))
    if packed:
        with (folder / PACKED).open("wb") as models:
            models.writelines(read_models(store.files, manifest))
    own = manifest["group"].filter(pc.invert(manifest["parent"])).slice(0, EXAMPLE_GROUPS).to_pylist()
    pyfunc.save_model(
        path=str(to),
        mlflow_model=model,
        python_model=str(PYFUNC),
        artifacts={"pack": str(folder), **_code(*CODE)},
        model_config={
            "manifest_sha256": pack.sha256,
            "cache_bytes": workload.pack.cache_bytes,
            "store": None if packed else store.root,
        },
        signature=_signature(
            [*description["keys"], *description["features"]], description["answers"], "origin_run", "fallback"
        ),
        input_example=example_rows(workload, store, own),
        pip_requirements=requirements(
            description.get("loads", ()), NEEDED if packed or store.files.is_folder else (*NEEDED, "obstore")
        ),
    )


def is_packed(description: Mapping[str, Any]) -> bool:
    """Tell whether the MLflow model of a pack has the bytes of its models too: all did, before there was a choice."""
    return bool(description.get("packed", True))


def files_of_pack(folder: str, manifest: pa.Table) -> set[str]:
    """Return the files without which nobody can load the MLflow model of the pack in `folder`."""
    return _files_of(CODE, folder, [MANIFEST_FILE, *([PACKED] if is_packed(about(manifest)) else [])])


def files_of_older_pack(folder: str, manifest: pa.Table) -> set[str]:
    """Return them as an older Muster logged them: with the pack's very shards."""
    shards = (PurePosixPath(shard).name for shard in pc.unique(manifest["shard"]).to_pylist())
    return _files_of(CODE_OF_OLDER, folder, [MANIFEST_FILE, *shards])


def _files_of(code: Iterable[Any], folder: str, own: Iterable[str]) -> set[str]:
    own_files = (f"artifacts/{PurePosixPath(folder).name}/{name}" for name in own)
    return {*SAVED, *own_files, *(f"artifacts/{name}.py" for name in _code(*code))}


def files_of_model() -> set[str]:
    """Return the files without which nobody can load the MLflow model of one group."""
    return {*SAVED, STORED, *(f"artifacts/{name}.py" for name in _code(*CODE_OF_ONE))}


def save_model(
    workload: Workload, store: Store, group: str, stored: Path, sha256: str, imports: Sequence[str], to: Path
) -> None:
    """Write one group's stored bytes, which may name `imports`, as an MLflow model under `to`."""
    from mlflow import pyfunc

    features = list(workload.features.columns)
    example = example_rows(workload, store, [group])
    pyfunc.save_model(
        path=str(to),
        python_model=str(PYFUNC),
        artifacts={"model": str(stored), **_code(*CODE_OF_ONE)},
        model_config={
            "group": group,
            "loads": imports,
            "sha256": sha256,
            "features": features,
            "scale": workload.outcome.scale,
            "answers": workload.outcome.answers,
        },
        signature=_signature(features, workload.outcome.answers),
        input_example=None if example is None else example[features],
        pip_requirements=requirements(imports),
    )


def _code(*modules: Any) -> dict[str, str]:
    """Return modules as artifacts, by name."""
    return {module.__name__.split(".")[-1]: str(module.__file__) for module in modules}


def requirements(imports: Iterable[str], needed: Iterable[str] = NEEDED) -> list[str]:
    """Return the packages that scoring needs with models that may name `imports`, at the versions installed here.

    `needed` are those that it needs whatever they name.
    """
    modules = {name.split(":")[0].split(".")[0] for name in imports}
    own = [name for module in sorted(modules) for name in _distributions().get(module, [])]
    return [f"{name}=={_version(name)}" for name in dict.fromkeys([*needed, *own]) if name != "muster"]


_version = cache(version)


@cache
def _distributions() -> dict[str, list[str]]:
    return dict(packages_distributions())


def _signature(inputs: Iterable[str], answers: Mapping[str, str], *explained: str) -> ModelSignature:
    """Return what goes in and comes out; `answers` has the columns of classes' probabilities.

    Inputs are of any type: MLflow would refuse whole numbers for a double, and categories; `pyfunc.py` takes them, and
    its errors name the row.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import AnyType

    any_type = AnyType()  # type: ignore[no-untyped-call]
    texts = [ColSpec("string", name, required=False) for name in (*explained, *(["predicted"] if answers else []))]
    probabilities = [ColSpec("double", name) for name in answers]
    return ModelSignature(
        Schema([ColSpec(any_type, name) for name in inputs]),
        Schema([ColSpec("double", "score"), *texts, *probabilities]),
    )
