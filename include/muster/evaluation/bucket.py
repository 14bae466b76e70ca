"""Judge every group of one bucket: Arrow tables in, decisions out."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from muster import groups
from muster.evaluation.gate_input import GateInput, Row, asked, baseline, baseline_score, no_rows, rows_by_group
from muster.evaluation.judgement import Judgement, held
from muster.evaluation.metrics import measure_of
from muster.evaluation.model_scores import Scorer, ScoringFailed, candidate_scores, place_of, stored_scores
from muster.evaluation.verdict import hold_reason, judge
from muster.models.manifest import allowed_imports
from muster.models.stored import StoredModels
from muster.storage.files import Files
from muster.storage.tables import DECISIONS
from muster.workload.spec import Workload

DISABLED = "the gate is disabled"
NO_CONSTANT = "trained before gate.metric was declared so: train again"

TOGETHER = 128
"""Groups whose models are read in one request a shard."""


class _Bytes(NamedTuple):
    """The models of a bucket as they are stored."""

    candidates: StoredModels
    incumbents: StoredModels

    def fetch(
        self, groups: Sequence[str], candidates: Mapping[str, Mapping[str, Row]], incumbents: Mapping[str, Row]
    ) -> None:
        """Read those of the groups that are judged next."""
        models = [row for group in groups for row in candidates.get(group, {}).values()]
        self.candidates.fetch(map(place_of, models))
        self.incumbents.fetch(place_of(incumbents[group]) for group in groups if group in incumbents)


@dataclass(frozen=True)
class Incumbents:
    """The champion pack's models of one bucket's groups."""

    version: str | None
    files: Files
    """Below whose root the manifest's shards are."""
    manifest: pa.Table
    allowed_imports: tuple[str, ...] = ()
    """What its models may name beside numpy, scipy and scikit-learn."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Each group's own version, where every group has a registered model of its own; `version` is None then."""

    def version_of(self, group: str) -> str | None:
        """Return the version that is champion to the group."""
        return self.version or self.versions.get(group)


def judge_bucket(
    workload: Workload,
    rows: pa.Table,
    ledger: pa.Table,
    models: pa.Table,
    files: Files,
    champion: Incumbents | None,
) -> pa.Table:
    """Return one row of `decisions` for every group of `ledger`, sorted by group.

    `rows`: the bucket's features in the evaluate window, sorted by group. `ledger`, `models`: its rows of the run.
    `files`: those that the candidates' shards are among. An algorithm whose model cannot be loaded
    or cannot score is no candidate; a group without any other is held, and so is one whose champion cannot score these
    rows.
    """
    by_group = rows_by_group(workload, rows)
    nothing = no_rows(workload)
    candidates: dict[str, dict[str, Row]] = {}
    for row in models.to_pylist():
        candidates.setdefault(row["group"], {})[row["algorithm"]] = row
    incumbents = {row["group"]: row for row in champion.manifest.to_pylist()} if champion else {}
    bytes_of = _Bytes(StoredModels(files), StoredModels(champion.files if champion else files))
    decisions = []
    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # thousands of models that complain would fill the logs
        for number, row in enumerate(ordered := ledger.sort_by("group").to_pylist()):
            if number % TOGETHER == 0:
                bytes_of.fetch([item["group"] for item in ordered[number:][:TOGETHER]], candidates, incumbents)
            group = row["group"]
            rows_of_group = asked(workload, group, by_group.get(group, nothing))
            inputs = GateInput(row, rows_of_group, candidates.get(group, {}), incumbents.get(group))
            decisions.append(_decision(workload, inputs, _judge_group(workload, inputs, bytes_of, champion), champion))
    return pa.Table.from_pylist(decisions, schema=DECISIONS)


def _judge_group(workload: Workload, inputs: GateInput, bytes_of: _Bytes, champion: Incumbents | None) -> Judgement:
    rows, gate = inputs.rows.held_out, workload.gate
    state = inputs.ledger_row["state"]
    reason = hold_reason(gate, rows) if state == "trained" else f"the candidate is {state}"
    if gate.mode == "disabled":
        reason = DISABLED
    if reason is not None:
        return held(reason, inputs.against, rows)
    scorer = Scorer(measure_of(gate), workload.outcome.scale)
    try:
        opponent = baseline(workload, inputs)
        if champion is not None and inputs.incumbent is not None:
            names, features = champion.allowed_imports, inputs.rows.features
            opponent = stored_scores("champion", bytes_of.incumbents, inputs.incumbent, features, names, scorer)
        candidates = candidate_scores(bytes_of.candidates, inputs, allowed_imports(workload), scorer)
    except ScoringFailed as failure:
        return held(str(failure), inputs.against, rows)
    rival = inputs.rival(workload, opponent)
    if not np.isfinite(rival.constant).all():
        return held(NO_CONSTANT, inputs.against, rows)
    return judge(rows, candidates, rival, gate, groups.seed(inputs.ledger_row["group"], workload.seed))


def _decision(workload: Workload, inputs: GateInput, judgement: Judgement, champion: Incumbents | None) -> Row:
    evidence = asdict(judgement)
    opponent_score = evidence.pop("opponent_score")
    chosen = inputs.candidates.get(judgement.algorithm or "")
    return {
        **{name: inputs.ledger_row[name] for name in ("partition", "run", "group", "bucket", "parent")},
        **evidence,
        "candidate_sha256": chosen["sha256"] if chosen else None,
        "metric": workload.gate.metric,
        "champion_version": champion.version_of(inputs.ledger_row["group"]) if champion else None,
        "champion_run": inputs.incumbent["origin_run"] if inputs.incumbent else None,
        "champion_score": opponent_score if inputs.incumbent else None,
        "baseline_score": baseline_score(workload, inputs) if judgement.verdict != "hold" else None,
    }
