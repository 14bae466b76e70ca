"""Each fault against each step of MLflow: one run, one logged model, one version, whatever became of the answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from muster.champions.artifacts import register
from muster.champions.errors import NotReady
from muster.champions.pack_artifact import PackArtifact
from muster.champions.versions import PARTITION
from muster.mlflow import runs
from muster.mlflow.client import connect
from muster.mlflow.runs import ALGORITHM_TAG, RUN_TAG
from muster.models.manifest_reader import MANIFEST_FILE, PACKED
from muster.models.stored import Place
from muster.settings import settings
from tests.mlflow_faults.plan import Plan
from tests.mlflow_faults.running import RunningProxy
from tests.packs import manifest_of
from tests.promotion.conftest import Line

Follow = Callable[[Plan], RunningProxy]
pytestmark = pytest.mark.slow

RUN, ALGORITHM = "2024-02-05-0123abcd", "logistic"
FAULTS = ["429", "500 before", "500 after", "lost before", "lost after", "timeout", "late"]
CREATES = {
    "runs": "POST .*/runs/create",
    "models": "POST .*/logged-models$",
    "versions": "POST .*/model-versions/create",
}
OTHERS = {
    "the experiment": "POST .*/experiments/create",
    "the run's numbers": "POST .*/runs/log-batch",
    "the run's end": "POST .*/runs/update",
    "an upload": "PUT .*/mlflow-artifacts/",
    "the model's end": "PATCH .*/logged-models/m-[0-9a-f]*$",
    "the registered model": "POST .*/registered-models/create",
    "a search": "/search$",
}


@dataclass
class Registered:
    """What is in MLflow of one workload."""

    line: Line

    def all(self) -> dict[str, list[Any]]:
        client = connect()
        experiment = client.get_experiment_by_name(self.line.name)
        assert experiment is not None
        return {
            "runs": list(client.search_runs([experiment.experiment_id])),
            "models": list(client.search_logged_models([experiment.experiment_id])),
            "versions": list(client.search_model_versions(f"name = '{self.line.name}'")),
        }

    def register(self) -> str:
        """Do what train and promote do: a run, its numbers, a pack, its version."""
        workload, tags = self.line.workload, {RUN_TAG: RUN, ALGORITHM_TAG: ALGORITHM}
        run_id = runs.open_runs(workload, RUN, [ALGORITHM])[ALGORITHM]
        runs.close_run(run_id, {"seed": 1}, {"groups": 2.0}, tags)
        pack = self.line.pack({"A,X": 1.0, "B,X": 1.0})
        tags = {PARTITION: self.line.first}
        return register(PackArtifact(self.line.unit(), workload, self.line.store, pack, run_id, tags)).version

    def is_whole(self, version: str) -> None:
        """Assert that there is one of each, finished, and that they belong together."""
        things = self.all()
        assert {name: len(items) for name, items in things.items()} == {"runs": 1, "models": 1, "versions": 1}
        (run,), (model,), (made,) = things["runs"], things["models"], things["versions"]
        assert (run.info.status, model.status, made.status) == ("FINISHED", "READY", "READY")
        assert (model.source_run_id, made.run_id, made.version) == (run.info.run_id, run.info.run_id, version)
        assert run.data.params == {"seed": "1"}
        assert made.source == f"models:/{model.model_id}"


@pytest.fixture
def registered(line: Line, follow: Follow) -> Registered:
    return Registered(line)


@pytest.mark.parametrize("thing", CREATES)
@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_made_is_made_once(registered: Registered, follow: Follow, thing: str, fault: str) -> None:
    follow(Plan(scripted={CREATES[thing]: [fault]}, held=1.2))
    version = registered.register()
    proxy = follow(Plan())
    assert registered.register() == version
    assert not [line for line in proxy.seen() if line["path"].endswith("create")], "nothing is left to make"
    registered.is_whole(version)


@pytest.mark.parametrize("fault", ["500 after", "lost after", "lost before"])
def test_several_answers_may_be_lost(registered: Registered, follow: Follow, fault: str) -> None:
    follow(Plan(scripted=dict.fromkeys(CREATES.values(), [fault] * 3)))
    registered.is_whole(registered.register())


def test_a_making_that_arrives_when_another_was_made_is_removed(registered: Registered, follow: Follow) -> None:
    # An answer is waited for one second, and its work for 0.3 s more; the server does it after 1.4 s.
    follow(Plan(scripted={key: ["late"] for key in CREATES.values()}, held=1.4))
    version = registered.register()
    registered.is_whole(version)


@pytest.mark.parametrize("what", OTHERS)
def test_what_may_be_repeated_is_until_it_is_answered(registered: Registered, follow: Follow, what: str) -> None:
    fates = ["500 after", "429", "lost after", "lost before", "cut"]
    proxy = follow(Plan(scripted={OTHERS[what]: fates}))
    registered.is_whole(registered.register())
    assert sorted(line["fate"] for line in proxy.seen() if line["fate"] != "pass") == sorted(fates)


def test_uploads_that_trickle_or_break_arrive_whole(registered: Registered, follow: Follow) -> None:
    follow(Plan(scripted={"PUT .*/mlflow-artifacts/": ["slow", "cut", "slow", "cut", "timeout", "500 after"]}))
    version = registered.register()
    registered.is_whole(version)
    import mlflow

    path = Path(mlflow.artifacts.download_artifacts(f"models:/{registered.line.name}/{version}"))
    store, pack = registered.line.store, registered.line.pack({"A,X": 1.0, "B,X": 1.0})
    manifest = manifest_of(store, *pack[:2])
    models = b"".join(store.files.read(*row.values()) for row in manifest.select(Place._fields).to_pylist())
    for name, stored in {MANIFEST_FILE: store.files.read(f"{pack.folder}/{MANIFEST_FILE}"), PACKED: models}.items():
        (arrived,) = path.rglob(name)
        assert arrived.read_bytes() == stored


def test_a_pending_version_is_waited_for(registered: Registered, follow: Follow) -> None:
    proxy = follow(Plan(pending=2))
    version = registered.register()
    asked = [line for line in proxy.seen() if line["path"].endswith("model-versions/get")]
    assert 2 <= len(asked) <= 60
    follow(Plan())
    registered.is_whole(version)


def test_a_version_that_stays_pending_is_not_made_again(
    registered: Registered, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUSTER_MLFLOW_WAITING", '{"first_pause": 0.1, "longest_pause": 0.2, "pending": 0.5}')
    settings.cache_clear()
    follow(Plan(pending=600))
    for _ in range(2):
        with pytest.raises(NotReady):
            registered.register()
    follow(Plan())
    registered.is_whole(registered.register())


def test_without_faults_no_call_is_sent_twice(registered: Registered, follow: Follow) -> None:
    proxy = follow(Plan())
    registered.register()
    sent = [f"{line['method']} {line['path']}" for line in proxy.seen()]
    uploads = [line for line in sent if "mlflow-artifacts" in line]
    assert len(uploads) == len(set(uploads))
    assert len(sent) - len(uploads) <= 20
