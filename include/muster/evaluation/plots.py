"""A run's decisions as pictures: how much is gained where, and what answers before and after."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PROMOTED, OTHERS = "#2e7d32", "#b0bec5"
SIZE = (7.0, 3.2)
"""Inches, at 100 dots each."""
BINS = 40


def plots(decisions: pa.Table, metric: str) -> dict[str, bytes]:
    """Return PNG files by title, of decisions with their `gain`; none where nothing was judged."""
    judged = decisions.filter(pc.is_valid(decisions["gain"]))
    if judged.num_rows == 0:
        return {}
    columns = {
        name: judged[name].to_numpy() for name in ("gain", "candidate_score", "champion_score", "baseline_score")
    }
    promoted = pc.equal(judged["verdict"], "promote").to_numpy(zero_copy_only=False).astype(bool)
    return {
        "gain of the judged groups": _gains(columns, promoted, metric),
        "before and after": _pairs(columns, promoted, metric),
    }


def _gains(columns: dict[str, Any], promoted: Any, metric: str) -> bytes:
    gain = columns["gain"]
    figure, axes = _figure(f"better than its opponent by, in {metric}", "groups")
    parts, labels = (
        [gain[promoted], gain[~promoted]],
        [f"promoted: {promoted.sum():,}", f"others: {(~promoted).sum():,}"],
    )
    axes.hist(parts, bins=BINS, stacked=True, color=[PROMOTED, OTHERS], label=labels)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.legend(frameon=False)
    return _png(figure)


def _pairs(columns: dict[str, Any], promoted: Any, metric: str) -> bytes:
    champion, candidate = columns["champion_score"], columns["candidate_score"]
    before = np.where(np.isnan(champion), columns["baseline_score"], champion)
    figure, axes = _figure(f"{metric} of what answers now", f"{metric} of the candidate")
    for selected, color, order in ((~promoted, OTHERS, 1), (promoted, PROMOTED, 2)):
        axes.scatter(before[selected], candidate[selected], s=9, color=color, linewidths=0, zorder=order)
    both = np.concatenate([before, candidate])
    ends = [np.nanmin(both), np.nanmax(both)]
    axes.plot(ends, ends, color="black", linewidth=0.8, zorder=3)
    return _png(figure)


def _figure(x: str, y: str) -> tuple[Any, Axes]:
    from matplotlib.figure import Figure  # without pyplot: no state that threads would share

    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100, metadata={"Software": None})
    return buffer.getvalue()
