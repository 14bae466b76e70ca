"""What Muster relies on of the runs and logged models of an MLflow server: fake and real pass the same tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from tests.registry.refusals import EXISTS, INVALID, MISSING, code
from tests.registry.which import ON_BOTH

pytestmark = [ON_BOTH, pytest.mark.slow]
NOBODY = "0" * 32


def _run(client: MlflowClient, experiment: str, **tags: str) -> str:
    return str(client.create_run(experiment, tags=tags).info.run_id)


def _ids(page: Any) -> list[str]:
    return [run.info.run_id for run in page]


@pytest.mark.parametrize("odd", ["", " é日本", " a/b", ' "quoted"'])
def test_an_experiment_is_created_once_and_found_by_its_name(client: MlflowClient, name: str, odd: str) -> None:
    assert client.get_experiment_by_name(name + odd) is None
    created = client.create_experiment(name + odd, tags={"muster.workload": name})
    assert code(client.create_experiment, name + odd) == EXISTS
    found = client.get_experiment_by_name(name + odd)
    assert (found.experiment_id, found.name, found.tags) == (created, name + odd, {"muster.workload": name})


def test_a_deleted_experiment_keeps_its_name_and_takes_no_runs(
    client: MlflowClient, experiment: str, name: str
) -> None:
    client.delete_experiment(experiment)
    assert client.get_experiment_by_name(name).lifecycle_stage == "deleted"
    assert code(client.create_experiment, name) == EXISTS
    assert code(client.create_run, experiment) == INVALID


def test_there_is_no_run_without_its_experiment(client: MlflowClient) -> None:
    assert code(client.create_run, "987654321") == MISSING
    assert code(client.get_run, NOBODY) == MISSING
    assert client.search_runs(["987654321"]) == []


def test_a_run_is_created_written_and_finished(client: MlflowClient, experiment: str) -> None:
    run = client.create_run(experiment, run_name="by a name", tags={"a": "é"})
    assert (run.info.status, run.info.run_name, run.info.experiment_id) == ("RUNNING", "by a name", experiment)
    run_id = run.info.run_id
    client.log_batch(run_id, [Metric("m", 0.5, 1, 0)], [Param("p", "1")], [RunTag("b", "2")])
    client.set_terminated(run_id)
    found = client.get_run(run_id)
    assert (found.info.status, found.info.end_time is not None, found.info.lifecycle_stage) == (
        "FINISHED",
        True,
        "active",
    )
    assert (found.data.metrics, found.data.params) == ({"m": 0.5}, {"p": "1"})
    assert {"a": "é", "b": "2", "mlflow.runName": "by a name"}.items() <= found.data.tags.items()


def test_a_finished_run_takes_more_numbers_and_tags(client: MlflowClient, experiment: str) -> None:
    run_id = _run(client, experiment, a="1")
    client.set_terminated(run_id)
    client.log_batch(run_id, [Metric("m", 1.0, 1, 0)], [], [RunTag("a", "2")])
    client.set_terminated(run_id)
    found = client.get_run(run_id).data
    assert (found.metrics, found.tags["a"]) == ({"m": 1.0}, "2")


def test_of_a_metric_the_latest_value_counts_of_one_moment_the_greater(client: MlflowClient, experiment: str) -> None:
    run_id = _run(client, experiment)
    for value, at in ((3.0, 10), (1.0, 20), (2.0, 20), (9.0, 15)):
        client.log_batch(run_id, [Metric("m", value, at, 0)])
    assert client.get_run(run_id).data.metrics == {"m": 2.0}


def test_a_param_keeps_its_value(client: MlflowClient, experiment: str) -> None:
    run_id = _run(client, experiment)
    client.log_batch(run_id, params=[Param("p", "1")])
    client.log_batch(run_id, params=[Param("p", "1"), Param("q", "2")])
    assert code(client.log_batch, run_id, params=[Param("p", "other")]) == INVALID
    assert client.get_run(run_id).data.params == {"p": "1", "q": "2"}


def test_runs_are_found_by_a_tag_the_oldest_first(client: MlflowClient, experiment: str) -> None:
    ids = [
        client.create_run(experiment, start_time=at, tags={"muster.run": run}).info.run_id
        for at, run in ((30, "one"), (10, "one"), (20, "other"))
    ]
    found = client.search_runs([experiment], "tags.`muster.run` = 'one'", order_by=["start_time ASC"])
    assert _ids(found) == [ids[1], ids[0]]
    assert _ids(client.search_runs([experiment])) == [ids[0], ids[2], ids[1]]
    assert client.search_runs([experiment], "tags.`muster.run` = 'nobody'") == []


def test_runs_without_a_tag_are_not_those_whose_tag_is_another(client: MlflowClient, experiment: str) -> None:
    tagged, _ = _run(client, experiment, candidate="2024-01-01"), _run(client, experiment)
    assert _ids(client.search_runs([experiment], "tags.`candidate` != ''")) == [tagged]
    client.delete_tag(tagged, "candidate")
    assert client.search_runs([experiment], "tags.`candidate` != ''") == []
    assert code(client.delete_tag, tagged, "candidate") == MISSING


def test_a_search_of_runs_goes_on_where_its_page_ended(client: MlflowClient, experiment: str) -> None:
    ids = [client.create_run(experiment, start_time=at).info.run_id for at in range(1, 6)]
    pages, token = [], None
    while True:
        page = client.search_runs([experiment], max_results=2, order_by=["start_time ASC"], page_token=token)
        pages.append(_ids(page))
        token = page.token
        if not token:
            break
    assert pages == [ids[:2], ids[2:4], ids[4:]]


@pytest.mark.parametrize("wrong", ["nonsense", "colour.a = 'red'", "tags.a = unquoted"])
def test_a_filter_of_runs_that_is_not_understood_is_refused(client: MlflowClient, experiment: str, wrong: str) -> None:
    assert code(client.search_runs, [experiment], wrong) == INVALID


def test_a_deleted_run_is_found_no_more_and_takes_nothing(client: MlflowClient, experiment: str) -> None:
    run_id = _run(client, experiment)
    client.delete_run(run_id)
    assert client.search_runs([experiment]) == []
    assert client.get_run(run_id).info.lifecycle_stage == "deleted"
    assert code(client.log_batch, run_id, params=[Param("p", "1")]) == INVALID
    client.delete_run(run_id)  # as a removal that is sent again, its answer lost
    assert code(client.delete_run, NOBODY) == MISSING


def test_a_logged_model_is_pending_until_it_is_finalized(client: MlflowClient, experiment: str) -> None:
    run_id = _run(client, experiment)
    model = client.create_logged_model(experiment, "pack", run_id, {"muster.sha256": "aa"})
    assert (model.status, model.source_run_id, model.name) == ("PENDING", run_id, "pack")
    assert client.finalize_logged_model(model.model_id, "READY").status == "READY"
    client.set_logged_model_tags(model.model_id, {"b": "2"})
    [found] = client.search_logged_models([experiment], "tags.`muster.sha256` = 'aa'")
    assert (found.model_id, found.status, found.tags) == (model.model_id, "READY", {"muster.sha256": "aa", "b": "2"})
    assert client.search_logged_models([experiment], "tags.`muster.sha256` = 'bb'") == []


def test_a_deleted_logged_model_is_found_no_more(client: MlflowClient, experiment: str) -> None:
    model_id = client.create_logged_model(experiment).model_id
    for _ in range(2):  # as a removal that is sent again, its answer lost
        client.delete_logged_model(model_id)
        assert client.search_logged_models([experiment]) == []
        assert code(client.get_logged_model, model_id) == MISSING
    assert code(client.delete_logged_model, f"m-{NOBODY}") == MISSING


def test_a_version_belongs_to_its_logged_model(client: MlflowClient, experiment: str, model: str) -> None:
    run_id = _run(client, experiment)
    mine, other = (client.create_logged_model(experiment, source_run_id=run_id).model_id for _ in range(2))
    version = client.create_model_version(model, f"models:/{mine}", run_id, model_id=mine)
    assert (version.source, version.run_id) == (f"models:/{mine}", run_id)
    assert f'"name": "{model}"' in client.get_logged_model(mine).tags["mlflow.modelVersions"]
    assert code(client.create_model_version, model, f"models:/{mine}", run_id, model_id=other) == INVALID


def test_a_version_is_of_the_run_below_whose_artifacts_it_is(client: MlflowClient, experiment: str, model: str) -> None:
    run = client.create_run(experiment).info
    place = f"{run.artifact_uri}/groups/a"
    assert client.create_model_version(model, place, run.run_id).source == place
    assert code(client.create_model_version, model, place, _run(client, experiment)) == INVALID


FILES = {
    "top.txt": b"\x00 bytes",
    "a folder/with spaces.bin": b"x" * 70_000,
    "é/日本.txt": b"",
    "a+b=c/d,e.txt": b"e",
}


def _written(folder: Path, files: dict[str, bytes]) -> str:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return str(folder)


def _read(folder: str) -> dict[str, bytes]:
    root = Path(folder)
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_runs_artifacts_come_back_as_they_went(client: MlflowClient, experiment: str, tmp_path: Path) -> None:
    run_id = _run(client, experiment)
    client.log_artifacts(run_id, _written(tmp_path / "there", FILES))
    (tmp_path / "back").mkdir()
    assert _read(client.download_artifacts(run_id, "", str(tmp_path / "back"))) == FILES
    listed = {item.path: item.is_dir for item in client.list_artifacts(run_id)}
    assert listed == {"top.txt": False, "a folder": True, "é": True, "a+b=c": True}


def test_an_artifact_is_written_over(client: MlflowClient, experiment: str, tmp_path: Path) -> None:
    run_id = _run(client, experiment)
    for content in (b"first and longer", b"second"):
        client.log_artifacts(run_id, _written(tmp_path / "there", {"a/b.txt": content}))
        (tmp_path / "back").mkdir(exist_ok=True)
        assert Path(client.download_artifacts(run_id, "a/b.txt", str(tmp_path / "back"))).read_bytes() == content


def test_a_champions_artifacts_are_those_of_its_logged_model(
    client: MlflowClient, experiment: str, model: str, tmp_path: Path
) -> None:
    run_id = _run(client, experiment)
    logged = client.create_logged_model(experiment, source_run_id=run_id).model_id
    client.log_model_artifacts(logged, _written(tmp_path / "there", FILES))
    client.finalize_logged_model(logged, "READY")
    client.create_model_version(model, f"models:/{logged}", run_id, model_id=logged)
    client.set_registered_model_alias(model, "Champion", "1")
    for uri in (f"models:/{model}@Champion", f"models:/{model}/1", f"models:/{logged}"):
        assert _read(mlflow.artifacts.download_artifacts(uri)) == FILES


def test_what_is_not_there_is_no_empty_artifact(client: MlflowClient, experiment: str, tmp_path: Path) -> None:
    run_id = _run(client, experiment)
    assert client.list_artifacts(run_id) == []
    with pytest.raises(MlflowException, match="Failed to download artifacts from path 'nothing\\.txt'"):
        client.download_artifacts(run_id, "nothing.txt", str(tmp_path))
