"""One group's model as an MLflow model: features in, scores out. MLflow runs this file alone, without Muster."""

from __future__ import annotations

import hashlib
import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel


def _package(files: list[Path]) -> str:
    """Make the files that came with the model a package under a name that meets no other module's; return the name."""
    name = f"_muster_group_{hashlib.sha256(b''.join(file.read_bytes() for file in files)).hexdigest()[:16]}"
    package = sys.modules.setdefault(name, ModuleType(name))
    package.__path__ = getattr(package, "__path__", [str(files[0].parent)])
    return name


class GroupModel(PythonModel):
    """Verify the stored bytes, load them if they name declared classes only, and score as the pack's reader does."""

    def load_context(self, context: Any) -> None:
        """Check the model's digest, then load it."""
        config, artifacts = context.model_config, context.artifacts
        package = _package([Path(artifacts[name]) for name in ("loading", "reader")])
        loading, self._reader = (importlib.import_module(f"{package}.{name}") for name in ("loading", "reader"))
        stored = Path(artifacts["model"])
        told = config["sha256"], config["group"], stored.name, config["loads"]
        self._model = loading.decode(stored.read_bytes(), *told)
        self._features = list(config["features"])

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Score rows of features: higher for likelier positives."""
        found = self._reader.scores(self._model, model_input[self._features].to_numpy(np.float64))
        return pd.DataFrame({"score": found}, index=model_input.index)


set_model(GroupModel())
