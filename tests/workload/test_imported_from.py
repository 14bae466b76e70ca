"""A process imports the modules that it was sent, as they were when they were sent, and by their own names."""

from __future__ import annotations

import importlib
import pickle
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from muster.workload.code import workload_modules
from muster.workload.imported_from import emptied_with_modules, import_from
from muster.workload.own_code import place_of
from muster.workload.own_modules import OwnModule
from muster.workload.spec import Workload
from tests.training.conftest import DECLARED

MADE = "import acme_sent.late\nfrom acme_sent import deep\n\n\ndef features(rows):\n    import acme_lazy\n"
LATE = "from acme_sent.deep import VALUE\n\n\nclass Own:\n    value = VALUE\n"


@pytest.fixture
def sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], dict[str, OwnModule]]]:
    """Return the modules to send when their value is another, from a folder that is not on this process's path."""
    package = tmp_path / "lib" / "acme_sent"
    package.mkdir(parents=True)

    def modules(value: int) -> dict[str, OwnModule]:
        (tmp_path / "made.py").write_text(MADE)
        for file, text in (("__init__", ""), ("late", LATE), ("deep", f"VALUE = {value}\n"), ("unused", "")):
            (package / f"{file}.py").write_text(text)
        (tmp_path / "lib" / "acme_lazy.py").write_text(f"VALUE = {value}\n")
        with monkeypatch.context() as on_the_driver:
            on_the_driver.syspath_prepend(str(tmp_path / "lib"))
            return workload_modules(Workload.model_validate(DECLARED), tmp_path)

    meta_path = list(sys.meta_path)
    yield modules
    sys.meta_path[:] = meta_path
    for name in [name for name in sys.modules if name.startswith("acme_")]:
        del sys.modules[name]


def test_what_was_sent_last_is_what_is_imported(sent: Callable[[int], dict[str, OwnModule]]) -> None:
    assert set(sent(1)) == {"acme_sent", "acme_sent.late", "acme_sent.deep", "acme_lazy"}
    for value in (1, 20):
        assert import_from(sent(value))
        import acme_lazy
        import acme_sent.late
        from acme_sent import deep

        assert (acme_sent.late.Own.value, deep.VALUE, acme_lazy.VALUE) == (value, value, value)


def test_the_same_again_is_not_imported_again(sent: Callable[[int], dict[str, OwnModule]]) -> None:
    import_from(sent(1))
    import acme_sent.late

    assert not import_from(sent(1))
    assert sys.modules["acme_sent.late"] is acme_sent.late


def test_what_was_sent_before_is_gone_where_nothing_is_sent(sent: Callable[[int], dict[str, OwnModule]]) -> None:
    import_from(sent(1))
    import acme_lazy  # noqa: F401 - an import that works

    assert import_from({})
    with pytest.raises(ImportError):
        importlib.import_module("acme_lazy")


def test_caches_are_emptied_with_the_modules_that_they_may_hold(sent: Callable[[int], dict[str, OwnModule]]) -> None:
    @emptied_with_modules
    @cache
    def own() -> type:
        return importlib.import_module("acme_sent.late").Own  # type: ignore[no-any-return]

    for value in (1, 20, 20):
        import_from(sent(value))
        assert own().value == value
    assert own.cache_info().hits > 0


@pytest.mark.usefixtures("sent")
def test_the_line_of_an_error_is_that_of_the_text_that_ran() -> None:
    for number in (1, 2):
        text = f"def fail():\n    raise KeyError({number})\n".encode()
        import_from({"acme_fails": OwnModule("/on/the/driver/acme_fails.py", text)})
        with pytest.raises(KeyError) as error:
            importlib.import_module("acme_fails").fail()
        assert str(place_of(error.value)).endswith(f"raise KeyError({number})")


def test_an_own_class_is_stored_by_its_name(sent: Callable[[int], dict[str, OwnModule]]) -> None:
    import_from(sent(1))
    import_from(sent(2))
    from acme_sent.late import Own

    stored = pickle.dumps(Own())
    assert b"acme_sent.late" in stored
    assert type(pickle.loads(stored)) is Own
