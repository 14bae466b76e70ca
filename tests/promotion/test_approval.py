"""An approval as a job's options give it."""

from __future__ import annotations

import pytest

from muster.errors import WrongArgument
from muster.promotion.approval import Approval


def test_an_approval_names_a_human_and_what_was_approved() -> None:
    assert Approval.of({"approved_by": " ann ", "approved_verdicts": "0123"}) == Approval("ann", "0123")


@pytest.mark.parametrize("options", [{}, {"approved_by": "", "approved_verdicts": " "}])
def test_without_both_there_is_none(options: dict[str, str]) -> None:
    assert Approval.of(options) is None


@pytest.mark.parametrize("options", [{"approved_by": "ann"}, {"approved_verdicts": "0123"}])
def test_half_an_approval_is_refused(options: dict[str, str]) -> None:
    with pytest.raises(WrongArgument, match="give both approved_by and approved_verdicts"):
        Approval.of(options)
