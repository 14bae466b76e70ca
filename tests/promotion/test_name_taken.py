"""A group's model and the pack of another workload that would be one registered model: the second gets no version."""

from __future__ import annotations

import pytest

from muster.champions.errors import ALIAS, NameTaken
from muster.mlflow.budget import count
from muster.mlflow.client import connect
from tests.promotion.conftest import Line

pytestmark = pytest.mark.slow
WON = {"2023": "promote", "2024": "promote"}


@pytest.fixture
def pack(grouped: Line) -> Line:
    """The workload whose pack is called as the model of group 2024 would be; it has a champion, and no YAML file."""
    grouped.declared |= {"keys": ["carrier"]}
    pack = Line(grouped.root, {"keys": ["carrier"]}, f"{grouped.name}_2024")
    pack.week(pack.first, {"A": "promote"}, 1.0)
    pack.promote(pack.first)
    return pack


def taken(group: str | None, name: str, owner: str, workload: str) -> str:
    """Return what is said of a registered model that is another workload's."""
    what = "the pack" if group is None else f"the model of group '{group}'"
    return (
        f"the registered model '{name}' is {what} of workload '{owner}', and cannot be one of workload '{workload}' "
        "too; rename or delete that registered model in MLflow, if nobody needs it under that name, "
        f"or rename workload '{workload}': its file"
    )


def versions(name: str) -> int:
    return len(connect().search_model_versions(f"name = '{name}'"))


def test_a_group_stays_without_a_version_and_the_others_are_promoted_at_every_partition(
    grouped: Line, pack: Line
) -> None:
    why = {"2024": taken(None, pack.name, pack.name, grouped.name)}
    for at, (partition, against) in enumerate(((grouped.first, {}), (grouped.second, {"2023": "1"})), 1):
        grouped.week(partition, WON, float(at), against)
        result = grouped.promote(partition)
        assert (result["moved"], result["promoted"], result["stay_why"]) == (True, 1, why)
        assert (grouped.position("2023"), versions(pack.name)) == (str(at), 1)
    result = grouped.promote(grouped.second)
    assert (result["moved"], result["stay_why"]["2024"]) == (False, why["2024"])


def test_a_group_alone_stays_though_the_packs_alias_is_gone(grouped: Line, pack: Line) -> None:
    connect().delete_registered_model_alias(pack.name, ALIAS)
    grouped.week(grouped.first, {"2024": "promote"}, 1.0)
    result = grouped.promote(grouped.first)
    why = taken(None, pack.name, pack.name, grouped.name)
    assert (result["moved"], result["reason"], versions(pack.name), grouped.moves) == (False, why, 1, [])


def test_once_the_registered_model_is_deleted_the_group_is_promoted(grouped: Line, pack: Line) -> None:
    grouped.week(grouped.first, WON, 1.0)
    grouped.promote(grouped.first)
    connect().delete_registered_model(pack.name)
    result = grouped.promote(grouped.first)
    assert (result["moved"], result["promoted"], result["stay"], grouped.position("2024")) == (True, 2, 0, "1")


def test_a_pack_that_comes_second_is_refused_and_gets_no_version(grouped: Line) -> None:
    grouped.declared |= {"keys": ["carrier"]}
    grouped.week(grouped.first, WON, 1.0)
    grouped.promote(grouped.first)
    pack = Line(grouped.root, {"keys": ["carrier"]}, f"{grouped.name}_2024")
    pack.week(pack.first, {"A": "promote"}, 1.0)
    for _ in range(2):
        with pytest.raises(NameTaken) as refused:
            pack.promote(pack.first)
        assert str(refused.value) == taken("2024", pack.name, grouped.name, pack.name)
        assert (versions(pack.name), pack.moves) == (1, [])
        connect().delete_registered_model_alias(pack.name, ALIAS)


def test_an_alias_that_became_another_workloads_since_the_gate_names_both(grouped: Line) -> None:
    grouped.declared |= {"keys": ["carrier"]}
    grouped.week(grouped.first, {"2024": "promote"}, 1.0)
    grouped.promote(grouped.first)
    connect().delete_registered_model(f"{grouped.name}_2024")
    pack = Line(grouped.root, {"keys": ["carrier"]}, f"{grouped.name}_2024")
    pack.week(pack.first, {"A": "promote"}, 1.0)
    pack.promote(pack.first)
    grouped.week(grouped.second, {"2024": "promote"}, 2.0, {"2024": "1"})
    result = grouped.promote(grouped.second)
    assert (result["moved"], result["reason"]) == (False, taken(None, pack.name, pack.name, grouped.name))


def test_whose_the_registered_model_of_a_champion_is_takes_no_call(grouped: Line) -> None:
    calls: list[int] = []
    for partition, against in ((grouped.first, None), (grouped.second, "1")):
        grouped.week(partition, {"A,X": "promote"}, 1.0 + len(calls), against)
        calls.append(-count())
        grouped.promote(partition)
        calls[-1] += count()
    assert calls[1] == calls[0] + 1  # it looks for a version of this digest, where the registered model is not new


def test_a_pack_whose_alias_is_at_a_groups_version_goes_back_to_its_own(grouped: Line, pack: Line) -> None:
    tags = {"muster.group": "2024", "muster.workload": grouped.name}
    client = connect()
    client.create_model_version(pack.name, "s3://elsewhere/model", tags=tags)
    client.set_registered_model_alias(pack.name, ALIAS, "2")
    with pytest.raises(NameTaken, match="is the model of group '2024' of workload"):
        pack.champion()
    assert (pack.roll_back()["to_version"], pack.position()) == ("1", "1")
