"""On which MLflow server a test runs; without a mark, on the fake."""

from __future__ import annotations

import pytest

ON_REAL = pytest.mark.parametrize("registry_server", ["real"], indirect=True)
ON_BOTH = pytest.mark.parametrize("registry_server", ["fake", "real"], indirect=True)
