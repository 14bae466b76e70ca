"""What is told of MLflow's own errors."""

from __future__ import annotations

from mlflow.exceptions import MlflowException

from muster.mlflow.budget import MlflowRefused


def test_a_refusal_is_one_bounded_line_with_its_cause_which_need_not_be_in_the_first() -> None:
    text = (
        "Failures occurred while downloading artifacts from http://x:\n##### File model.bin #####\nNo such artifact\n"
    )
    refused = str(MlflowRefused.of(MlflowException(text)))
    assert "from http://x: ##### File model.bin ##### No such artifact; put that right in MLflow" in refused
    long = str(MlflowRefused.of(MlflowException("x\n" * 5000)))
    assert (len(long.splitlines()), len(long) < 1200) == (1, True)


def test_a_refusal_without_a_word_names_its_class() -> None:
    assert "a call: MlflowException; " in str(MlflowRefused.of(MlflowException("")))
