"""The made line of the promotion's tests."""

from __future__ import annotations

from tests.promotion.conftest import Line, grouped, line, registry, served, stack_home

__all__ = ["Line", "grouped", "line", "registry", "served", "stack_home"]
