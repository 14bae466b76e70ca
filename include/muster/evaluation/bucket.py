"""Judge every group of one bucket: Arrow tables in, decisions out."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from muster import groups
from muster.evaluation.metrics import METRICS, value
from muster.evaluation.verdict import Judgement, Opponent, hold_reason, judge, unusable_reason
from muster.features.files import group_slices
from muster.models.loading import RefusedModel, decode, read_bytes
from muster.models.manifest import allowed_imports
from muster.models.reader import scores
from muster.storage.tables import DECISIONS
from muster.workload.spec import Workload

CORRUPT_CHAMPION = "the champion's bytes are missing or corrupt"
"""The reason with which `decisions.reconcile` refuses a whole run: what is in production must be put right first."""

DISABLED = "the gate is disabled"

Row = dict[str, Any]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Incumbents:
    """The champion pack's models of one bucket's groups."""

    version: str | None
    folder: Path
    manifest: pa.Table
    loads: tuple[str, ...] = ()
    """What its models may name beside numpy, scipy and scikit-learn."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Each group's own version, where every group has a registered model of its own; `version` is None then."""

    def version_of(self, group: str) -> str | None:
        """Return the version that is champion to the group."""
        return self.version or self.versions.get(group)


@dataclass(frozen=True)
class EvaluationRows:
    """A group's labelled rows, held out from training: features (rows, columns), labels (rows,)."""

    features: NDArray[np.float64]
    labels: NDArray[np.float64]


@dataclass(frozen=True)
class GateInput:
    """What the gate gets of a group: its row of the ledger, its evaluation rows, and where its models are stored."""

    ledger_row: Row
    rows: EvaluationRows
    candidates: Mapping[str, Row]
    """The trained models, by algorithm."""
    incumbent: Row | None
    """None when the champion pack has no model of this group: then the baseline is the opponent."""

    @property
    def against(self) -> Opponent:
        """Who the candidate must beat."""
        return "baseline" if self.incumbent is None else "champion"

    @property
    def prior(self) -> float:
        """The share of positives in the candidates' training rows; a half where none of them had a label."""
        priors = [row["prior"] for row in self.candidates.values() if row["prior"] is not None]
        return float(priors[0]) if priors else 0.5


class _ScoringFailed(Exception):
    """Carries the reason why a model gave no scores."""


def judge_bucket(
    workload: Workload,
    rows: pa.Table,
    ledger: pa.Table,
    models: pa.Table,
    root: Path,
    champion: Incumbents | None,
) -> pa.Table:
    """Return one row of `decisions` for every group of `ledger`, sorted by group.

    `rows`: the bucket's features in the evaluate window, sorted by group. `ledger`, `models`: its rows of the run.
    `root`: the folder that the paths of the candidates' shards start from. An algorithm whose model cannot be loaded
    or cannot score is no candidate; a group without any other is held, and so is one whose champion cannot score these
    rows.
    """
    by_group = _rows_by_group(workload, rows)
    no_rows = EvaluationRows(np.empty((0, len(workload.features.columns))), np.empty(0))
    candidates: dict[str, dict[str, Row]] = {}
    for row in models.to_pylist():
        candidates.setdefault(row["group"], {})[row["algorithm"]] = row
    incumbents = {row["group"]: row for row in champion.manifest.to_pylist()} if champion else {}
    decisions = []
    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # thousands of models that complain would fill the logs
        for row in ledger.sort_by("group").to_pylist():
            group = row["group"]
            inputs = GateInput(row, by_group.get(group, no_rows), candidates.get(group, {}), incumbents.get(group))
            decisions.append(_decision(workload, inputs, _judge_group(workload, inputs, root, champion), champion))
    return pa.Table.from_pylist(decisions, schema=DECISIONS)


def _judge_group(workload: Workload, inputs: GateInput, root: Path, champion: Incumbents | None) -> Judgement:
    labels, gate = inputs.rows.labels, workload.gate
    rows, positives = len(labels), int(np.count_nonzero(labels == 1))
    state = inputs.ledger_row["state"]
    reason = hold_reason(gate, rows, positives) if state == "trained" else f"the candidate is {state}"
    if gate.mode == "disabled":
        reason = DISABLED
    if reason is not None:
        return Judgement("hold", reason, inputs.against, rows=rows, positives=positives)
    try:
        opponent = baseline(workload, inputs.rows, inputs.prior)
        if champion is not None and inputs.incumbent is not None:
            opponent = _scores("champion", champion.folder, inputs.incumbent, inputs.rows.features, champion.loads)
        candidates = _candidate_scores(root, inputs, allowed_imports(workload))
    except _ScoringFailed as failure:
        return Judgement("hold", str(failure), inputs.against, rows=rows, positives=positives)
    seed = groups.seed(inputs.ledger_row["group"], workload.seed)
    return judge(labels, candidates, opponent, inputs.against, gate, seed)


def _candidate_scores(root: Path, inputs: GateInput, allowed_imports: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Return the scores of each algorithm's model that has any."""
    by_algorithm: dict[str, NDArray[np.float64]] = {}
    failures: list[_ScoringFailed] = []
    for algorithm, stored in sorted(inputs.candidates.items()):
        try:
            by_algorithm[algorithm] = _scores("candidate", root, stored, inputs.rows.features, allowed_imports)
        except _ScoringFailed as failure:
            failures.append(failure)
    if not by_algorithm:
        raise failures[0] if failures else _ScoringFailed("the candidate has no stored model")
    return by_algorithm


def _scores(
    role: str, folder: Path, stored: Row, features: NDArray[np.float64], allowed_imports: Sequence[str]
) -> NDArray[np.float64]:
    """Return the scores of a stored model, its bytes verified before they are loaded."""
    group, shard = stored["group"], stored["shard"]
    try:
        data = read_bytes(folder / shard, stored["offset"], stored["length"])
        values = scores(decode(data, stored["sha256"], group, shard, allowed_imports), features)
        if values.shape != (len(features),):
            raise ValueError(f"{len(features)} rows gave scores of shape {values.shape}")
    except Exception as error:  # whatever a model's own code raises stays its own group's matter
        log.warning("group '%s': the %s could not score: %s: %s", group, role, type(error).__name__, error)
        if role == "champion" and isinstance(error, RefusedModel | OSError):
            raise _ScoringFailed(CORRUPT_CHAMPION) from error
        raise _ScoringFailed(f"the {role} could not score: {type(error).__name__}") from error
    return values


def baseline(workload: Workload, rows: EvaluationRows, prior: float) -> NDArray[np.float64]:
    """Return the declared baseline's score of each row: higher for likelier positives.

    `prior` is one constant for all, the share of positives in training: to a metric of ranks any constant is the same,
    to the others it is not. Rows for which a baseline feature is missing get the median of the group's other rows:
    nothing is known of them, so they are ranked in the middle.
    """
    if workload.gate.baseline == "prior":
        return np.full(len(rows.labels), prior)
    column = rows.features[:, workload.features.columns.index(workload.gate.baseline)]
    finite = np.isfinite(column)
    return np.where(finite, column, np.median(column[finite]) if finite.any() else prior)


def _rows_by_group(workload: Workload, rows: pa.Table) -> dict[str, EvaluationRows]:
    """Divide a bucket's labelled rows by group; the arrays are views of the bucket's own."""
    labelled = rows.filter(pc.is_finite(rows["label"]))
    features = np.column_stack([labelled[name].to_numpy() for name in workload.features.columns])
    labels = labelled["label"].to_numpy()
    return {
        group: EvaluationRows(features[start:stop], labels[start:stop]) for group, start, stop in group_slices(labelled)
    }


def _decision(workload: Workload, inputs: GateInput, judgement: Judgement, champion: Incumbents | None) -> Row:
    evidence = asdict(judgement)
    opponent_score = evidence.pop("opponent_score")
    return {
        **{name: inputs.ledger_row[name] for name in ("partition", "run", "group", "bucket", "parent")},
        **evidence,
        "metric": workload.gate.metric,
        "champion_version": champion.version_of(inputs.ledger_row["group"]) if champion else None,
        "champion_run": inputs.incumbent["origin_run"] if inputs.incumbent else None,
        "champion_score": opponent_score if inputs.incumbent else None,
        "baseline_score": _baseline_score(workload, inputs) if judgement.verdict != "hold" else None,
    }


def _baseline_score(workload: Workload, inputs: GateInput) -> float | None:
    measure, scores = METRICS[workload.gate.metric], baseline(workload, inputs.rows, inputs.prior)
    if unusable_reason(scores, measure) is not None:
        return None
    return value(measure.prepare(inputs.rows.labels, scores), len(scores))
