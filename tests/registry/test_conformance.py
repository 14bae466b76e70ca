"""What Muster relies on of the registered models of an MLflow server: the fake and the real one pass the same tests."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from muster.champions.names import model_name
from tests.registry.refusals import EXISTS, INVALID, MISSING, code
from tests.registry.which import ON_BOTH

pytestmark = [ON_BOTH, pytest.mark.slow]
SOURCE = "s3://elsewhere/model"


def _versions(client: MlflowClient, model: str, count: int) -> list[str]:
    return [str(client.create_model_version(model, SOURCE).version) for _ in range(count)]


def test_a_registered_model_is_created_once(client: MlflowClient, name: str) -> None:
    client.create_registered_model(name, {"a": "b"}, "what it is")
    assert code(client.create_registered_model, name) == EXISTS
    model = client.get_registered_model(name)
    assert (model.name, model.tags, model.description, model.aliases) == (name, {"a": "b"}, "what it is", {})


@pytest.mark.parametrize("wrong", ["with/slash", "with:colon", "", " "])
def test_a_name_that_a_path_could_not_hold_is_refused(client: MlflowClient, wrong: str) -> None:
    assert code(client.create_registered_model, wrong) == INVALID


@pytest.mark.parametrize("group", ["EUR/USD", "a b", "é,日本", "*", "", "'; DROP", "%2F", "x" * 300])
def test_a_groups_model_is_found_by_the_name_and_tag_that_muster_gives_it(
    client: MlflowClient, name: str, group: str
) -> None:
    model = model_name(name, group)
    client.create_registered_model(model, {"muster.group": group}, f"Group {group}.")
    client.create_model_version(model, SOURCE, tags={"muster.group": group})
    assert client.get_registered_model(model).tags.get("muster.group", "") == group
    [version] = client.search_model_versions(f"name = '{model}'")
    assert (version.name, version.tags.get("muster.group", "")) == (model, group)


@pytest.mark.parametrize("odd", ["with space", "é日本", "a=b|c", 'a "b"', "main.prod.x"])
def test_an_odd_name_is_the_models_own(client: MlflowClient, name: str, odd: str) -> None:
    model = f"{name} {odd}"
    client.create_registered_model(model)
    client.set_registered_model_alias(model, "Champion", _versions(client, model, 1)[0])
    assert client.get_model_version_by_alias(model, "Champion").name == model
    assert len(client.search_model_versions(f"name = '{model}'")) == 1


def test_there_is_no_version_without_its_model(client: MlflowClient, name: str) -> None:
    assert code(client.create_model_version, name, SOURCE) == MISSING
    assert code(client.get_registered_model, name) == MISSING
    assert code(client.get_model_version, name, "1") == MISSING


def test_a_search_that_finds_nothing_is_empty_and_no_error(client: MlflowClient, name: str, model: str) -> None:
    assert client.search_model_versions(f"name = '{model}'") == []
    assert client.search_model_versions(f"name = '{model}_of_nobody'") == []


def test_a_version_is_ready_at_once_and_keeps_what_it_was_given(client: MlflowClient, model: str) -> None:
    created = client.create_model_version(model, SOURCE, tags={"a": "é", "b": "2"}, await_creation_for=0)
    found = client.get_model_version(model, "1")
    for version in (created, found):
        assert (str(version.version), version.status, version.source) == ("1", "READY", SOURCE)
        assert (version.tags, list(version.aliases)) == ({"a": "é", "b": "2"}, [])


def test_versions_count_up_and_a_deleted_number_does_not_come_back(client: MlflowClient, model: str) -> None:
    assert _versions(client, model, 2) == ["1", "2"]
    client.delete_model_version(model, "2")
    assert code(client.get_model_version, model, "2") == MISSING
    assert code(client.delete_model_version, model, "2") == MISSING
    assert _versions(client, model, 1) == ["3"]
    assert [version.version for version in client.search_model_versions(f"name = '{model}'")] == ["3", "1"]


def test_a_model_that_was_deleted_is_made_anew_and_counts_from_one(client: MlflowClient, model: str) -> None:
    assert _versions(client, model, 2) == ["1", "2"]
    client.set_registered_model_alias(model, "Champion", "2")
    client.delete_registered_model(model)
    assert code(client.delete_registered_model, model) == MISSING
    assert code(client.get_model_version, model, "2") == MISSING
    assert client.search_model_versions(f"name = '{model}'") == []
    client.create_registered_model(model)
    assert code(client.get_model_version_by_alias, model, "Champion") == INVALID
    assert _versions(client, model, 1) == ["1"]


def test_versions_created_at_once_have_numbers_of_their_own(client: MlflowClient, model: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        created = list(pool.map(lambda _: str(client.create_model_version(model, SOURCE).version), range(8)))
    assert sorted(created) == [str(number) for number in range(1, 9)]


def test_versions_are_found_by_name_and_tag(client: MlflowClient, model: str) -> None:
    for tags in ({"muster.sha256": "aa"}, {"muster.sha256": "bb"}, {"muster.sha256": "aa"}, {}):
        client.create_model_version(model, SOURCE, tags=tags)
    found = client.search_model_versions(f"name = '{model}' AND tag.`muster.sha256` = 'aa'")
    assert sorted(version.version for version in found) == ["1", "3"]
    assert client.search_model_versions(f"name = '{model}' AND tag.`muster.sha256` = 'cc'") == []


def test_a_search_goes_on_where_its_page_ended(client: MlflowClient, model: str) -> None:
    _versions(client, model, 5)
    pages, token = [], None
    while True:
        page = client.search_model_versions(
            f"name = '{model}'", max_results=2, order_by=["version_number ASC"], page_token=token
        )
        pages.append([str(version.version) for version in page])
        token = page.token
        if not token:
            break
    assert pages == [["1", "2"], ["3", "4"], ["5"]]


@pytest.mark.parametrize("wrong", ["nonsense", "colour = 'red'", "name = unquoted", "name = 'a' OR name = 'b'"])
def test_a_filter_that_is_not_understood_is_refused(client: MlflowClient, wrong: str) -> None:
    assert code(client.search_model_versions, wrong) == INVALID


def test_a_versions_tag_is_set_and_written_over(client: MlflowClient, model: str) -> None:
    _versions(client, model, 1)
    for value in ("one", "two"):
        client.set_model_version_tag(model, "1", "a", value)
        assert client.get_model_version(model, "1").tags == {"a": value}
    assert code(client.set_model_version_tag, model, "2", "a", "b") == MISSING


def test_without_the_alias_it_says_so_and_without_the_model_another_thing(client: MlflowClient, model: str) -> None:
    with pytest.raises(MlflowException, match="alias Champion not found") as refused:
        client.get_model_version_by_alias(model, "Champion")
    assert refused.value.error_code == INVALID
    assert code(client.get_model_version_by_alias, f"{model}_of_nobody", "Champion") == MISSING


def test_an_alias_is_set_moved_and_deleted(client: MlflowClient, model: str) -> None:
    _versions(client, model, 2)
    for number in ("1", "2", "2"):
        client.set_registered_model_alias(model, "Champion", number)
        version = client.get_model_version_by_alias(model, "Champion")
        assert (str(version.version), list(version.aliases)) == (number, ["Champion"])
        assert client.get_registered_model(model).aliases == {"Champion": number}
    assert list(client.get_model_version(model, "1").aliases) == []
    for _ in range(2):
        client.delete_registered_model_alias(model, "Champion")
        assert code(client.get_model_version_by_alias, model, "Champion") == INVALID


def test_registered_models_are_found_by_a_tag_with_their_aliases_page_by_page(client: MlflowClient, name: str) -> None:
    for model in (f"{name}_1", f"{name}_2", f"{name}_3"):
        client.create_registered_model(model, {"muster.workload": name if model[-1] != "3" else "another"})
    client.set_registered_model_alias(f"{name}_2", "Champion", _versions(client, f"{name}_2", 1)[0])
    first = client.search_registered_models(f"tags.`muster.workload` = '{name}'", 1)
    second = client.search_registered_models(f"tags.`muster.workload` = '{name}'", 1, page_token=first.token)
    assert [(model.name, model.aliases, model.tags) for model in [*first, *second]] == [
        (f"{name}_1", {}, {"muster.workload": name}),
        (f"{name}_2", {"Champion": "1"}, {"muster.workload": name}),
    ]
    assert first.token
    assert not second.token


def test_aliases_are_of_their_model_alone(client: MlflowClient, model: str) -> None:
    client.create_registered_model(f"{model}_2")
    for name, number in ((model, "1"), (f"{model}_2", "1")):
        _versions(client, name, 1)
        client.set_registered_model_alias(name, "Champion", number)
    client.set_registered_model_alias(model, "Challenger", "1")
    client.delete_registered_model_alias(model, "Champion")
    assert client.get_model_version_by_alias(f"{model}_2", "Champion").version == "1"
    assert client.get_model_version_by_alias(model, "Challenger").version == "1"


def test_a_search_tells_where_the_aliases_are_page_by_page(client: MlflowClient, name: str) -> None:
    for number in "123":
        model = client.create_registered_model(f"{name}_{number}").name
        _versions(client, model, 2)
        if number != "2":
            client.set_registered_model_alias(model, "Champion", "2")
    first = client.search_registered_models(f"name LIKE '{name}_%'", max_results=2)
    second = client.search_registered_models(f"name LIKE '{name}_%'", max_results=2, page_token=first.token)
    assert ([len(first), len(second)], not second.token) == ([2, 1], True)
    champions = {model.name: str(model.aliases.get("Champion")) for model in (*first, *second)}
    assert champions == {f"{name}_1": "2", f"{name}_2": "None", f"{name}_3": "2"}


def test_an_alias_leads_to_a_version_that_is_there(client: MlflowClient, model: str) -> None:
    assert code(client.set_registered_model_alias, model, "Champion", "1") == MISSING
    _versions(client, model, 1)
    client.set_registered_model_alias(model, "Champion", "1")
    client.delete_model_version(model, "1")
    assert code(client.get_model_version_by_alias, model, "Champion") == INVALID


@pytest.mark.parametrize("wrong", ["with space", "latest", "v1", ""])
def test_an_alias_that_could_be_something_else_is_refused(client: MlflowClient, model: str, wrong: str) -> None:
    _versions(client, model, 1)
    assert code(client.set_registered_model_alias, model, wrong, "1") == INVALID
