"""Names of groups' registered models: readable, safe, and never one for two."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

import pytest
from mlflow.entities.model_registry import ModelVersion, ModelVersionTag

from muster.champions import names
from muster.champions.errors import NameTaken
from muster.champions.names import NamesMeet, model_name, model_names
from muster.champions.units import Unit
from muster.champions.versions import described
from muster.settings import WrongSetting, settings

ALIKE = ["EUR/USD", "EURUSD", "eur/usd", "eur-usd", "EUR_USD", "EUR USD", "EUR,USD", "Eurusd", "EUR//USD", " EUR/USD"]
STRANGE = [
    "",
    "*",
    "*,X",
    "a:b",
    "a/b",
    "..",
    "é",
    "e\u0301",
    "\uff25\uff35\uff32/\uff35\uff33\uff24",
    "x" * 300,
    "line\nbreak",
    "'; DROP",
    "%2F",
    "日本",
]


@pytest.fixture
def schema(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("MUSTER_MODEL_SCHEMA", "main.prod")
    settings.cache_clear()
    yield "main.prod"
    settings.cache_clear()


def test_a_currency_pair_is_named_without_its_stroke() -> None:
    assert model_name("fx_spread", "EUR/USD") == "fx_spread_EURUSD"


def test_below_a_schema_the_name_has_three_parts(schema: str) -> None:
    assert model_name("fx_spread", "EUR/USD") == f"{schema}.fx_spread_EURUSD"


def test_a_schema_is_a_catalog_and_a_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSTER_MODEL_SCHEMA", "main.prod.more")
    settings.cache_clear()
    with pytest.raises(WrongSetting, match="MUSTER_MODEL_SCHEMA"):
        settings()
    settings.cache_clear()


def test_a_group_has_the_same_name_in_ten_years() -> None:
    assert model_name("fx_spread", "eur-usd") == "fx_spread_eur_usd_35611fa0df52"
    assert model_name("flights", "UA,EWR,ORD") == "flights_UA_EWR_ORD_3ecb0fbeb187"


def _texts(count: int) -> list[str]:
    drawn = random.Random(1)
    letters = "EURUSDeurusd/-_, .:*01é\n'"
    texts = {"".join(drawn.choice(letters) for _ in range(drawn.randint(0, 12))) for _ in range(count)}
    return sorted(texts | set(ALIKE) | set(STRANGE))


def test_no_two_groups_ever_share_a_name_even_where_case_does_not_count() -> None:
    texts = _texts(50_000)
    names = {model_name("fx_spread", text).lower() for text in texts}
    assert len(names) == len(texts) > 30_000


def test_workloads_do_not_share_names_either() -> None:
    texts = _texts(2_000)
    names = [model_name(workload, text).lower() for workload in ("fx", "fx_spread", "FX", "fx_eur") for text in texts]
    assert len(set(names)) == len(names)


def test_every_name_is_safe_and_within_mlflows_limits(schema: str) -> None:
    for text in _texts(5_000):
        name = model_name("w" * 100, text)
        assert re.fullmatch(r"main\.prod\.[A-Za-z0-9_]+", name), name
        assert len(name) <= 255


def test_digests_that_meet_are_told_before_anything_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "_readable", lambda workload, group: group.upper())
    with pytest.raises(NamesMeet, match="fx_EUR, fx_EUR"):
        model_names("fx", ["eur", "Eur", "usd"])


def test_a_registered_model_of_another_workload_is_refused_by_both_names() -> None:
    tags = {"muster.group": "2024", "muster.workload": "flights"}
    of_group = r"'flights_2024' is the model of group '2024' of workload 'flights', and .* 'flights_2024' too; rename"
    with pytest.raises(NameTaken, match=of_group):
        described(Unit("flights_2024", "flights_2024"), _version(tags))
    of_pack = r"'flights_2024' is the pack of workload 'flights_2024', and .* workload 'flights' too; rename"
    with pytest.raises(NameTaken, match=of_pack):
        described(Unit("flights", "flights_2024", "2024"), _version({"muster.pack": "packs/flights_2024/a"}))


def _version(tags: dict[str, str]) -> ModelVersion:
    return ModelVersion("flights_2024", "1", 0, tags=[ModelVersionTag(*tag) for tag in tags.items()])
