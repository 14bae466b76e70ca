"""A unit's alias in MLflow: where it is, and moving it once the move is journalled; the same move never twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from muster.champions.errors import ALIAS, NO_VERSION, MoveUnderWay
from muster.champions.journal import Journal, Move, Row
from muster.champions.units import Unit
from muster.mlflow.budget import muster_errors
from muster.mlflow.client import connect

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

WORKLOAD = "muster.workload"
"""Tag of what is a workload's: of a registered model, and of the versions of one group's."""
PAGE = 1000
"""Registered models that a call of a search returns: the most that MLflow allows."""
UNDER_WAY = timedelta(minutes=10)
"""A journalled move younger than this that the alias does not show is still being made: its calls may have to wait."""


@dataclass(frozen=True)
class AliasMove:
    """A journalled move that is to be made. Plain data: it travels to the executors."""

    unit: Unit
    from_version: str | None
    to_version: str
    """`NO_VERSION` where the alias is taken away."""

    @classmethod
    def of(cls, move: Move) -> AliasMove:
        """Return what a move of the journal does to the alias."""
        return cls(move.unit, move.from_version, move.to_version)

    @classmethod
    def of_row(cls, unit: Unit, row: Row) -> AliasMove:
        """Return what a row of the journal does to the alias."""
        return cls(unit, row["from_version"], row["to_version"])


@muster_errors()
def at_alias(unit: Unit) -> ModelVersion | None:
    """Return the version behind the alias, whoever registered it; None where there is no such model or alias. One call.

    Raises:
        MlflowException: when the server does not answer, or answers anything but that there is none.
    """
    from mlflow.exceptions import MlflowException

    try:
        return connect().get_model_version_by_alias(unit.name, ALIAS)
    except MlflowException as error:
        if _says_no_alias(error):
            return None
        raise


def position(unit: Unit) -> str | None:
    """Return the number of the version behind the alias, for those that move it and never read it. One call."""
    version = at_alias(unit)
    return None if version is None else str(version.version)


@muster_errors()
def models_with_alias(workload: str) -> list[RegisteredModel]:
    """Return a workload's registered models whose alias is set. One search, of a call a thousand models."""
    client, token, models = connect(), None, list[Any]()
    while True:
        page = client.search_registered_models(f"tags.`{WORKLOAD}` = '{workload}'", PAGE, page_token=token)
        models += [model for model in page if ALIAS in model.aliases]
        if not (token := page.token):
            return models


def _says_no_alias(error: Any) -> bool:
    """Tell "there is no such model or alias" from everything else: throttling and outages are never that."""
    missing_alias = error.error_code == "INVALID_PARAMETER_VALUE" and f"alias {ALIAS} not found" in error.message
    return missing_alias or error.error_code == "RESOURCE_DOES_NOT_EXIST"


def move_alias(move: AliasMove) -> str | None:
    """Move an alias that is where the move begins, and read it back; return why it was left where it is, if it was.

    MLflow cannot set an alias on a condition: that one process alone makes a move, the journal sees to.
    """
    at, to = position(move.unit), at_version(move.to_version)
    if at not in (move.from_version, to):
        return f"the alias was moved to version {at or NO_VERSION}, but not by Muster"
    if at != to:
        with muster_errors():
            if to is None:
                connect().delete_registered_model_alias(move.unit.name, ALIAS)
            else:
                connect().set_registered_model_alias(move.unit.name, ALIAS, to)
        if position(move.unit) != to:
            return "the alias was moved by another right after"
    return None


def at_version(to_version: str) -> str | None:
    """Return where an alias is that was moved to a version of the journal: nowhere, where it was taken away."""
    return None if to_version == NO_VERSION else to_version


def check_none_under_way(journal: Journal, positions: Mapping[Unit, str | None]) -> None:
    """Check that no other process is just moving one of these aliases.

    Raises:
        MoveUnderWay: when a young move is journalled that the alias does not show.
    """
    pending = {row["group"]: row for row in journal.pending}
    for unit, at in positions.items():
        row = pending.get(unit.group)
        if row and at_version(row["to_version"]) != at and datetime.now(UTC) - row["at"] < UNDER_WAY:
            raise MoveUnderWay(unit.name, row, UNDER_WAY)
