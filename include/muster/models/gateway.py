"""The pack as one MLflow model: rows of any groups in, scores out. MLflow runs this file alone, without Muster."""

from __future__ import annotations

import hashlib
import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel


def _package(files: list[Path]) -> str:
    """Make the files that came with the pack a package, and return its name.

    The name holds their digest: it meets no other module's, and packs of the same code share it.
    """
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    name = f"_muster_pack_{digest[:16]}"
    package = sys.modules.setdefault(name, ModuleType(name))
    package.__path__ = getattr(package, "__path__", [str(files[0].parent)])
    return name


class Gateway(PythonModel):
    """Route each row to its group's model; models are loaded when first asked for."""

    def load_context(self, context: Any) -> None:
        """Open the pack: its manifest is checked here, each model before it is first used."""
        config, artifacts = context.model_config, context.artifacts
        package = _package([Path(artifacts[name]) for name in ("groups", "loading", "reader")])
        self._groups, reader = (importlib.import_module(f"{package}.{name}") for name in ("groups", "reader"))
        self._unknown = reader.UnknownGroups
        self.pack = reader.Pack(Path(artifacts["pack"]), config["manifest_sha256"], config["cache_bytes"])

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Score rows of keys and features: `score`, the `origin_run` of the model, the `fallback` reason or null."""
        names, features = self._names(model_input), self.pack.about["features"]
        matrix = model_input[features].to_numpy(np.float64)
        try:
            answers = self.pack.answer(names, matrix, self._parent)
        except self._unknown as error:
            raise MlflowException(str(error), INVALID_PARAMETER_VALUE) from error
        return pd.DataFrame(answers._asdict(), index=model_input.index)

    def _names(self, rows: pd.DataFrame) -> list[str]:
        values = list(zip(*(rows[key].tolist() for key in self.pack.about["keys"]), strict=True))
        named = {value: self._groups.name(value) for value in set(values)}
        return [named[value] for value in values]

    def _parent(self, group: str) -> str:
        about = self.pack.about
        parent: str = self._groups.parent_name(list(about["keys"]), self._groups.values(group), about["parent_keys"])
        return parent


set_model(Gateway())
