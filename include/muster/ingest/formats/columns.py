"""Whether a file has the declared columns: names that are nearly the declared ones are told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from muster.errors import bounded
from muster.ingest.formats.opened import BadContent
from muster.printable import cell
from muster.workload.spec import Workload


def plain(name: str) -> str:
    """Return a name as people mean it: without capitals and the blanks around it."""
    return name.strip().casefold()


def check_columns(workload: Workload, names: Sequence[str], may_lack: bool = False, where: str = "") -> None:
    """Check the names of a file's columns; `where` says which part of it has them, where it is not the whole.

    Raises:
        BadContent: with all that is wrong with them.
    """
    refused = workload.source.refuses_extra
    if refused and "" in names:
        raise BadContent(f"has a column without a name{where}, as a comma at a header's start or end makes one")
    if problems := list(_problems(workload, names, may_lack, refused)):
        raise BadContent(f"has other columns{where} than {workload.name} declares: {'; '.join(problems)}")


def _problems(workload: Workload, names: Sequence[str], may_lack: bool, refused: bool) -> Iterator[str]:
    header, declared = Counter(names), set(workload.columns)
    lacking, others = declared - header.keys(), header.keys() - declared
    nearly = {plain(name): name for name in others}
    renamed = {name: nearly[plain(name)] for name in sorted(lacking) if plain(name) in nearly}
    for name, there in renamed.items():
        yield f"is '{cell(there)}', declared is '{name}'"
    others -= set(renamed.values())
    lacking -= renamed.keys()
    if lacking and not may_lack:
        yield f"lacks {bounded(sorted(lacking))}"
    if others and refused:
        cure = "" if lacking or renamed else " ('extra: ignore' in 'source' leaves such out)"
        yield f"has the undeclared {bounded(sorted(others))}{cure}"
    if twice := {name for name, times in header.items() if times > 1 and (refused or name in declared)}:
        yield f"has more than once {bounded(sorted(twice))}"
