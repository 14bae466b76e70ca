"""One group's rows of landed files are those that the check of the whole files gives it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import pyarrow.compute as pc
import pytest

from muster.context import Context
from muster.ingest.refusals import TooManyRefused, check_refused
from muster.ingest.row_checks import check_day, good_rows
from muster.ingest.sources.kinds import complete_arrivals
from muster.storage.store import Store
from muster.trial.landed_rows import landed_group
from tests.ingest.test_row_checks import DAY, WORKLOAD, put

UNIQUE = [("place", "line", "at"), ("at",), ("place", "at"), ("at", "warm"), ()]


def made(random: Random) -> str:
    """Return lines of few groups, hours and values, so that many repeat or contradict another; some are wrong."""
    warms = ["1", "2", "-0", "0", *(["99", ""] if random.random() < 0.5 else [])]
    lines = ["1", "2", *(["x", "01", "+1", ""] if random.random() < 0.5 else [])]
    rows = [
        f"{random.choice(['north', 'south'])},{random.choice(lines)},2024-01-05T{random.randrange(24):02}:00:00,"
        f"{random.choice(warms)},,,"
        for _ in range(random.choice([0, 1, 5, 40]))
    ]
    return "".join(f"{row}{random.choice(['', '', '', ',7'])}\n" for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize("unique", UNIQUE, ids=lambda unique: ",".join(unique) or "row")
def test_rows_reasons_and_refused_days_are_those_of_the_whole_file(
    tmp_path: Path, unique: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    random, store, outcomes = Random(0), Store(str(tmp_path), WORKLOAD.name), Counter[str]()
    monkeypatch.setattr("muster.ingest.formats.csv_rows.BLOCK_BYTES", 300)  # several blocks a file
    for _ in range(60):
        share = random.choice([0.1, 0.5, 0.9, 1])
        workload = WORKLOAD.model_copy(update={"unique": unique, "max_refused": share})
        context = Context(workload, Path(), store)
        put(store, made(random))
        whole = check_day(context, DAY)
        if problem := refusal(check_refused, workload, {DAY: Counter(whole["reason"].to_pylist())}):
            outcomes["refused"] += 1
            assert refusal(landed_group, context, complete_arrivals(context, [DAY]), "north,1") == problem
            continue
        outcomes["taken"] += 1
        own = whole.filter(pc.equal(pc.struct_field(whole["observation"], "group"), "north,1"))
        ours = landed_group(context, complete_arrivals(context, [DAY]), "north,1")
        assert ours.refused == Counter(own["reason"].drop_null().to_pylist())
        assert ours.rows == good_rows(workload, own)
    assert min(outcomes["refused"], outcomes["taken"]) >= 10


def refusal(check: Callable[..., object], *arguments: object) -> str | None:
    try:
        check(*arguments)
    except TooManyRefused as error:
        return str(error)
    return None
