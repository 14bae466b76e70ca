"""Candidates in MLflow: the runs of trained algorithms, found by a tag that is cleared once they are judged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from muster.mlflow.budget import muster_errors
from muster.mlflow.client import connect
from muster.mlflow.runs import ALGORITHM_TAG, RUN_TAG, find_experiment, training_runs
from muster.workload.spec import Workload

CANDIDATE_TAG = "muster.candidate"
"""Its value is the partition. Train sets it when the tables hold the models; evaluate clears it after the decisions."""

MODELS_TAG = "muster.models_sha256"
"""The digest of an algorithm's rows of `models`: who can write the store alone cannot write this."""

PAGE = 1_000


@dataclass(frozen=True)
class TaggedCandidate:
    """An MLflow run that is tagged as a candidate."""

    run_id: str
    partition: str
    run: str
    algorithm: str
    models_sha256: str | None = None
    """What vouches for its rows of `models`."""


@muster_errors()
def tagged_candidates(workload: Workload) -> list[TaggedCandidate]:
    """Return every candidate of a workload, of any partition: two calls, one of them a search.

    Raises:
        ExperimentDeleted: when the workload's experiment was deleted.
        MlflowException: when the server does not answer; that is never taken for "no candidate".
    """
    client = connect()
    experiment = find_experiment(client, workload.name)
    if experiment is None:
        return []
    candidates: list[TaggedCandidate] = []
    token: str | None = None
    while True:
        page = client.search_runs([experiment], f"tags.`{CANDIDATE_TAG}` != ''", max_results=PAGE, page_token=token)
        for item in page:
            tags = item.data.tags
            if {RUN_TAG, ALGORITHM_TAG} <= tags.keys():  # else somebody tagged a run of their own
                fields = tags[CANDIDATE_TAG], tags[RUN_TAG], tags[ALGORITHM_TAG], tags.get(MODELS_TAG)
                candidates.append(TaggedCandidate(item.info.run_id, *fields))
        token = page.token
        if not token:
            return candidates


@muster_errors()
def clear_tags(run_ids: Iterable[str]) -> None:
    """Remove the candidate tag from the runs, one call each; a run without it is left as it is."""
    from mlflow.exceptions import MlflowException

    client = connect()
    for run_id in run_ids:
        try:
            client.delete_tag(run_id, CANDIDATE_TAG)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise


@muster_errors()
def models_digests(workload: Workload, run_ids: Mapping[str, str]) -> dict[str, str | None]:
    """Return what vouches for each algorithm's rows of `models`, by its MLflow run: a call each.

    Raises:
        ExperimentDeleted, RunDeleted: as `training_runs` does.
    """
    return {name: run.data.tags.get(MODELS_TAG) for name, run in training_runs(workload.name, run_ids).items()}
