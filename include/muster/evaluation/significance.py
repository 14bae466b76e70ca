"""How sure a gain is: a p-value for each group, and the control of false promotions over all of them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.special import stdtr

DOUBT = ", but not surely enough: it may be chance"
"""Follows the reason of a group that wins on enough of its own resamples, and is rejected all the same."""


def p_value(gain: float, resampled: NDArray[np.float64], units: float, algorithms: int, days: int = 0) -> float:
    """Return how often chance alone would show such a `gain`, one-sided; `resampled`: the gain in each resample.

    The bootstrap's standard error makes the gain a t statistic (Efron and Tibshirani, An Introduction to the Bootstrap,
    1993, chapter 12). The share of lost resamples would not do: thousands of groups need p-values far finer than one of
    a thousand resamples. Its degrees of freedom are one less than `units`: the days that were resampled, as many of one
    size as tell the same, or rows; where the metric is about classes, of the rarer one's rows; of a volume, of the most
    unusual tenth of the rows, which alone decide it. The variance of an AUC
    is a sum of one part for each class (DeLong et al. 1988; of clusters, Obuchowski 1997), and Satterthwaite's degrees
    of freedom (1946) of such a sum are never fewer than the smaller part's. Nor is a p-value below 1 / 2 ** units, the
    finest that a test by exchanging the two models on each unit could give: so resamples that all agree prove no more
    than their days can.

    Resamples of so many `days` (0: of rows) spread by `sqrt((days - 1) / days)` too little, as any variance does that
    divides by n in place of n - 1: with the fewest days that are judged on that is a tenth.

    The best of several was chosen on these very rows: its p-value is multiplied by their number. Bonferroni's bound
    holds however the choice was made, and in the far tail, where many groups are judged, the maximum of correlated
    statistics comes near it; White's reality check (2000) by resamples has no such tail.
    """
    spread = float(np.std(resampled)) * (days / (days - 1)) ** 0.5 if days > 1 else float(np.std(resampled))
    tail = float(gain <= 0)
    if spread > 0:
        tail = float(stdtr(max(units - 1, 1), -gain / spread))
    return float(min(1.0, algorithms * max(tail, 0.5 ** min(units, 1000.0))))


def control(decisions: pa.Table, false_promotions: float) -> pa.Table:
    """Return a run's decisions with `q_value`, the promotions that chance may have brought turned into rejections.

    Benjamini and Hochberg (1995) over the p-values of all judged groups: of the promoted ones no more than the share
    `false_promotions` is expected to be no better than its opponent, or than chance: of the two p-values the larger one
    counts, as both must be ruled out (Berger 1982). It holds for groups that are independent or
    positively dependent (Benjamini and Yekutieli 2001), as a parent and the groups that it pools are.
    """
    p_values = pc.max_element_wise(decisions["p_value"], decisions["chance_p_value"])
    judged = np.flatnonzero(pc.is_valid(p_values).to_numpy())
    q_values = np.full(decisions.num_rows, np.nan)
    if len(judged):
        from scipy.stats import false_discovery_control  # half a second to import: not in every process

        q_values[judged] = false_discovery_control(p_values.to_numpy()[judged])
    q_column = pa.array(q_values, from_pandas=True)
    wins = pc.equal(decisions["verdict"], "promote")
    doubtful = pc.and_(wins, pc.greater(q_column, false_promotions).fill_null(False))
    reason = pc.binary_join_element_wise(decisions["reason"], DOUBT, "")
    columns = {
        "verdict": pc.if_else(doubtful, "reject", decisions["verdict"]),
        "reason": pc.if_else(doubtful, reason, decisions["reason"]),
        "q_value": q_column,
    }
    for name, column in columns.items():
        decisions = decisions.set_column(decisions.schema.get_field_index(name), name, column)
    return decisions
