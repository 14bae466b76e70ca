"""The decisions of a whole run: their reconciliation with the ledger, and their summary."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from muster.errors import MusterError, bounded
from muster.evaluation.gate_input import is_old
from muster.evaluation.metrics import METRICS
from muster.evaluation.model_scores import CORRUPT_CANDIDATE, CORRUPT_CHAMPION, NO_CODE_OF_CHAMPION
from muster.evaluation.verdict import WON
from muster.settings import rollback_command
from muster.workload.spec import Gate, Workload


class CorruptChampion(MusterError):
    """Raised when models in production are not the bytes that their manifest vouches for."""

    def __init__(self, workload: Workload, versions: Mapping[str, str]) -> None:
        """Take each group's version."""
        quoted = bounded(f"'{group}'" for group in versions)
        super().__init__(
            f"champion version {bounded(sorted(set(versions.values())))}: the models of {len(versions)} groups are "
            f"missing or corrupt: {quoted}; nothing was decided: {_way_out(workload, versions)}, then evaluate again"
        )


def _way_out(workload: Workload, versions: Mapping[str, str]) -> str:
    """Return what to run: a pack is read from the store, a group's own model from MLflow."""
    if workload.registry == "pack":
        return f"put their files back or roll back, `{rollback_command(workload.name, None)}`"
    commands = [f"`{rollback_command(workload.name, group, version)}`" for group, version in versions.items()]
    others = f", `{rollback_command(workload.name, None, 'present')}` all champions'" if len(commands) > 1 else ""
    return f"{commands[0]} uploads its files again as the store has them{others}"


class ChampionCodeMissing(MusterError):
    """Raised when models in production are made of classes that are not where the gate's workers could import them."""

    def __init__(self, workload: Workload, classes: Mapping[str, str]) -> None:
        """Take each group's class, as `module:name`."""
        named, quoted = (bounded(f"'{name}'" for name in names) for names in (sorted(set(classes.values())), classes))
        back = rollback_command(workload.name, None if workload.registry == "pack" else next(iter(classes)))
        super().__init__(
            f"the champion's models of {len(classes)} groups are made of {named}, which cannot be imported: {quoted}; "
            "nothing was decided: put the module back where jobs find it, declare this under 'pack: allowed_imports:' "
            f"if it is there, or roll back, `{back}`; then evaluate again"
        )


class CorruptCandidates(MusterError):
    """Raised when models that were trained are not there, or not the bytes that were trained."""

    def __init__(self, run: str, groups: list[str]) -> None:
        quoted = bounded(f"'{group}'" for group in groups)
        super().__init__(
            f"run {run}: the models of {len(groups)} groups are missing or not those that were trained: {quoted}; "
            "nothing was decided: restore the run's shards, or train and evaluate again; and find out who could write "
            "there"
        )


class DecisionsNotReconciled(MusterError):
    """Raised when decisions and ledger do not hold the same groups, each once."""

    def __init__(self, ledger: int, decisions: int, wrong: list[str]) -> None:
        quoted = bounded(f"'{group}'" for group in wrong)
        super().__init__(
            f"the ledger holds {ledger} groups, the gate decided {decisions}; not exactly once in both: {quoted}; "
            "nothing was written: run train and evaluate again"
        )


def reconcile(workload: Workload, decisions: pa.Table, ledger: pa.Table) -> None:
    """Check that every group of the ledger has exactly one decision, and that all models were found.

    Raises:
        DecisionsNotReconciled: when a group is missing, too many or twice.
        ChampionCodeMissing, CorruptChampion, CorruptCandidates: naming the groups.
    """
    decided, expected = decisions["group"].to_pylist(), ledger["group"].to_pylist()
    if sorted(decided) != sorted(expected):
        wrong = set((Counter(decided) - Counter(expected)) | (Counter(expected) - Counter(decided)))
        raise DecisionsNotReconciled(len(expected), len(decided), sorted(wrong))
    corrupt = decisions.filter(pc.field("reason") == CORRUPT_CHAMPION)
    if corrupt.num_rows:
        versions = (corrupt[name].to_pylist() for name in ("group", "champion_version"))
        raise CorruptChampion(workload, dict(zip(*versions, strict=True)))
    missing = decisions.filter(pc.starts_with(decisions["reason"], NO_CODE_OF_CHAMPION))
    if missing.num_rows:
        groups, reasons = (missing[name].to_pylist() for name in ("group", "reason"))
        classes = (reason.removeprefix(NO_CODE_OF_CHAMPION) for reason in reasons)
        raise ChampionCodeMissing(workload, dict(zip(groups, classes, strict=True)))
    corrupt = decisions.filter(pc.field("reason") == CORRUPT_CANDIDATE)
    if corrupt.num_rows:
        raise CorruptCandidates(corrupt["run"][0].as_py(), corrupt["group"].to_pylist())


def summary(decisions: pa.Table, gate: Gate) -> dict[str, Any]:
    """Return how many groups got each verdict, why the others were held, and mean scores over those judged.

    `rejected_as_chance` counts those that win on enough of their resamples and are no promotion among so many groups;
    `false_promotion_rate` is the share of the promoted that is expected to be no better than its opponent.
    `score_before` is of what answered for the groups so far: the champion's model, or the baseline for a group that the
    pack does not hold; None while there is no champion at all. `score_after` is of what answers once the verdicts hold.
    `baseline_worse_than_chance` counts the judged groups whose baseline is worse than what knows nothing; and
    `old_champions` those with a champion that is older than `gate.max_age`. Scores are in the metric's own sign.
    Without labels `alerts` is the mean share of the rows that candidates alert on, and `report` says what their alerts
    and the labels of some rows have in common, over all groups: they had no part in any verdict.
    """
    verdicts = _counts(decisions["verdict"])
    judged = decisions.filter(pc.field("verdict") != "hold")
    promoted = judged.filter(pc.field("verdict") == "promote")
    before = pc.coalesce(judged["champion_score"], judged["baseline_score"])
    after = pc.if_else(pc.equal(judged["verdict"], "promote"), judged["candidate_score"], before)
    had_champion = pc.any(pc.is_valid(decisions["champion_version"])).as_py()
    return {
        "groups": decisions.num_rows,
        **{verdict: verdicts.get(verdict, 0) for verdict in ("promote", "hold", "reject")},
        "judged": judged.num_rows,
        "reasons": _counts(decisions.filter(pc.field("verdict") == "hold")["reason"]),
        "rejected_as_chance": sum(
            verdict == "reject" and (reason or "").startswith(WON)  # however an older Muster's reason went on
            for verdict, reason in zip(judged["verdict"].to_pylist(), judged["reason"].to_pylist(), strict=True)
        ),
        "false_promotion_rate": pc.max(promoted["q_value"]).as_py(),
        "algorithms": _counts(promoted["algorithm"]),
        "metric": decisions["metric"][0].as_py() if decisions.num_rows else None,
        "score_before": pc.mean(before).as_py() if had_champion else None,
        "score_after": pc.mean(after).as_py(),
        "score_baseline": pc.mean(judged["baseline_score"]).as_py(),
        "baseline_worse_than_chance": _worse_than_chance(judged, gate),
        **({} if gate.max_age is None else {"old_champions": len(old_champions(decisions, gate))}),
        **(_without_labels(judged) if METRICS[gate.metric].of_volume else {}),
    }


def _without_labels(judged: pa.Table) -> dict[str, Any]:
    judged = judged.filter(pc.invert(judged["parent"]))  # which pool the same rows again
    reports = [json.loads(text) for text in judged["report"].drop_null().to_pylist()]
    total = {name: sum(report[name] for report in reports) for name in ("labelled", "positives", "alerts", "caught")}
    shares = {
        name: total["caught"] / total[of] if total[of] else None
        for name, of in (("precision", "alerts"), ("recall", "positives"))
    }
    return {"alerts": pc.mean(judged["alerts"]).as_py(), "report": {**total, **shares} if reports else None}


def _worse_than_chance(judged: pa.Table, gate: Gate) -> int:
    pairs = zip(judged["chance_score"].to_pylist(), judged["baseline_score"].to_pylist(), strict=True)
    return sum(METRICS[gate.metric].better(chance, baseline) for chance, baseline in pairs)


def old_champions(decisions: pa.Table, gate: Gate) -> list[str]:
    """Return the groups whose champion was trained for a partition more than `gate.max_age` days earlier, by name."""
    rows = decisions.select(["group", "partition", "champion_run"]).to_pylist()
    return sorted(row["group"] for row in rows if is_old(gate, row["partition"], row["champion_run"]))


def notes(counts: dict[str, Any], decisions: pa.Table, gate: Gate) -> Iterator[str]:
    """Yield what a person should know of a run's decisions, beside the verdicts."""
    worse, judged = counts["baseline_worse_than_chance"], counts["judged"]
    if 2 * worse > judged:
        yield (
            f"the baseline '{gate.baseline}' is worse than chance for {worse:,} of {judged:,} judged groups: "
            "to beat it says little; choose another"
        )
    if (report := counts.get("report")) is not None:
        yield (
            f"of {report['labelled']:,} rows that have a label, which no verdict looked at, {report['alerts']:,} are "
            f"alerts and {report['positives']:,} positive: precision {_share(report['precision'])}, "
            f"recall {_share(report['recall'])}"
        )
    if gate.max_age is not None and (old := old_champions(decisions, gate)):
        named = bounded(f"'{group}'" for group in old)
        yield f"{len(old):,} groups have a champion older than {gate.max_age} days: {named}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _counts(column: pa.ChunkedArray) -> dict[str, int]:
    return {item["values"]: item["counts"] for item in pc.value_counts(column).to_pylist()}
