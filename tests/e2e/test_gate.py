"""The gate's decisions of two weeks against scikit-learn's AUC, SciPy's tests and a plain loop over resamples."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control, t
from sklearn.metrics import roc_auc_score

from tests.e2e.conftest import Read
from tests.e2e.expected import Gains, Week

NO_BETTER = "does no better than chance"

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def decisions(read: Read, week: Week) -> pd.DataFrame:
    return read("decisions", week.partition).set_index("group").sort_index()


def expected_hold(week: Week, group: str) -> str | None:
    """Return why nothing can be said about a group, or None where it can be judged."""
    if week.ledger.loc[group, "state"] != "trained":
        return f"the candidate is {week.ledger.loc[group, 'state']}"
    labels, least = week.evaluation_sample(group).y, week.year.declared["gate"]["min_positives"]
    positives, negatives = int(labels.sum()), int(len(labels) - labels.sum())
    if len(labels) == 0:
        return "no labelled rows to judge on"
    if not positives or not negatives:
        return "only one class to judge on"
    days = week.evaluation_sample(group).rows["day"].nunique()
    few = {"positives": positives < least, "negatives": negatives < least, "rows": len(labels) < 20, "days": days < 5}
    return next((f"too few {name} to judge on" for name, true in few.items() if true), None)


def test_every_group_of_the_ledger_has_one_decision(read: Read, week: Week) -> None:
    assert list(decisions(read, week).index) == list(week.ledger.index)


def test_what_cannot_be_judged_is_held_and_nothing_else(read: Read, week: Week) -> None:
    table = decisions(read, week)
    reasons = table[table["verdict"] == "hold"]["reason"].to_dict()
    expected = {group: why for group in week.ledger.index if (why := expected_hold(week, group)) is not None}
    assert reasons == expected


def test_rows_and_positives_are_those_of_the_evaluation_window(read: Read, week: Week) -> None:
    table = decisions(read, week)
    samples = {group: week.evaluation_sample(group).y for group in week.ledger.index}
    assert table["rows"].to_dict() == {group: len(labels) for group, labels in samples.items()}
    assert table["positives"].to_dict() == {group: int(labels.sum()) for group, labels in samples.items()}


def test_a_p_value_is_students_with_the_spread_of_the_resamples(
    read: Read, weeks: tuple[Week, Week], week: Week
) -> None:
    for group, row, gains in some_resampled(read, weeks, week):
        opponent = row["champion_score"] if row["against"] == "champion" else row["baseline_score"]
        gain, over_chance = row["candidate_score"] - opponent, row["candidate_score"] - 0.5
        assert row["p_value"] == pytest.approx(students(week, group, gain, gains.over_opponent), rel=1e-4), group
        expected = students(week, group, over_chance, gains.over_chance)
        assert row["chance_p_value"] == pytest.approx(expected, rel=1e-4), group
        assert row["chance_score"] == 0.5, group
        if row["win_rate"] >= week.year.declared["gate"].get("win_rate", 0.9):
            no_better = np.mean(gains.over_chance > 0) < week.year.declared["gate"].get("win_rate", 0.9)
            assert (row["reason"] == NO_BETTER) == no_better, group


def students(week: Week, group: str, gain: float, resampled: np.ndarray) -> float:
    """Return the p-value of a gain from its spread over resamples of days."""
    of_day = week.evaluation_sample(group).rows.groupby("day")["label"].agg(["sum", "size"])
    sizes = of_day["sum"], of_day["size"] - of_day["sum"]
    rarer = min(size.sum() ** 2 / (size**2).sum() for size in sizes)
    spread = np.std(resampled) * np.sqrt(len(of_day) / (len(of_day) - 1))
    return min(1.0, len(week.year.declared["algorithms"]) * max(t.sf(gain / spread, df=rarer - 1), 0.5**rarer))


def test_a_group_is_promoted_that_wins_often_and_is_sure_enough_among_all(read: Read, week: Week) -> None:
    table, gate = decisions(read, week), week.year.declared["gate"]
    judged = table[table["verdict"] != "hold"]
    adjusted = false_discovery_control(judged[["p_value", "chance_p_value"]].max(axis=1), method="bh")
    assert judged["q_value"].to_numpy() == pytest.approx(adjusted, abs=1e-12)
    no_better = (judged["reason"] == NO_BETTER).to_numpy()
    often = (judged["win_rate"] >= gate.get("win_rate", 0.9)).to_numpy()
    assert not no_better[~often].any()
    often &= ~no_better
    sure = adjusted <= gate.get("false_promotions", 0.1)
    assert (judged["verdict"] == np.where(often & sure, "promote", "reject")).all()
    by_chance = judged["reason"].str.endswith("it may be chance").to_numpy()
    assert (by_chance == (often & ~sure)).all()
    assert 0 < (often & sure).sum() < often.sum() < len(judged)
    assert (judged["low"] <= judged["high"]).all()


def test_the_first_week_is_judged_against_the_baseline(read: Read, weeks: tuple[Week, Week]) -> None:
    table = decisions(read, weeks[0])
    assert set(table["against"]) == {"baseline"}
    assert table[["champion_version", "champion_run", "champion_score"]].isna().all(axis=None)


def test_the_second_week_is_judged_against_the_first_weeks_winners(read: Read, weeks: tuple[Week, Week]) -> None:
    first, second = (decisions(read, week) for week in weeks)
    assert set(second["champion_version"]) == {"1"}
    won = set(first.index[first["verdict"] == "promote"])
    assert set(second.index[second["against"] == "champion"]) == won & set(second.index)
    runs = second["champion_run"].dropna()
    assert set(runs.index) == won & set(second.index)
    assert set(runs) == set(first["run"])


def test_aucs_are_scikit_learns(read: Read, weeks: tuple[Week, Week], week: Week) -> None:
    table = decisions(read, week)
    judged = table[table["verdict"] != "hold"]
    for group, row in judged.iterrows():
        sample = week.evaluation_sample(group)
        assert row["candidate_score"] == pytest.approx(auc(sample.y, week.score(group, sample.x)), abs=1e-9), group
        assert row["baseline_score"] == pytest.approx(auc(sample.y, week.baseline(sample)), abs=1e-12), group
        if row["against"] == "champion":
            champion = weeks[0].score(group, sample.x)
            assert row["champion_score"] == pytest.approx(auc(sample.y, champion), abs=1e-9), group


def test_win_rates_are_those_of_a_loop_over_the_same_resamples(
    read: Read, weeks: tuple[Week, Week], week: Week
) -> None:
    for group, row, gains in some_resampled(read, weeks, week):
        assert row["win_rate"] == pytest.approx(np.mean(gains.over_opponent > 0), abs=1e-12), group
        assert row["resamples"] == len(gains.over_opponent), group


def some_resampled(read: Read, weeks: tuple[Week, Week], week: Week) -> Iterator[tuple[str, pd.Series, Gains]]:
    """Yield ten judged groups, small and large, with the gain on each of their resamples."""
    table = decisions(read, week)
    judged = table[table["verdict"] != "hold"].sort_values(["against", "rows"])
    for group, row in judged.iloc[np.linspace(0, len(judged) - 1, 10).astype(int)].iterrows():
        sample = week.evaluation_sample(group)
        theirs = weeks[0].score(group, sample.x) if row["against"] == "champion" else week.baseline(sample)
        yield group, row, week.gains(group, theirs)


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    return float(roc_auc_score(labels, scores))
