"""A pack, or one group's model, as an MLflow model: rows in, scores out. MLflow runs this file without Muster."""

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

CODE = ("groups", "loading", "reader")
"""Muster's modules that travel with the model as artifacts, those of them that it needs."""


def _modules(artifacts: dict[str, str]) -> dict[str, ModuleType]:
    """Import the modules that came with the model, as a package of their own.

    Its name holds their digest: it meets no other module's, and models of the same code share it.
    """
    files = {name: Path(artifacts[name]) for name in CODE if name in artifacts}
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files.values())).hexdigest()
    package = f"_muster_model_{digest[:16]}"
    parent = sys.modules.setdefault(package, ModuleType(package))
    parent.__path__ = getattr(parent, "__path__", [str(file.parent) for file in files.values()][:1])
    return {name: importlib.import_module(f"{package}.{name}") for name in files}


class ManyModels:
    """Routes each row to its group's model; models are loaded when first asked for."""

    def __init__(self, config: dict[str, Any], artifacts: dict[str, str]) -> None:
        modules = _modules(artifacts)
        self._groups, self._reader = modules["groups"], modules["reader"]
        self.pack = self._reader.Pack(Path(artifacts["pack"]), config["manifest_sha256"], config["cache_bytes"])

    def predict(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Score rows of keys and features: `score`, the `origin_run` of the model, the `fallback` reason or null."""
        matrix = rows[self.pack.about["features"]].to_numpy(np.float64)
        try:
            answers = self.pack.answer(self._names(rows), matrix, self._parent)
        except self._reader.UnknownGroups as error:
            raise MlflowException(str(error), INVALID_PARAMETER_VALUE) from error
        return pd.DataFrame(answers._asdict(), index=rows.index)

    def _names(self, rows: pd.DataFrame) -> list[str]:
        values = list(zip(*(rows[key].tolist() for key in self.pack.about["keys"]), strict=True))
        names = {value: self._groups.name(value) for value in set(values)}
        return [names[value] for value in values]

    def _parent(self, group: str) -> str:
        about = self.pack.about
        parent: str = self._groups.parent_name(list(about["keys"]), self._groups.values(group), about["parent_keys"])
        return parent


class OneModel:
    """One group's model: its bytes are verified, then loaded if they name declared classes only."""

    def __init__(self, config: dict[str, Any], artifacts: dict[str, str]) -> None:
        modules, stored = _modules(artifacts), Path(artifacts["model"])
        self._scores, self._features = modules["reader"].scores, list(config["features"])
        what = config["sha256"], config["group"], stored.name, config["loads"]
        self._model = modules["loading"].decode(stored.read_bytes(), *what)

    def predict(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Score rows of features: higher for likelier positives."""
        scores = self._scores(self._model, rows[self._features].to_numpy(np.float64))
        return pd.DataFrame({"score": scores}, index=rows.index)


class MusterModel(PythonModel):
    """What MLflow loads: a pack of many groups' models, or one group's."""

    def load_context(self, context: Any) -> None:
        """Open what was logged: a manifest or a model is verified here, a pack's models before they are first used."""
        form = ManyModels if "pack" in context.artifacts else OneModel
        self.answers = form(context.model_config, context.artifacts)

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Score rows; a row each."""
        return self.answers.predict(model_input)


set_model(MusterModel())
