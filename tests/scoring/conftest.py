"""The made line of the promotion's tests."""

from __future__ import annotations

from tests.promotion.conftest import Line, artifact_store, grouped, line, registry, served

__all__ = ["Line", "artifact_store", "grouped", "line", "registry", "served"]
