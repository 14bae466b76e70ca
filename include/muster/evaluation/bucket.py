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
from muster.evaluation.verdict import Judgement, Opponent, judge, why_hold, why_unusable
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
class Held:
    """A group's labelled rows, held out from training."""

    features: NDArray[np.float64]
    labels: NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """A group before the gate: its row of the ledger, what it is judged on, and where its models are stored."""

    entry: Row
    held: Held
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
        known = [row["prior"] for row in self.candidates.values() if row["prior"] is not None]
        return float(known[0]) if known else 0.5


class _CannotScore(Exception):
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
    `root`: the folder below which the candidates' shards stand. An algorithm whose model cannot be loaded or cannot
    score is no candidate; a group without any other is held, and so is one whose champion cannot score these rows.
    """
    held = _held_rows(workload, rows)
    nothing = Held(np.empty((0, len(workload.features.columns))), np.empty(0))
    candidates: dict[str, dict[str, Row]] = {}
    for row in models.to_pylist():
        candidates.setdefault(row["group"], {})[row["algorithm"]] = row
    incumbents = {row["group"]: row for row in champion.manifest.to_pylist()} if champion else {}
    decisions = []
    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # thousands of models that complain would fill the logs
        for entry in ledger.sort_by("group").to_pylist():
            group = entry["group"]
            case = Case(entry, held.get(group, nothing), candidates.get(group, {}), incumbents.get(group))
            decisions.append(_decision(workload, case, _judge_group(workload, case, root, champion), champion))
    return pa.Table.from_pylist(decisions, schema=DECISIONS)


def _judge_group(workload: Workload, case: Case, root: Path, champion: Incumbents | None) -> Judgement:
    held, gate = case.held, workload.gate
    rows, positives = len(held.labels), int(np.count_nonzero(held.labels == 1))
    state = case.entry["state"]
    unusable = why_hold(gate, rows, positives) if state == "trained" else f"the candidate is {state}"
    if gate.mode == "disabled":
        unusable = DISABLED
    if unusable is not None:
        return Judgement("hold", unusable, case.against, rows=rows, positives=positives)
    try:
        opponent = baseline(workload, held, case.prior)
        if champion is not None and case.incumbent is not None:
            opponent = _scores("champion", champion.folder, case.incumbent, held.features, champion.loads)
        found = _candidates(root, case, allowed_imports(workload))
    except _CannotScore as unable:
        return Judgement("hold", str(unable), case.against, rows=rows, positives=positives)
    seed = groups.seed(case.entry["group"], workload.seed)
    return judge(held.labels, found, opponent, case.against, gate, seed)


def _candidates(root: Path, case: Case, loads: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Return the scores of each algorithm's model that has any."""
    found: dict[str, NDArray[np.float64]] = {}
    problems: list[_CannotScore] = []
    for algorithm, stored in sorted(case.candidates.items()):
        try:
            found[algorithm] = _scores("candidate", root, stored, case.held.features, loads)
        except _CannotScore as unable:
            problems.append(unable)
    if not found:
        raise problems[0] if problems else _CannotScore("the candidate has no stored model")
    return found


def _scores(
    role: str, folder: Path, stored: Row, features: NDArray[np.float64], loads: Sequence[str]
) -> NDArray[np.float64]:
    """Return the scores of a stored model, its bytes verified before they are loaded."""
    group, shard = stored["group"], stored["shard"]
    try:
        data = read_bytes(folder / shard, stored["offset"], stored["length"])
        found = scores(decode(data, stored["sha256"], group, shard, loads), features)
        if found.shape != (len(features),):
            raise ValueError(f"{len(features)} rows gave scores of shape {found.shape}")
    except Exception as error:  # whatever a model's own code raises stays its own group's matter
        log.warning("group '%s': the %s could not score: %s: %s", group, role, type(error).__name__, error)
        if role == "champion" and isinstance(error, RefusedModel | OSError):
            raise _CannotScore(CORRUPT_CHAMPION) from error
        raise _CannotScore(f"the {role} could not score: {type(error).__name__}") from error
    return found


def baseline(workload: Workload, held: Held, prior: float) -> NDArray[np.float64]:
    """Return the declared baseline's score of each row: higher for likelier positives.

    `prior` is one constant for all, the share of positives in training: to a metric of ranks any constant is the same,
    to the others it is not. Rows for which a baseline feature is missing get the median of the group's other rows:
    nothing is known of them, so they are ranked in the middle.
    """
    if workload.gate.baseline == "prior":
        return np.full(len(held.labels), prior)
    column = held.features[:, workload.features.columns.index(workload.gate.baseline)]
    known = np.isfinite(column)
    return np.where(known, column, np.median(column[known]) if known.any() else prior)


def _held_rows(workload: Workload, rows: pa.Table) -> dict[str, Held]:
    """Divide a bucket's labelled rows by group; the arrays are views of the bucket's own."""
    labelled = rows.filter(pc.is_finite(rows["label"]))
    features = np.column_stack([labelled[name].to_numpy() for name in workload.features.columns])
    labels = labelled["label"].to_numpy()
    return {group: Held(features[start:stop], labels[start:stop]) for group, start, stop in group_slices(labelled)}


def _decision(workload: Workload, case: Case, judgement: Judgement, champion: Incumbents | None) -> Row:
    evidence = asdict(judgement)
    opponent_score = evidence.pop("opponent_score")
    return {
        **{name: case.entry[name] for name in ("partition", "run", "group", "bucket", "parent")},
        **evidence,
        "metric": workload.gate.metric,
        "champion_version": champion.version_of(case.entry["group"]) if champion else None,
        "champion_run": case.incumbent["origin_run"] if case.incumbent else None,
        "champion_score": opponent_score if case.incumbent else None,
        "baseline_score": _baseline_score(workload, case) if judgement.verdict != "hold" else None,
    }


def _baseline_score(workload: Workload, case: Case) -> float | None:
    measure, scores = METRICS[workload.gate.metric], baseline(workload, case.held, case.prior)
    if why_unusable(scores, measure) is not None:
        return None
    return value(measure.prepare(case.held.labels, scores), len(scores))
