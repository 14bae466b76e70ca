"""What can be wrong with a champion or with a move of its alias."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from muster.errors import MusterError, bounded
from muster.settings import command, rollback_command

ALIAS = "Champion"


NO_VERSION = "none"
"""Written where a version is named and there is none."""
PRESENT = "present"
"""Asked for instead of a version by who wants the champions that there are, and what MLflow has lost of them again."""


def version_text(version: str | None) -> str:
    """Return a version in words; None is no version."""
    return "no version" if version in (None, NO_VERSION) else f"version {version}"


def _look_again(workload: str) -> str:
    return f"look again with '{command(f'rollback {workload} --dry-run')}'"


class AliasMoved(MusterError):
    """Raised when the alias is not where a move of it has to begin; nothing was moved."""

    short = f"{ALIAS} was moved"

    @classmethod
    def since_judged(cls, name: str, judged: str | None, at: str | None, why: str = "") -> AliasMoved:
        """Return the error of a promotion whose verdicts are about another champion."""
        against = "no champion" if judged is None else f"version {judged} as champion"
        return cls(
            f"the decisions about '{name}' were made with {against}, {ALIAS} is now {version_text(at)}"
            f"{f' ({why})' if why else ''}; nothing was promoted: run evaluate for this partition again, then promote"
        )

    @classmethod
    def since_compared(cls, workload: str, name: str, seen: str | None, at: str | None, why: str = "") -> AliasMoved:
        """Return the error of a rollback that was planned against another champion."""
        now = f"{ALIAS} is now {version_text(at)}" if at != seen else f"where {ALIAS} is still"
        return cls(
            f"the rollback of '{name}' was planned from {version_text(seen)}, {now}"
            f"{f' ({why})' if why else ''}; nothing was moved: {_look_again(workload)}"
        )

    @classmethod
    def since_journalled(
        cls, workload: str, name: str, group: str | None, champion: str, at: str, *, made: bool
    ) -> AliasMoved:
        """Return the error of an alias that is at another version than the last move's; `made`: which was made."""
        moved = "it was moved, but not by Muster, or this journal is an older copy"
        why = moved if made else "that move was broken off, or it was moved by hand"
        back = rollback_command(workload, group, champion)
        return cls(
            f"the alias {ALIAS} of '{name}' is at version {at}, the journal says version {champion} ({why}); "
            f"`{back}` puts it back"
        )

    @classmethod
    def some_since_compared(cls, workload: str) -> AliasMoved:
        """Return the error of a rollback of groups' own models of which some were moved since they were compared."""
        return cls(
            f"champions of '{workload}' were moved since this rollback was planned; nothing was moved: "
            f"{_look_again(workload)}"
        )


class ConcurrentMove(MusterError):
    """Raised when some aliases were moved by others just when they were to be; the other groups' were moved."""

    def __init__(self, workload: str, left: Mapping[str | None, str]) -> None:
        groups = bounded(f"'{group}': {why}" for group, why in left.items())
        again = f"{_look_again(workload)}, these groups named"
        super().__init__(f"{workload}: {len(left)} groups were not rolled back, the others were: {groups}; {again}")


class MoveUnderWay(MusterError):
    """Raised when another move of the alias has begun and is not done."""

    retryable = True

    def __init__(self, name: str, row: Mapping[str, Any], patience: timedelta) -> None:
        until = row["at"] + patience
        super().__init__(
            f"the alias '{ALIAS}' of '{name}' is just being moved to version {row['to_version']} by partition "
            f"{row['partition']} ({row['cause']}); nothing was moved: try again when that has ended, "
            f"or after {until:%H:%M} UTC if it never does"
        )


class ForeignVersion(MusterError):
    """Raised when a version is met that Muster did not register."""

    def __init__(self, name: str, version: str, why: str) -> None:
        super().__init__(
            f"version {version} of the registered model '{name}' {why}, so Muster did not register it as that; "
            f"roll back to one that it did"
        )


class NameTaken(MusterError):
    """Raised when a registered model is another workload's: its pack, or the model of one of its groups."""

    def __init__(self, name: str, workload: str, owner: str, group: str | None) -> None:
        what = "the pack" if group is None else f"the model of group '{group}'"
        super().__init__(
            f"the registered model '{name}' is {what} of workload '{owner}', and cannot be one of workload "
            f"'{workload}' too; rename or delete that registered model in MLflow, if nobody needs it under that name, "
            f"or rename workload '{workload}': its file"
        )


class NotVouched(MusterError):
    """Raised when the journal does not confirm what the registry says of a version."""

    def __init__(self, workload: str, name: str, version: str, why: str) -> None:
        journal = command(f"show {workload} alias_journal")
        super().__init__(
            f"version {version} of the registered model '{name}' is not used: {why}; find out who changed it, then "
            f"put the tag right, or roll back to a version of '{journal}'"
        )


class JournalGone(MusterError):
    """Raised when somebody was promoted and the journal has no move of it: the record of who is champion is gone.

    That is not "there is no champion yet": whoever moves an alias writes it down first.
    """

    short = f"{ALIAS} is not journalled"

    @classmethod
    def shown(cls, workload: str, name: str, version: str) -> JournalGone:
        """Return the error of a champion that MLflow shows."""
        return cls(
            f"version {version} of the registered model '{name}' is {ALIAS}, but alias_journal, the record of who is "
            f"champion, has no move of it: restore that table of '{workload}' from a backup that has; where there is "
            f"none, or Muster never promoted for it, remove the alias in MLflow, then evaluate and promote again"
        )

    @classmethod
    def though_promoted(cls, workload: str, partition: str, results: str) -> JournalGone:
        """Return the error of a journal without a move, where a promotion has left its result in the store."""
        return cls(
            f"alias_journal, the record of who is champion, has no move, but {partition} was promoted: restore that "
            f"table of '{workload}' from a backup; without one, or to begin anew, move '{results}' away, remove the "
            f"alias {ALIAS} in MLflow if there is one, then evaluate and promote again"
        )


class AliasGone(MusterError):
    """Raised when no version bears the alias, though the journal knows of a champion: somebody removed it."""

    short = f"{ALIAS} is gone"

    def __init__(self, workload: str, name: str, group: str | None, champion: str) -> None:
        back = rollback_command(workload, group)
        super().__init__(
            f"no version of the registered model '{name}' is {ALIAS} any more, but by the journal version {champion} "
            f"is: somebody removed the alias, or that version; `{back}` puts it back, and with --to an earlier one"
        )


class MovesMissing(MusterError):
    """Raised when the journal names a version as champion before a move, and has no move to it."""

    def __init__(self, version: str) -> None:
        super().__init__(
            f"alias_journal has a move from version {version}, but none to it: rows of it were removed, so nobody can "
            f"tell what was champion before; restore that table to one of its earlier versions"
        )


FILES_GONE = "its files are gone"
NO_DIGEST = "MLflow has no logged model that bears its digest, so nothing but the store vouches for its files"
NOT_TRAINED = "its files are gone, and the MLflow run that trained it does not vouch for what the store has of it"
"""Why a version that is not registered any more cannot be had."""


class VersionGone(MusterError):
    """Raised when a version that was champion is not registered any more, and cannot be had without that."""

    def __init__(self, name: str, version: str, why: str) -> None:
        super().__init__(
            f"version {version} of the registered model '{name}' is no longer registered, and {why}; "
            f"roll back to another one"
        )


class FileGone(MusterError):
    """Raised when the stored model of a group's version is in MLflow no more, though the version is."""

    def __init__(self, workload: str, group: str | None, name: str, version: str, file: str) -> None:
        super().__init__(
            f"the file '{file}' of version {version} of the registered model '{name}' is gone in MLflow; "
            f"`{rollback_command(workload, group, version)}` uploads it again, as the store has it"
        )


class CannotLoad(MusterError):
    """Raised when the model of a group's champion cannot be loaded: MLflow has lost it, or has other bytes."""

    def __init__(self, workload: str, group: str, version: str) -> None:
        super().__init__(
            f"the model of group '{group}', champion version {version}, is gone in MLflow, or is not the one that was "
            f"registered; no slice is scored without it: `{rollback_command(workload, group, version)}` uploads it "
            f"again, as the store has it; then run this again"
        )


class ModelLost(MusterError):
    """Raised when neither MLflow nor the store has the bytes of a group's model: nothing can put them back."""

    def __init__(self, workload: str, group: str, version: str, partition: str, why: str) -> None:
        again, leave = (rollback_command(workload, group, to) for to in (version, NO_VERSION))
        super().__init__(
            f"the model of group '{group}', version {version}, is lost: neither MLflow nor the store has its bytes "
            f"({why}). Run train for partition {partition} again: where data and packages are as they were it writes "
            f"the same bytes, and `{again}` uploads them; else `{leave}` leaves the group without a champion: the "
            f"others go on, and its next candidate is judged against the baseline"
        )


class NotReady(MusterError):
    """Raised when a registered version does not become ready."""

    retryable = True

    def __init__(self, name: str, version: str, status: str) -> None:
        super().__init__(
            f"version {version} of '{name}' is {status}, not READY; the alias was not moved: run promote again"
        )


class BadChampion(MusterError):
    """Raised when the champion's pack is not the one that was registered."""

    def __init__(self, version: str, cause: Exception) -> None:
        super().__init__(f"champion version {version} cannot be used: {cause}")
