"""What a promotion registers and what it tells: of a pack once, of groups' own models for each."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from muster.champions.artifacts import Artifact
from muster.champions.in_store import PLACE
from muster.champions.journal import Row, evidence_of
from muster.champions.model_artifact import ModelArtifact
from muster.champions.pack_artifact import PackArtifact
from muster.champions.units import is_pack
from muster.champions.versions import PARTITION, RUN, taken_by
from muster.context import PartitionContext
from muster.mlflow.candidates import MODELS_TAG
from muster.mlflow.runs import RunDeleted, add_metrics, training_runs
from muster.models.build import build_pack
from muster.models.manifest import allowed_imports
from muster.models.vouched import check_models
from muster.promotion.proposal import Proposal, UnitProposal
from muster.promotion.unit_tasks import UnitTasks
from muster.promotion.verdicts import Verdicts, check_as_judged, run_models, stored_models

if TYPE_CHECKING:
    from mlflow.entities import Run

SHOWN = 10
"""Groups of which a result tells why they stay; the log tells it of the others."""
BEFORE = "promoted before"
"""Why a group stays that has its winner already: of all reasons the last to be told, and never logged."""

log = logging.getLogger(__name__)


def artifacts(context: PartitionContext, proposal: Proposal) -> Sequence[Artifact]:
    """Return what is registered for the units that are due: the next pack, or each winner's own model.

    Raises:
        ModelsMissing: when a winner has no stored model.
        BadSource: when stored bytes are missing or not those of their digest.
        NotJudged: when a winner's model is another than was judged.
        ModelsNotVouched: when `models` does not hold what training wrote.
        ExperimentDeleted, RunDeleted: when an MLflow run of the training is deleted.
    """
    rows = run_models(context, proposal.verdicts)
    runs = _check_vouched(context, rows)
    check_as_judged(context, proposal.verdicts, rows)
    if is_pack(context.workload):
        return [_pack(context, proposal, rows)]
    models = stored_models(context, proposal.verdicts, rows)
    uploads = {run_id: str(run.info.artifact_uri) for run_id, run in runs.items()}
    workload, store = context.workload, context.store
    return [
        ModelArtifact(
            one.unit, workload, store, model, uploads[model["mlflow_run_id"]], known=one.judged_against is not None
        )
        for one, model in ((one, models[str(one.unit.group)]) for one in proposal.due)
    ]


def _check_vouched(context: PartitionContext, rows: pa.Table) -> Mapping[str, Run]:
    """Check the rows of `models` that are promoted from; return the MLflow runs that vouch for them, a call each."""
    run_ids = dict(zip(*(rows[name].to_pylist() for name in ("algorithm", "mlflow_run_id")), strict=True))
    runs = training_runs(context.workload.name, run_ids)
    digests = {name: run.data.tags.get(MODELS_TAG) for name, run in runs.items()}
    check_models(context.workload.name, context.partition, rows, digests)
    return {run.info.run_id: run for run in runs.values()}


def _pack(context: PartitionContext, proposal: Proposal, models: pa.Table) -> PackArtifact:
    """Build the pack of the winners and of the judged champion's other models."""
    [one], verdicts = proposal.due, proposal.verdicts
    partition = context.windows.partition
    base, winners = proposal.base, verdicts.table()
    pack = build_pack(context.workload, context.store, partition, models, winners, base.kept, base.pack)
    tags = {
        PARTITION: context.partition,
        RUN: verdicts.run,
        "muster.features_version": str(models["features_version"][0].as_py()),
        "muster.groups": str(pack.groups),
        "muster.promoted": str(len(verdicts.winners)),
        "muster.kept": str(pack.groups - len(verdicts.winners)),
    }
    run_id, known = _mlflow_run(verdicts, models), proposal.champion is not None
    return PackArtifact(one.unit, context.workload, context.store, pack, run_id, tags, known)


def _mlflow_run(verdicts: Verdicts, models: pa.Table) -> str:
    """Return the MLflow run that the pack is logged under: of the algorithm that won most groups, the first by name."""
    won = Counter(row["algorithm"] for row in verdicts.winners)
    most = min(won, key=lambda name: (-won[name], name))
    return str(models.filter(pc.field("algorithm") == most)["mlflow_run_id"][0].as_py())


def evidence(
    context: PartitionContext, proposal: Proposal, one: UnitProposal, artifact: Artifact, approved_by: str | None
) -> dict[str, Any]:
    """Return what the journal keeps as the reason of a move."""
    shared = {"judged_against": one.judged_against, "verdicts": proposal.verdicts.digest}
    shared |= {"mlflow_run_id": artifact.run_id} | ({"approved_by": approved_by} if approved_by else {})
    if isinstance(artifact, PackArtifact):
        counts, promoted, groups = proposal.verdicts.counts, len(proposal.verdicts.winners), artifact.pack.groups
        return {
            **{"promoted": promoted, "held": counts.get("hold", 0), "rejected": counts.get("reject", 0)},
            **{"kept": groups - promoted, "groups": groups, "dropped": proposal.base.dropped},
            **{"changed": proposal.changed, **shared},
        }
    model = stored_model(artifact)
    [decision] = one.winners
    return {
        **{
            name: model[name]
            for name in ("rows", "positives", "prior", "target", "parent", "algorithm", "probabilities", *PLACE)
        },
        **{"score": decision["candidate_score"], "model": one.unit.name, "loads": allowed_imports(context.workload)},
        **taken_by(context.workload),
        **shared,
    }


def stored_model(artifact: Artifact) -> Mapping[str, Any]:
    """Return the row of `models` of one group's artifact."""
    assert isinstance(artifact, ModelArtifact)  # noqa: S101 - there are two forms
    return artifact.stored


def outcome(
    context: PartitionContext, proposal: Proposal, rows: Sequence[Row], left: Mapping[str | None, str], tasks: UnitTasks
) -> dict[str, Any]:
    """Write to the MLflow runs what became of their models, and return the stage's result.

    `rows` are the journal's of what was moved for these verdicts; `left` says why aliases stay, by group.
    """
    pack = is_pack(context.workload)
    counts = _pack_counts(rows) if pack else _group_counts(proposal, rows)
    version = {"muster.model_version": rows[0]["to_version"]} if pack and rows else {}
    run_ids = sorted({evidence_of(row)["mlflow_run_id"] for row in rows})
    deleted = [run_id for run_id in run_ids if not _noted(run_id, counts, version)]
    stays = {str(one.unit.group): one.stays for one in proposal.units if one.stays}
    stays |= {str(one.unit.group): BEFORE for one in proposal.done if not rows}
    stays |= {str(group): why for group, why in left.items()}
    ordered = [] if pack else sorted(stays.items(), key=lambda stay: (stay[1] == BEFORE, stay[0]))
    for group, why in ordered[SHOWN:]:
        if why != BEFORE:
            log.warning("group '%s' stays as it is: %s", group, why)
    return {
        "moved": bool(rows),
        "reason": None if rows else proposal.nothing or _all_stay(stays),
        **_versions(rows if pack else [], proposal),
        **counts,
        "stay": len(ordered),
        "stay_why": dict(ordered[:SHOWN]),
        "executors_mlflow_calls": tasks.calls,
        "executors_seconds": round(tasks.seconds, 3),
        "mlflow_run_id": run_ids[0] if run_ids else None,
        "mlflow_runs_deleted": deleted,
    }


def _noted(run_id: str, counts: Mapping[str, int], version: Mapping[str, str]) -> bool:
    """Write the counts to an MLflow run; tell whether it takes them: where it was deleted since, all is moved still."""
    try:
        add_metrics(run_id, {f"pack_{name}": count for name, count in counts.items()}, version)
    except RunDeleted:
        log.warning("the MLflow run '%s' was deleted: what was promoted of it is not noted there", run_id)
        return False
    return True


def _all_stay(stays: Mapping[str, str]) -> str | None:
    if len(stays) == 1:
        return next(iter(stays.values()))
    return "every winner stays as it is" if stays else None


def _pack_counts(rows: Sequence[Row]) -> dict[str, int]:
    names = ("promoted", "kept", "groups")
    return {name: evidence_of(rows[0])[name] for name in names} if rows else dict.fromkeys(names, 0)


def _group_counts(proposal: Proposal, rows: Sequence[Row]) -> dict[str, int]:
    champions = len(proposal.base.groups.union(row["group"] for row in rows))
    return {"promoted": len(rows), "kept": champions - len(rows), "groups": champions}


def _versions(rows: Sequence[Row], proposal: Proposal) -> dict[str, str | None]:
    """Return from which version to which the pack went, or where it stays; nothing where each group has its own."""
    if rows:
        return {name: rows[0][name] for name in ("from_version", "to_version", "manifest_sha256")}
    at = proposal.champion
    version, digest = (at.version, at.digest) if at else (None, None)
    return {"from_version": version, "to_version": version, "manifest_sha256": digest}
