"""Comparing the aliases with the journal, against a registry that answers from a list; the journal is a real one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities.model_registry import ModelVersion, RegisteredModel, RegisteredModelTag
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.store.entities.paged_list import PagedList

from muster.champions import alias
from muster.champions import misplaced as module
from muster.champions.errors import JournalGone
from muster.champions.journal import Journal, Move
from muster.champions.misplaced import misplaced
from muster.champions.names import model_names
from muster.champions.units import Unit
from muster.champions.unrecorded import check_all_recorded
from muster.storage.store import Store


@dataclass
class Registry:
    """Where the alias of each registered model is; None where it was removed."""

    at: dict[str, str | None]
    calls: list[str] = field(default_factory=list)
    groups: dict[str, str] = field(default_factory=dict)
    """Whose models are tagged with their group."""

    def get_model_version_by_alias(self, name: str, alias: str) -> ModelVersion:
        self.calls.append("alias")
        if (version := self.at.get(name)) is None:
            raise MlflowException(f"Registered model alias {alias} not found.", INVALID_PARAMETER_VALUE)
        return ModelVersion(name, version, 0)

    def search_registered_models(self, filter_string: str, max_results: int, page_token: str | None) -> Any:
        self.calls.append(filter_string)
        tags = {name: [RegisteredModelTag("muster.group", group)] for name, group in self.groups.items()}
        models = [RegisteredModel(name, aliases=[], tags=tags.get(name)) for name in sorted(self.at)]
        for model in models:
            model._aliases = {"Champion": version} if (version := self.at[model.name]) else {}
        begin = int(page_token or 0)
        return PagedList(models[begin : begin + 2], str(begin + 2) if begin + 2 < len(models) else None)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    registry = Registry({})
    connect: Callable[[], Registry] = lambda: registry  # noqa: E731
    monkeypatch.setattr(alias, "connect", connect)
    return registry


def journalled(store: Store, units: list[Unit], version: str, made: bool = True) -> None:
    journal = Journal(store)
    journal.append([Move(unit, "2", version, "gate", "test", "run", "2024-02-05", "0" * 64) for unit in units])
    if made:
        journal.note_made(units)


def test_a_packs_alias_that_was_removed_or_moved_is_told_with_the_way_back(tmp_path: Path, registry: Registry) -> None:
    store, unit = Store(str(tmp_path), "flights"), Unit("flights", "flights")
    journalled(store, [unit], "3")
    registry.at["flights"] = "3"
    assert misplaced(store) == []
    registry.at["flights"] = "2"
    [error] = misplaced(store)
    assert "is at version 2, the journal says version 3 (it was moved, but not by Muster, or this " in str(error)
    assert "rollback flights --to 3` puts it back" in str(error)
    registry.at["flights"] = None
    [error] = misplaced(store)
    assert (error.short, "by the journal version 3 is" in str(error)) == ("Champion is gone", True)
    assert registry.calls == ["alias"] * 3


def test_a_move_that_is_just_being_made_is_not_wrong_and_one_that_was_broken_off_is(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(str(tmp_path), "flights")
    journalled(store, [Unit("flights", "flights")], "3", made=False)
    registry.at["flights"] = "2"
    assert misplaced(store) == []
    monkeypatch.setattr(module, "UNDER_WAY", timedelta(0))
    assert "that move was broken off" in str(misplaced(store)[0])


def test_groups_own_aliases_are_searched_page_by_page_and_not_asked_for_one_by_one(
    tmp_path: Path, registry: Registry
) -> None:
    store, names = Store(str(tmp_path), "fx"), model_names("fx", ["AA1", "BB2", "CC3", "DD4", "EE5"])
    journalled(store, [Unit("fx", name, group) for group, name in names.items()], "3")
    registry.at = {**dict.fromkeys(names.values(), "3"), "elsewhere": "9", names["BB2"]: None, names["DD4"]: "1"}
    gone, moved = misplaced(store)
    assert (gone.short, moved.short) == ("Champion is gone", "Champion was moved")
    assert "rollback fx --group 'BB2'` puts it back" in str(gone)
    assert "rollback fx --group 'DD4' --to 3` puts it back" in str(moved)
    assert registry.calls == ["tags.`muster.workload` = 'fx'"] * 3


def test_without_a_journal_one_search_tells_whether_there_is_a_champion(tmp_path: Path, registry: Registry) -> None:
    store = Store(str(tmp_path), "flights")
    registry.at = {"flights": None}
    assert misplaced(store) == []
    registry.at = {"flights": "3"}
    [error] = misplaced(store)
    assert (error.short, "has no move of it" in str(error)) == ("Champion is not journalled", True)
    assert registry.calls == ["tags.`muster.workload` = 'flights'"] * 2


@pytest.mark.parametrize("keeps_capitals", [True, False])
def test_a_group_that_the_journal_does_not_know_is_missed_whatever_the_registry_makes_of_capitals(
    tmp_path: Path, registry: Registry, keeps_capitals: bool
) -> None:
    store, names = Store(str(tmp_path), "fx"), model_names("fx", ["AA1", "BB2"])
    kept = {group: name if keeps_capitals else name.lower() for group, name in names.items()}
    registry.groups, registry.at = {name: group for group, name in kept.items()}, dict.fromkeys(kept.values(), "3")
    journalled(store, [Unit("fx", names["AA1"], "AA1")], "3")
    with pytest.raises(JournalGone, match=f"'{names['BB2']}'"):
        check_all_recorded(store, Journal(store))
    [error] = misplaced(store)
    assert f"'{names['BB2']}'" in str(error)

    before = Journal(store)  # which another process's first promotion comes after
    journalled(store, [Unit("fx", names["BB2"], "BB2")], "3")
    check_all_recorded(store, before)
    assert misplaced(store) == []
