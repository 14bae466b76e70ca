"""What a human sees before a partition's verdicts are carried out: the numbers, the outliers, two plots."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from muster.champions.journal import Journal
from muster.context import PartitionContext
from muster.errors import bounded
from muster.evaluation.decisions import summary
from muster.evaluation.metrics import METRICS
from muster.evaluation.plots import plots
from muster.promotion.approval import why_approval
from muster.promotion.proposal import Proposal, propose
from muster.promotion.verdicts import partition_rows, read_verdicts

OUTLIERS = 5
"""Groups shown of each kind: what a human can look into, however many there are."""


@dataclass(frozen=True)
class Review:
    """A partition's verdicts, for a human to approve or not."""

    run: str
    """Whose models they are about."""
    verdicts: str
    """Their digest, which an approval has to name."""
    needs_approval: bool
    why: str
    """Why an approval is needed, or why not."""
    changed: float
    """The share of the champion's groups that would change."""
    numbers: Mapping[str, Any]
    """As `evaluation.decisions.summary` gives them."""
    largest_gains: Sequence[Mapping[str, Any]]
    """Rows of `decisions` with their `gain`: the groups to promote that gain most."""
    largest_risks: Sequence[Mapping[str, Any]]
    """The groups to promote whose gain may turn out smallest: by the low end of its 95 % interval, `at_least`."""
    markdown: str
    plots: Mapping[str, bytes]
    """PNG files by title; none where nothing was judged."""


def review(context: PartitionContext, retry: str | None = None) -> Review:
    """Return what a partition's promotion, or that of a retry, would change and whether a human has to approve it.

    Nothing is written.

    Raises:
        NotJudged: when the partition has no decisions, or those of several runs.
        AliasMoved: when another version than the champion was judged.
    """
    proposal = propose(context, read_verdicts(context, retry), Journal(context.store))
    run = proposal.verdicts.run
    decisions = with_gain(partition_rows(context, "decisions").filter(pc.field("run") == run))
    promoted = decisions.filter(pc.field("verdict") == "promote")
    needed = why_approval(context, proposal)
    content: dict[str, Any] = {
        "run": run,
        "verdicts": proposal.verdicts.digest,
        "needs_approval": needed is not None,
        "why": needed or _why_none(context, proposal),
        "changed": proposal.changed,
        "numbers": summary(decisions, context.workload.gate),
        "largest_gains": _first(promoted, "gain", "descending"),
        "largest_risks": _first(promoted, "at_least", "ascending"),
    }
    text = _markdown(context.workload.name, context.partition, content)
    return Review(**content, markdown=text, plots=plots(decisions, context.workload.gate.metric))


def with_gain(decisions: pa.Table) -> pa.Table:
    """Add how much better than its opponent each judged candidate is, `gain`, and the gain's low end, `at_least`."""
    opponent = pc.if_else(
        pc.equal(decisions["against"], "champion"), decisions["champion_score"], decisions["baseline_score"]
    )
    gain = pc.subtract(decisions["candidate_score"], opponent)
    at_least = decisions["low"]
    if decisions.num_rows and not METRICS[decisions["metric"][0].as_py()].higher_is_better:
        gain, at_least = pc.negate(gain), pc.negate(decisions["high"])
    return decisions.append_column("gain", gain).append_column("at_least", at_least)


def _first(rows: pa.Table, column: str, order: str) -> list[dict[str, Any]]:
    ordered = rows.sort_by([(column, order), ("group", "ascending")])
    outliers: list[dict[str, Any]] = ordered.slice(0, OUTLIERS).to_pylist()
    return outliers


def _why_none(context: PartitionContext, proposal: Proposal) -> str:
    done = [one.carried_out for one in proposal.done if one.carried_out]
    if done and len(done) == len(proposal.units):
        versions = sorted({row["to_version"] for row in done})
        return f"these verdicts were carried out before, as version {bounded(versions)}"
    if proposal.nothing is not None:
        return f"nothing would be moved: {proposal.nothing}"
    if not proposal.base.groups:
        return "there is no champion whose groups could change"
    most = context.workload.gate.max_changed
    return (
        f"{proposal.changed:.1%} of the champion's {len(proposal.base.groups)} groups would change, at most {most:.1%}"
    )


def _markdown(name: str, partition: str, facts: Mapping[str, Any]) -> str:
    numbers = facts["numbers"]
    scores = {which: numbers[f"score_{which}"] for which in ("before", "after", "baseline")}
    figures = [
        ("promote", f"{numbers['promote']:,}"),
        ("hold", f"{numbers['hold']:,}"),
        ("reject", f"{numbers['reject']:,}, of them {numbers['rejected_as_chance']:,} whose gain may be chance"),
        *((f"mean {numbers['metric']} {which}", _number(score)) for which, score in scores.items()),
        ("expected share of false promotions", _number(numbers["false_promotion_rate"])),
        ("share of the champion's groups changed", f"{facts['changed']:.1%}"),
        *_without_labels(numbers),
    ]
    parts = [
        f"## {name}, partition {partition}",
        f"{'**An approval is needed**' if facts['needs_approval'] else 'No approval is needed'}: {facts['why']}.",
        _table(("", ""), figures),
    ]
    for title in ("largest_gains", "largest_risks"):
        if facts[title]:
            rows = [_outlier(row) for row in facts[title]]
            parts += [
                f"### {title.replace('_', ' ').capitalize()}",
                _table(("group", "algorithm", "against", "gain", "at least", "p-value", "rows", "positives"), rows),
            ]
    return "\n\n".join([*parts, f"Verdicts `{facts['verdicts']}`"]) + "\n"


def _without_labels(numbers: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "alerts" not in numbers:
        return
    yield "judged without labels; mean share of rows alerted on", _number(numbers["alerts"])
    if (report := numbers["report"]) is not None:
        which = f"of {report['labelled']:,} labelled rows, which decided nothing: precision, recall of alerts"
        yield which, f"{_number(report['precision'])}, {_number(report['recall'])}"


def _outlier(row: Mapping[str, Any]) -> tuple[str, ...]:
    certain = "-" if row["p_value"] is None else f"{row['p_value']:.2g}"
    gains = ("-" if row[name] is None else f"{row[name]:+.4f}" for name in ("gain", "at_least"))
    counts = ("-" if row[name] is None else f"{row[name]:,}" for name in ("rows", "positives"))
    return quoted(row["group"]), quoted(row["algorithm"] or "-"), row["against"] or "-", *gains, certain, *counts


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def quoted(text: str) -> str:
    """Return a name from the data as Markdown shows it as it is: it neither ends its cell nor is read as markup."""
    return "`" + re.sub(r"[\s\x00-\x1f]", " ", text).replace("`", "'").replace("|", "\\|") + "`"
