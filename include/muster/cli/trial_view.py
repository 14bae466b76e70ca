"""A trial for a person: what was read, what the features are, what fit and gate resulted in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from muster.errors import bounded
from muster.evaluation.metrics import METRICS
from muster.ingest.sources.kind import PassedOver
from muster.printable import number

STYLES = {"promote": "bold green", "reject": "bold yellow", "hold": "bold cyan", "failed": "bold red"}


def view(trial: dict[str, Any], out: TextIO) -> None:
    """Print a trial as `muster.cli.try_group.as_dict` gives it."""
    console = Console(file=out, highlight=False, width=None if out.isatty() else 120)
    console.print(Text(f"{trial['group']}  partition {trial['partition']}", style="bold"))
    refused = "".join(f", {count} refused ({reason})" for reason, count in trial["refused"].items())
    console.print(Text(f"{trial['observations']} observations from {trial['source']}{refused}", style="dim"))
    if trial["weight"] is not None:
        weighed = "means and spreads of labels, fits and metrics; counts, features and alerts are of rows"
        console.print(Text(f"weighted by `{trial['weight']}`: {weighed}", style="dim"))
    for warning in _warnings(trial):
        console.print(Text(warning, style="yellow"))
    windows = [[name, *window.values()] for name, window in trial["windows"].items()]
    header = ["window", "from", "up to", *list(trial["windows"]["train"])[2:]]
    console.print(_table(header, windows))
    features = [[name, *described.values()] for name, described in trial["features"].items()]
    console.print(_table(["feature", "mean", "std", "min", "max", "missing"], features))
    console.print(_point_in_time(trial["point_in_time"]))
    console.print(_training(trial["training"]))
    for fit in trial["fits"]:
        console.print(_fit(fit, trial["failed_at"].get(fit["algorithm"])))
    console.print(_decision(trial["decision"], not trial["point_in_time"]["leaks"]))
    console.print(Text(f"{trial['seconds']:.2f} s, nothing was written to a table", style="dim"))


def _warnings(trial: dict[str, Any]) -> Iterator[str]:
    """Say of which days the trial knows more than the tables do, and why the next run will fail, or nothing."""
    if why := trial["next_run_fails"]:
        yield f"the next run of `features` will fail: {why}"
    if since := trial["stale_since"]:
        skipped = "the next `train` would skip this group as stale, by `freshness.stale_after`"
        yield f"{skipped}: no observation since {since}"
    if again := trial["delivered_again"]:
        yield f"delivered again since ingest, so read from the source as the next ingest will: {bounded(again, 5)}"
    if missing := trial["not_landed"]:
        days = f"not landed, {number(len(missing), 'day')} of the windows and their lookback: {bounded(missing, 5)}"
        yield f"{days}{PassedOver(tuple(trial['misnamed']), trial['named_as'])}"


def _table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for place, name in enumerate(header):
        table.add_column(name, justify="right" if place else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row))
    return table


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, dict):
        return ", ".join(f"{name} {count}" for name, count in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _point_in_time(check: dict[str, Any]) -> Text:
    if not check["leaks"]:
        days = len(check["days"])
        return Text(f"point in time: the features of {days} days know neither their outcomes nor later rows")
    leaks = (f"\n  '{leak['feature']}' on {leak['day']} knows {leak['knows']}" for leak in check["leaks"])
    return Text(f"point in time: broken{''.join(leaks)}", style=STYLES["failed"])


def _training(row: dict[str, Any]) -> Text:
    detail = f"{row['learnt']} rows learnt from" if "rows" in row else row["reason"]
    if "rows" in row and (row["positives"] is not None or row["target"]):  # else nothing is labelled
        detail += f"; {_labelled(row, 'labelled')}"
    return Text("training: ").append(row["state"], STYLES.get(row["state"], "bold")).append(f": {detail}")


def _labelled(row: dict[str, Any], what: str) -> str:
    positives = "" if row["positives"] is None else f", {row['positives']} positives"
    classes = json.loads(row["classes"]) if row.get("classes") else {}
    return f"{row['rows']} {what}{positives}{f' ({_cell(classes)})' if classes else ''}"


def _fit(fit: dict[str, Any], failed_at: str | None) -> Text:
    text = Text(f"  {fit['algorithm']}: ").append(fit["state"], STYLES.get(fit["state"], ""))
    if fit["state"] == "trained":
        score = "" if fit["score"] is None else f", {fit['score']:.4f} on the evaluate window"
        text.append(f", {fit['length']:,} bytes in {fit['seconds'] * 1000:.0f} ms{score}")
    if fit["params"] not in (None, "{}"):
        text.append(f"; chosen: {fit['params']}")
    if fit["reason"]:
        error = f"{fit['error_class']}: " if fit["error_class"] else ""
        text.append(f": {error}{fit['reason']}")
    return text.append(f"\n    {failed_at}" if failed_at else "")


def _without_labels(row: dict[str, Any]) -> str:
    agreement = "" if row["agreement"] is None else f"; rank correlation with the champion {row['agreement']:.3f}"
    text = f"\n  no label was looked at: alerts on {row['alerts']:.2%} of the rows{agreement}"
    if row["report"] is None:
        return text
    report = json.loads(row["report"])
    caught = f"{report['caught']} of {report['alerts']} alerts are among the {report['positives']} positives"
    return f"{text}\n  of {report['labelled']} rows that have a label, {caught}"


def _decision(row: dict[str, Any], point_in_time: bool) -> Text:
    text = Text("gate: ")
    if not point_in_time:
        text.append("not to be believed", STYLES["failed"]).append(": the features know what score will not; it says ")
    text.append(row["verdict"], STYLES[row["verdict"]] if point_in_time else "").append(f": {row['reason']}")
    if row["verdict"] != "hold":
        text.append(f", chosen: {row['algorithm']}")
        opponent = row["champion_score"] if row["against"] == "champion" else row["baseline_score"]
        scores = f"{row['candidate_score']:.4f} against {opponent:.4f}"
        wins = f"wins on {row['win_rate']:.1%} of {row['resamples']} resamples"
        interval = f"difference {row['low']:+.4f} to {row['high']:+.4f} (95 %)"
        text.append(f"\n  {row['metric']} {scores}; {wins}; {interval}; {_labelled(row, 'rows')}")
        if row["p_value"] is not None:
            text.append(
                f"\n  p-value {max(row['p_value'], row['chance_p_value']):.2g} by itself: the more groups a run "
                f"judges, the smaller it has to be; what knows nothing has {row['chance_score']:.4f}"
            )
        if row["alerts"] is not None:
            text.append(_without_labels(row))
        if METRICS[row["metric"]].better(row["chance_score"], row["baseline_score"]):
            text.append("\n  the baseline is worse than chance here: to beat it says little", "yellow")
    version = row.get("champion_version")
    known = (
        f"version {version}, of run {row['champion_run']}"
        if row["against"] == "champion"
        else "the group has no champion"
    )
    return text.append(f"\n  judged against the {row['against']}: {known}, as the journal tells")
