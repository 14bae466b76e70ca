"""A pack, or one group's model, as an MLflow model: rows in, scores out. MLflow runs this file without Muster."""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from numbers import Real
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel

CODE = ("groups", "allowed", "loading", "scores", "object_store", "files", "stored", "manifest_reader", "reader")
"""Muster's modules that travel with the model as artifacts, those of them that it needs."""


STORE = "MUSTER_STORE"
"""The variable that says where models are that are too many for MLflow, if not where they were when it was logged."""


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


def _refused(rows: pd.DataFrame | pd.Series, wrong: Sequence[int], what: str) -> MlflowException:
    """Return the error that names the first rows that are wrong, by their index."""
    named = ", ".join(str(rows.index[number]) for number in wrong[:10])
    more = f" and {len(wrong) - 10} more" if len(wrong) > 10 else ""
    return MlflowException(f"row {named}{more}: {what}", INVALID_PARAMETER_VALUE)


def _key_values(column: pd.Series, type_: str) -> list[object]:
    """Return a key's value a row, as the names of groups have it: text, whole numbers, dates.

    Raises:
        MlflowException: naming the rows without one. No group answers for them: which it would be is not known.
    """
    values = [_key_value(value, type_) for value in column.tolist()]
    if wrong := [number for number, value in enumerate(values) if value is None]:
        first = column.tolist()[wrong[0]]
        what = f"the key '{column.name}' is {first!r}; it is a key of every row, of type {type_}"
        raise _refused(column, wrong, what)
    return values


def _key_value(value: Any, type_: str) -> object | None:
    """Return a value of a key of that type, or None where it is none."""
    if type_ == "int":
        is_number = isinstance(value, Real) and not isinstance(value, (bool, np.bool_))
        return int(value) if is_number and np.isfinite(value) and value == int(value) else None
    if isinstance(value, date) and value is not pd.NaT and type_ == "date":
        return value.date() if isinstance(value, datetime) else value
    return str(value) if isinstance(value, str) else None


def _matrix(rows: pd.DataFrame, features: Sequence[str]) -> np.ndarray:
    """Return the features as float64, (rows, features); a missing value is NaN.

    Raises:
        MlflowException: naming the rows whose value of a feature is no number.
    """
    return np.column_stack([_numbers(rows[name]) for name in features])


def _numbers(column: pd.Series) -> np.ndarray:
    if pd.api.types.is_numeric_dtype(column.dtype):  # bool among them, and pandas' types with missing values
        return column.to_numpy(np.float64, na_value=np.nan)
    values = column.tolist()
    wrong = [n for n, value in enumerate(values) if not (isinstance(value, (Real, Decimal)) or pd.isna(value))]
    if wrong:
        raise _refused(column, wrong, f"the feature '{column.name}' is {values[wrong[0]]!r}, which is no number")
    return np.array([np.nan if pd.isna(value) else float(value) for value in values])


class ManyModels:
    """Routes each row to its group's model; models are loaded when first asked for."""

    def __init__(self, config: dict[str, Any], artifacts: dict[str, str]) -> None:
        modules = _modules(artifacts)
        self._groups, self._reader, self._scores = (modules[name] for name in ("groups", "reader", "scores"))
        files, manifests = modules["files"].Files, modules["manifest_reader"]
        beside, digest, store = files(artifacts["pack"]), config["manifest_sha256"], config["store"]
        if store is None:
            manifest = manifests.packed(manifests.read_manifest(beside, "", digest))
            self.pack = self._reader.Pack(beside, manifest, config["cache_bytes"])
        else:
            of_store = files((os.environ.get(STORE) or store).rstrip("/"))
            manifest = manifests.read_manifest(beside, "", digest, of_store)
            self.pack = self._reader.Pack(of_store, manifest, config["cache_bytes"])

    def predict(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Score rows of keys and features: `score`, the `origin_run` of the model, the `fallback` reason or null.

        Of classes then the one `predicted`, and a probability each.
        """
        matrix = _matrix(rows, self.pack.about["features"])
        try:
            answers = self.pack.answer(self._names(rows), matrix, self._parent)
        except self._reader.UnknownGroups as error:
            raise MlflowException(str(error), INVALID_PARAMETER_VALUE) from error
        columns = self._scores.answer_columns(answers.score, self.pack.about.get("answers", {}))
        return pd.DataFrame({**answers._asdict(), **columns}, index=rows.index)

    def _names(self, rows: pd.DataFrame) -> list[str]:
        keys = self.pack.about["keys"]
        values = list(zip(*(_key_values(rows[key], type_) for key, type_ in keys.items()), strict=True))
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
        self._scores, self._features = modules["scores"], list(config["features"])
        self._scale, self._answers = config.get("scale", self._scores.BINARY), config.get("answers", {})
        what = config["sha256"], config["group"], stored.name, config["loads"]
        self._model = modules["loading"].decode(stored.read_bytes(), *what)

    def predict(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Score rows of features: higher for likelier positives, or the number predicted, or a probability a class."""
        scores = self._scores.scores(self._model, _matrix(rows, self._features), self._scale)
        return pd.DataFrame(self._scores.answer_columns(scores, self._answers), index=rows.index)


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
