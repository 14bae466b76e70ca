"""The registered model as its users meet it: by alias, over HTTP, in an environment that has no Muster."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from sklearn.linear_model import LinearRegression

from muster.mlflow.client import connect
from muster.models.bundle import requirements
from muster.models.manifest import allowed_imports
from muster_local.ports import free_ports
from tests import environments

Line = Any
pytestmark = pytest.mark.slow
ROWS = pd.DataFrame(
    {"carrier": ["B", "A", "N", "B"], "origin": ["X", "X", "X", "X"], "a": [1.0, 1.0, 0.0, 3.0]}
    | {"b": [0.0] * 4, "record": [0.0, 0.0, 0.4, 0.0]}
)
SCORES = [1 / (1 + np.exp(2)), 1 / (1 + np.exp(-1)), 0.4, 1 / (1 + np.exp(6))]


def _promoted(line: Line, slopes: dict[str, Any]) -> str:
    run = line.train(line.first, slopes)
    line.decide(line.first, run, dict.fromkeys(slopes, "promote"))
    line.promote(line.first)
    connect()
    return f"models:/{line.name}@Champion"


@pytest.fixture
def uri(served: Line) -> str:
    rows = [{"group": name, "a": 1.0, "b": 0.25, "record": 0.5} for name in ("A,X", "B,X")]
    served.features(served.first, rows)
    return _promoted(served, {"A,X": 1.0, "B,X": -2.0})


def test_the_champion_scores_a_mixed_batch_by_its_alias(uri: str) -> None:
    answers = mlflow.pyfunc.load_model(uri).predict(ROWS)
    assert answers["score"].tolist() == pytest.approx(SCORES)
    assert answers["fallback"].tolist() == [None, None, "no model: baseline", None]
    assert answers["origin_run"].notna().tolist() == [True, True, False, True]


@pytest.mark.parametrize("registry", ["pack", "per_group"])
def test_a_number_is_answered_in_its_own_unit_whatever_the_model_has_learnt(served: Line, registry: str) -> None:
    outcome = {"regression": {"column": "delay", "transform": "log1p"}}
    served.declared = {"outcome": outcome, "registry": registry, "gate": {"baseline": "record", "resample": "row"}}
    served.features(served.first, [{"group": "A,X", "a": 1.0, "b": 0.25, "record": 0.5}])
    learnt = LinearRegression().fit(np.eye(3), np.log1p([5.0, 20.0, 100.0]))
    uri = _promoted(served, {"A,X": learnt}).replace(served.name, served.unit("A,X").name)
    rows = pd.DataFrame({"carrier": ["A"] * 3, "origin": ["X"] * 3} | dict(zip("ab", np.eye(3)[:, :2].T, strict=True)))
    answers = mlflow.pyfunc.load_model(uri).predict(rows.assign(record=[0.0, 0.0, 1.0]))
    assert answers["score"].tolist() == pytest.approx([5.0, 20.0, 100.0])


def test_rows_keep_their_index(uri: str) -> None:
    rows = ROWS.set_axis([7, 3, 3, 1])
    assert mlflow.pyfunc.load_model(uri).predict(rows).index.tolist() == [7, 3, 3, 1]


def test_it_says_what_goes_in_and_comes_out_with_an_example(uri: str) -> None:
    info = mlflow.models.get_model_info(uri)
    assert info.signature.inputs.input_names() == ["carrier", "origin", "a", "b", "record"]
    assert info.signature.outputs.input_names() == ["score", "origin_run", "fallback"]
    example = mlflow.pyfunc.load_model(uri).input_example
    assert sorted(example["carrier"]) == ["A", "B"]
    assert example[["a", "b", "record"]].drop_duplicates().to_dict("records") == [{"a": 1, "b": 0.25, "record": 0.5}]


def test_a_missing_feature_is_a_clear_error(uri: str) -> None:
    with pytest.raises(MlflowException, match="record"):
        mlflow.pyfunc.load_model(uri).predict(ROWS.drop(columns="record"))


def test_an_unknown_group_is_a_clear_error_where_so_declared(served: Line) -> None:
    served.declared = {"pack": {"fallback": "error"}}
    model = mlflow.pyfunc.load_model(_promoted(served, {"A,X": 1.0}))
    with pytest.raises(MlflowException, match=r"no model for 2 group.*'B,X', 'N,X'"):
        model.predict(ROWS)


def test_the_parent_answers_where_so_declared(served: Line) -> None:
    served.declared = {"pack": {"fallback": {"keys": ["origin"]}}}
    model = mlflow.pyfunc.load_model(_promoted(served, {"A,X": 1.0, "*,X": 5.0}))
    assert model.predict(ROWS)["fallback"].tolist()[2] == "no model: parent"


def test_keys_with_commas_quotes_and_numbers_find_their_model(served: Line) -> None:
    served.declared = {"columns": {"carrier": "string", "origin": "int", "at": "timestamp", "delay": "float?"}}
    model = mlflow.pyfunc.load_model(_promoted(served, {'"a, ""b""",7': 1.0}))
    rows = ROWS.head(1).assign(carrier='a, "b"', origin=7)
    assert model.predict(rows)["fallback"].tolist() == [None]


def test_tampered_artifacts_are_refused(uri: str, tmp_path: Path) -> None:
    local = Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(tmp_path / "downloaded")))
    shard = next(local.rglob("models.bin"))
    shard.write_bytes(bytes(shard.stat().st_size))
    model = mlflow.pyfunc.load_model(str(local))
    with pytest.raises(Exception, match=r"has sha256 .* not loaded"):
        model.predict(ROWS)
    manifest = next(local.rglob("manifest.parquet"))
    manifest.write_bytes(manifest.read_bytes()[:-1])
    with pytest.raises(Exception, match="expected was"):
        mlflow.pyfunc.load_model(str(local))


def test_the_requirements_are_pinned_and_hold_an_estimators_own_package(line: Line) -> None:
    line.declared = {"algorithms": {"a": "sklearn.svm.SVC", "b": ["sklearn.impute.SimpleImputer", "tenacity:Retrying"]}}
    pins = requirements(allowed_imports(line.workload))
    assert all("==" in item for item in pins)
    assert [item.split("==")[0] for item in pins][-1] == "tenacity"


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except OSError:
        return False
    return True


@contextmanager
def _served(python: Path, uri: str, environment: Mapping[str, str], folder: Path) -> Iterator[str]:
    """Let an environment's `mlflow models serve` serve a model; yield its address."""
    (port,) = free_ports(1)
    command = [str(python), "-m", "mlflow", "models", "serve", "-m", uri, "-p", str(port), "--env-manager", "local"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder, start_new_session=True)
    url = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 120
        while not _answers(f"{url}/ping"):
            assert time.monotonic() < until, (folder / "log").read_text()
            assert server.poll() is None, (folder / "log").read_text()
            time.sleep(0.3)
        yield url
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def test_served_over_http_in_an_environment_made_of_its_own_requirements(
    uri: str, mlflow_server: str, tmp_path: Path
) -> None:
    python = tmp_path / "fresh" / "bin" / "python"
    environments.make(tmp_path / "fresh", "-r", mlflow.pyfunc.get_model_dependencies(uri), locked=False)
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "MUSTER"))}
    clean |= {"MLFLOW_TRACKING_URI": mlflow_server, "PATH": f"{python.parent}:{os.environ['PATH']}"}
    absent = "import importlib.util as u; print([n for n in ('muster','airflow','pyspark') if u.find_spec(n)])"
    assert subprocess.check_output([str(python), "-c", absent], env=clean, cwd=tmp_path, text=True).strip() == "[]"

    body = json.dumps({"dataframe_split": ROWS.to_dict(orient="split", index=False)}).encode()
    with _served(python, uri, clean, tmp_path) as url:
        request = urllib.request.Request(f"{url}/invocations", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as response:
            predictions = json.load(response)["predictions"]
    assert [row["score"] for row in predictions] == pytest.approx(SCORES)
    assert [row["fallback"] for row in predictions] == [None, None, "no model: baseline", None]
