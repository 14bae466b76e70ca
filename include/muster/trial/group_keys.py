"""A group by its keys: from what a person typed, and as values that rows can be compared with."""

from __future__ import annotations

import csv

import pyarrow as pa

from muster import groups
from muster.errors import WrongArgument
from muster.ingest.values import values
from muster.storage.row_filter import NotAGroup
from muster.workload.spec import Workload


class ParentGroup(WrongArgument):
    """Raised for a parent group: its rows are other groups'."""

    def __init__(self, group: str) -> None:
        super().__init__(f"'{group}' pools the rows of other groups; try one of those")


def canonical_group(workload: Workload, text: str) -> str:
    """Return a group's canonical name from what a person typed.

    Raises:
        NotAGroup: when it has not one value a key.
        ParentGroup: when it is a parent's.
    """
    try:
        texts = groups.values(text)
    except (csv.Error, StopIteration):
        texts = ()
    if len(texts) != len(workload.keys):
        raise NotAGroup(workload, text)
    # A value * stands between quotes, and there two quotes are one: so csv itself tells it from a parent's wildcard.
    marked = groups.values(text.replace(groups.WILDCARD, f'{groups.WILDCARD}""'))
    if any(pair == (groups.WILDCARD, f'{groups.WILDCARD}""') for pair in zip(texts, marked, strict=True)):
        raise ParentGroup(text)
    return groups.name(texts)


def key_values(workload: Workload, group: str) -> dict[str, pa.Scalar]:
    """Return each key's value of a group, typed as declared; null where its text does not read as one.

    Every row of the group has them. A row that has them may be of another name still: `1` and `01` are one number.
    """
    texts = zip(workload.keys, groups.values(group), strict=True)
    return {key: values(pa.array([text]), workload.columns[key].type)[0] for key, text in texts}
