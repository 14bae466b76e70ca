"""The review of a partition's verdicts, against an MLflow server."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from muster.evaluation.plots import plots
from muster.promotion.approval import Approval
from muster.promotion.review import quoted, review, with_gain
from muster.promotion.verdicts import NotJudged
from muster.storage.tables import DECISIONS
from tests.landed import land_nothing

Line = Any
PNG = b"\x89PNG\r\n\x1a\n"


def decided(count: int, metric: str = "roc_auc", **columns: Any) -> pa.Table:
    """Return decisions of which every other is a promotion; group 7 gains most and is least sure."""
    random = np.random.default_rng(0)
    rows = []
    for number in range(count):
        gain = 0.4 if number == 7 else float(random.uniform(0.01, 0.1))
        rows.append(
            {"group": f"G{number}|`x`\n,X", "verdict": ("reject", "promote")[number % 2], "against": "champion"}
            | {"candidate_score": 0.6 + gain, "champion_score": 0.6, "baseline_score": 0.5, "metric": metric}
            | {"low": -0.2 if number == 7 else gain - 0.005, "high": gain + 0.3, "p_value": 0.01, "q_value": 0.02}
            | {"algorithm": "logistic", "rows": 100, "positives": 30}
            | columns
        )
    return pa.Table.from_pylist([{name: row.get(name) for name in DECISIONS.names} for row in rows], schema=DECISIONS)


def test_of_a_loss_less_is_the_gain() -> None:
    rows = with_gain(decided(4, metric="log_loss")).to_pylist()
    for row in rows:
        assert row["gain"] == pytest.approx(row["champion_score"] - row["candidate_score"])
        assert row["at_least"] == -row["high"]


def test_a_first_candidate_gains_on_the_baseline() -> None:
    (row,) = with_gain(decided(1, against="baseline", champion_score=None)).to_pylist()
    assert row["gain"] == pytest.approx(row["candidate_score"] - 0.5)


def test_a_run_of_no_group_asks_nobody_and_promotes_nothing(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muster.promotion.proposal.current", lambda *_: None)
    line.decide(line.first, "", {})
    with pytest.raises(NotJudged, match="decisions hold no row of it"):
        line.promote(line.first)
    land_nothing(line.store, "carrier,origin,at,delay", line.at(line.first).windows.run.days())
    reviewed, result = review(line.at(line.first)), line.promote(line.first)
    why = "no group was promoted: nothing happened on the days of the partition's windows"
    assert (reviewed.needs_approval, reviewed.why) == (False, f"nothing would be moved: {why}")
    assert "| promote | 0 |" in reviewed.markdown
    assert "| reject | 0, of them 0 whose gain may be chance |" in reviewed.markdown
    assert (result["moved"], result["reason"], result["promoted"]) == (False, why, 0)


def test_decisions_of_an_older_muster_can_be_reviewed(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muster.promotion.proposal.current", lambda *_: None)
    line.decide(line.first, "r1", {"UA,EWR": "promote"})
    table = line.store.open("decisions")
    older = table.to_pyarrow_table().drop_columns(["rule", "chance_score", "chance_p_value", "clusters"])
    write_deltalake(line.store.table("decisions"), older, mode="overwrite", schema_mode="overwrite")
    assert review(line.at(line.first)).numbers["promote"] == 1


def test_plots_are_pictures_and_small() -> None:
    pictures = plots(with_gain(decided(400)), "roc_auc")
    assert len(pictures) == 2
    for png in pictures.values():
        assert png.startswith(PNG)
        assert len(png) < 100_000


def test_where_nothing_was_judged_there_is_nothing_to_draw() -> None:
    held = decided(3, verdict="hold", candidate_score=None, champion_score=None, baseline_score=None)
    assert plots(with_gain(held), "roc_auc") == {}


@pytest.mark.parametrize("name", ["a|b", "a`b", "a\n| x |", "<b>"])
def test_a_group_of_any_name_stays_within_its_cell(name: str) -> None:
    text = quoted(name)
    assert (text[0], text[-1]) == ("`", "`")
    assert not {"`", "\n"} & set(text[1:-1])
    assert "|" not in text.replace("\\|", "")


@pytest.mark.slow
def test_a_human_is_shown_what_changes_and_can_approve_exactly_that(served: Line) -> None:
    names = [f"G{number},X" for number in range(40)]
    first = served.at(served.first)
    run = served.train(served.first, dict.fromkeys(names, 1.0))
    served.decide(served.first, run, dict.fromkeys(names, "promote"))
    before = review(first)
    assert (before.needs_approval, before.why) == (False, "there is no champion whose groups could change")
    version = served.promote(served.first)["to_version"]
    assert "carried out before" in review(first).why

    served.declared = {"gate": {"baseline": "record", "max_changed": 0.25}}
    run = served.train(served.second, dict.fromkeys(names, 2.0))
    rows = decided(40, partition=served.second, run=run, champion_version=version).drop(["group"])
    rows = rows.append_column("group", pa.array(names)).select(DECISIONS.names)
    predicate = f"partition = '{served.second}'"
    write_deltalake(served.store.table("decisions"), rows, mode="overwrite", predicate=predicate)
    second = served.at(served.second)
    shown = review(second)
    assert (shown.needs_approval, shown.changed) == (True, 0.5)
    assert shown.why == "50.0% of the champion's 40 groups would change, more than 25.0%"
    assert (shown.largest_gains[0]["group"], shown.largest_risks[0]["group"]) == ("G7,X", "G7,X")
    assert len(shown.largest_gains) == len(shown.largest_risks) == 5
    for expected in (
        shown.why,
        shown.verdicts,
        "| promote | 20 |",
        "| `G7,X` | `logistic` | champion | +0.4000 | -0.2000 |",
    ):
        assert expected in shown.markdown
    result = served.promote(served.second, approval=Approval("ann", shown.verdicts))
    assert result["promoted"] == 20
    assert review(second).why.startswith("these verdicts were carried out before")
