"""The made line of the promotion's tests: what train and evaluate leave behind."""

from __future__ import annotations

from tests.promotion.conftest import Line, line, served

__all__ = ["Line", "line", "served"]
