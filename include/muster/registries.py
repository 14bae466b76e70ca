"""How champions are registered: one pack of all groups, or a model for each group. Decided here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from muster.champions import opponent
from muster.evaluation.bucket import Incumbents
from muster.per_group import opponents as group_opponents
from muster.per_group import promote as group_promote
from muster.per_group import proposal as group_proposal
from muster.per_group import rollback as group_rollback
from muster.per_group import score as group_score
from muster.per_group.promote import Over
from muster.promotion import promote, proposal, rollback
from muster.promotion.approval import Approval
from muster.promotion.proposal import Proposal
from muster.scoring import score
from muster.storage.store import Store
from muster.workload.spec import Workload
from muster.workload.windows import PartitionWindows


class Opponents(Protocol):
    """Whom candidates are judged against. Plain data: it travels to the executors."""

    @property
    def version(self) -> str | None:
        """The version that is champion to every group; None where each has its own."""

    def of(self, groups: pa.Array) -> AbstractContextManager[Incumbents]:
        """Give the champions of some groups, for as long as they are judged."""


class Scoring(Protocol):
    """What is scored with what. Plain data: it travels to the executors."""

    @property
    def costs(self) -> dict[int, float]:
        """What each bucket costs, in rows."""

    @property
    def model_version(self) -> str | None:
        """The version that scores every group; None where each has its own."""


class Rollback(Protocol):
    """A rollback that was looked at."""

    @property
    def nothing(self) -> bool:
        """Whether all is as asked already."""

    @property
    def difference(self) -> dict[str, Any]:
        """What it changes: the same keys however champions are registered."""


@dataclass(frozen=True)
class Registry:
    """What the stages ask of a way to register champions."""

    opponents: Callable[[Workload, Store, PartitionWindows], Opponents | None]
    propose: Callable[[Workload, Store, PartitionWindows], Proposal]
    promote: Callable[[Workload, Store, PartitionWindows, str, Approval | None, Over], dict[str, Any]]
    prepare: Callable[[Workload, Store, PartitionWindows], Scoring]
    score_bucket: Callable[[Workload, Any, int], pa.Table]
    plan_rollback: Callable[[Workload, Store, str | None, Collection[str], str | None], Rollback]
    roll_back: Callable[[Workload, Store, Any, str, str], dict[str, Any]]


def _promote_pack(
    workload: Workload, store: Store, windows: PartitionWindows, who: str, approval: Approval | None, over: Over
) -> dict[str, Any]:
    return promote.promote(workload, store, windows, who, approval)


PACK = Registry(
    opponent.opponents,
    proposal.propose,
    _promote_pack,
    score.prepare,
    score.score_bucket,
    rollback.plan,
    rollback.carry_out,
)
PER_GROUP = Registry(
    group_opponents.opponents,
    group_proposal.propose,
    group_promote.promote,
    group_score.prepare,
    group_score.score_bucket,
    group_rollback.plan,
    group_rollback.carry_out,
)


def registry_of(workload: Workload) -> Registry:
    """Return how the workload's champions are registered."""
    return {"pack": PACK, "per_group": PER_GROUP}[workload.registry]
