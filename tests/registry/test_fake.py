"""What is the fake's own."""

from __future__ import annotations

import time

import pytest
from mlflow import MlflowClient

from tests.registry.refusals import code

pytestmark = pytest.mark.slow


def test_what_the_fake_does_not_have_is_refused_at_once(client: MlflowClient, model: str, experiment: str) -> None:
    began = time.monotonic()
    assert code(client.rename_registered_model, model, "another") == "NOT_IMPLEMENTED"
    assert code(client.rename_experiment, experiment, "another") == "NOT_IMPLEMENTED"
    assert code(client.transition_model_version_stage, model, "1", "Production") == "NOT_IMPLEMENTED"
    assert time.monotonic() - began < 5
