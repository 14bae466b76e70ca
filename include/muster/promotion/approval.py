"""A named human's approval of a promotion that changes much."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from muster.context import PartitionContext
from muster.errors import MusterError, WrongArgument
from muster.promotion.proposal import Proposal

BY, VERDICTS = "approved_by", "approved_verdicts"
"""The promote job's options."""


class NeedsApproval(MusterError):
    """Raised when a run would change more of the champion's groups than it may without a human."""

    def __init__(self, workload: str, partition: str, why: str, digest: str) -> None:
        super().__init__(
            f"{workload} {partition}: {why}; nothing was promoted: review it, then promote with "
            f"{BY}=<your name> and {VERDICTS}={digest}"
        )


@dataclass(frozen=True)
class Approval:
    """Who approved which verdicts."""

    by: str
    verdicts: str
    """Their digest: the approval is of exactly these."""

    @classmethod
    def of(cls, options: Mapping[str, str]) -> Approval | None:
        """Read the approval from a job's options; None when there is none.

        Raises:
            WrongArgument: when one of the two is given without the other.
        """
        by, verdicts = (options.get(name, "").strip() for name in (BY, VERDICTS))
        if bool(by) != bool(verdicts):
            raise WrongArgument(f"an approval names a human and what was approved: give both {BY} and {VERDICTS}")
        return cls(by, verdicts) if by else None


def why_approval(context: PartitionContext, proposal: Proposal) -> str | None:
    """Return why a human has to approve, or None where the gate's verdicts are enough.

    Groups that the champion does not hold are no change of it: they come in by beating the baseline, and nobody's
    model is replaced. So the first champion asks nobody.
    """
    changed, most = proposal.changed, context.workload.gate.max_changed
    if proposal.nothing is not None or not proposal.due or changed <= most:
        return None
    return f"{changed:.1%} of the champion's {len(proposal.base.groups)} groups would change, more than {most:.1%}"


def approver(context: PartitionContext, proposal: Proposal, approval: Approval | None) -> str | None:
    """Return the human who approved exactly these verdicts; None where nobody did and nobody had to.

    Raises:
        NeedsApproval: when somebody has to, and did not, or approved other verdicts.
    """
    digest = proposal.verdicts.digest
    if approval is not None and approval.verdicts == digest:
        return approval.by
    why = why_approval(context, proposal)
    if why is None:
        return None
    if approval is not None:
        why += f", and '{approval.by}' approved other verdicts ({approval.verdicts}) than these"
    raise NeedsApproval(context.workload.name, context.partition, why, digest)
