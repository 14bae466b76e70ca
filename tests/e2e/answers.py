"""Which model answers for each flight, and with what: from the verdicts and the independent models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from tests.e2e.expected import Sample, Week


def origins(decided: Sequence[pd.DataFrame]) -> dict[str, str]:
    """Return the run that each group's champion came from, after the decisions of some weeks."""
    run_of: dict[str, str] = {}
    for decisions in decided:
        won = decisions[decisions["verdict"] == "promote"]
        run_of |= dict(zip(won["group"], won["run"], strict=True))
    return run_of


def prior(origin: Mapping[str, str], of_run: Mapping[str, Week]) -> float:
    """Return the share of positives in what the champions of groups of their own have learnt from."""
    learnt = [of_run[run].ledger.loc[group] for group, run in origin.items() if not group.startswith("*")]
    return float(sum(row["positives"] for row in learnt) / sum(row["rows"] for row in learnt))


def answers(weeks: Sequence[Week], decided: Sequence[pd.DataFrame], sample: Sample) -> pd.DataFrame:
    """Return `score`, `origin_run` and `fallback` of each row of `sample`, by the champion after those weeks."""
    origin = origins(decided)
    of_run = {str(decisions["run"].iloc[0]): week for week, decisions in zip(weeks, decided, strict=True)}
    declared = weeks[0].year.declared
    expected = pd.DataFrame(
        {"score": np.nan, "origin_run": None, "fallback": None}, index=sample.rows.index, dtype=object
    )
    numbers = pd.Series(range(len(sample.rows)), index=sample.rows["group"])
    for group in numbers.index.unique():
        at, name, why = numbers.loc[[group]].to_numpy(), group, None
        if name not in origin:
            name, why = parent(group, declared), "no model: parent"
        if name in origin:
            scores = of_run[origin[name]].score(name, sample.x[at])
            run: str | None = origin[name]
        else:
            scores, run, why = np.full(len(at), prior(origin, of_run)), None, "no model: prior"  # an hour is no share
        expected.iloc[at] = [[score, run, why] for score in scores]
    return expected.astype({"score": float})


def parent(group: str, declared: dict) -> str:
    """Return the name of the group's parent: `*` in place of the keys that it pools over."""
    keys, pooled_by = declared["keys"], declared["pack"]["fallback"]["keys"]
    return ",".join(value if key in pooled_by else "*" for key, value in zip(keys, group.split(","), strict=True))
