"""Packs, registry and journal that somebody has changed: nothing reads them as if nothing were, and no payload runs."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import Any

import pytest
import zstandard

from muster.champions.errors import BadChampion, ForeignVersion, NotVouched, VersionGone
from muster.champions.versions import FOLDER, MANIFEST_DIGEST, RegisteredVersion
from muster.errors import UnknownName
from muster.evaluation.decisions import CorruptChampion
from muster.mlflow.client import connect
from muster.models.build import BadSource
from muster.models.loading import CorruptModel, ForbiddenModel
from muster.models.vouched import ModelsNotVouched
from muster.promotion.rollback import roll_back
from muster.promotion.rollback_plan import CannotRollBack
from tests.promotion import history, tampering

pytestmark = pytest.mark.slow
Line = Any


@pytest.fixture
def owned(tmp_path: Path) -> Path:
    """The file that a payload makes when it runs."""
    return tmp_path / "owned"


@pytest.fixture
def champion(served: Line) -> RegisteredVersion:
    return tampering.promoted(served)


def _refused(line: Line, expected: dict[str, tuple[type[Exception], str]]) -> None:
    """Check that each reader refuses, in the words expected of it, and that the champion stays as it was."""
    before = connect().get_model_version_by_alias(line.name, "Champion").version, len(line.moves)
    for name, read in tampering.readers(line).items():
        error, text = expected[name]
        with pytest.raises(error, match=text):
            read()
    assert (connect().get_model_version_by_alias(line.name, "Champion").version, len(line.moves)) == before


def test_untouched_it_is_used_by_all(served: Line, champion: RegisteredVersion, tmp_path: Path) -> None:
    answers = tampering.gateway(served, tmp_path / "model", lambda _: None)()
    assert answers["score"][0] == pytest.approx(0.1192, abs=1e-4)
    for read in tampering.readers(served).values():
        read()
    assert served.champion().version == "2"


def test_the_payload_runs_when_it_is_unpickled_without_care(owned: Path) -> None:
    pickle.loads(zstandard.decompress(tampering.payload(owned))).close()
    assert owned.exists()


@pytest.mark.parametrize("registry", ["pack", "per_group"])
def test_a_candidate_that_training_did_not_write_is_not_promoted(served: Line, registry: str, owned: Path) -> None:
    served.declared |= {"registry": registry}
    run = served.train(served.first, {"A,X": 1.0})
    served.decide(served.first, run, {"A,X": "promote"})
    data, forged = tampering.payload(owned), Path(served.store.uri(served.store.packs)) / "forged.bin"
    forged.write_bytes(data)
    place = {"shard": forged.relative_to(served.root).as_posix(), "offset": 0, "length": len(data)}
    tampering.write_models(served, place | {"sha256": hashlib.sha256(data).hexdigest()})
    with pytest.raises(ModelsNotVouched, match=f"{served.first}: the rows of 'logistic' in 'models'.*train"):
        served.promote(served.first)
    assert (served.champion("A,X"), served.moves) == (None, [])


SHARD = {
    "score": (CorruptModel, r"the model of group 'B,X' in shard 'packs/made_\w+/shards/\w{64}\.bin' has sha256"),
    "evaluate": (CorruptChampion, "champion version 1: the models of 1 groups are missing or corrupt: 'B,X'"),
    "promote": (BadSource, "cannot be built: the model of group 'B,X' in shard .* has sha256"),
}


def test_a_flipped_byte_of_a_shard_is_refused(served: Line, champion: RegisteredVersion, tmp_path: Path) -> None:
    tampering.flip(Path(served.store.uri(champion.place)))
    _refused(served, SHARD)
    with pytest.raises(Exception, match=r"'B,X' in shard 'models.bin' has sha256"):
        tampering.gateway(served, tmp_path / "model", tampering.flip)()


def test_another_pickle_in_a_shard_is_refused(
    served: Line, champion: RegisteredVersion, tmp_path: Path, owned: Path
) -> None:
    for data in (tampering.other_model(served), tampering.payload(owned)):
        tampering.replace_shard(Path(served.store.uri(champion.place)), data)
        _refused(served, SHARD)
    with pytest.raises(Exception, match=r"'B,X' in shard 'models.bin' has sha256"):
        tampering.gateway(served, tmp_path / "model", lambda pack: tampering.replace_shard(pack, data))()
    assert not owned.exists()


MANIFEST = {
    "score": (BadChampion, "champion version 1 cannot be used: the manifest .* has sha256 .* expected was"),
    "evaluate": (BadChampion, "champion version 1 cannot be used: the manifest .* has sha256 .* expected was"),
    "promote": (BadChampion, "champion version 1 cannot be used: the manifest .* has sha256 .* expected was"),
}


@pytest.mark.parametrize("forged", [False, True], ids=["alone", "with its shard"])
def test_an_edited_manifest_is_refused(
    forged: bool, served: Line, champion: RegisteredVersion, tmp_path: Path, owned: Path
) -> None:
    def tamper(pack: Path) -> None:
        tampering.forge(pack, tampering.payload(owned)) if forged else tampering.edit_manifest(pack, score=1.0)

    tamper(Path(served.store.uri(champion.place)))
    _refused(served, MANIFEST)
    with pytest.raises(Exception, match="expected was"):
        tampering.gateway(served, tmp_path / "model", tamper)()
    assert not owned.exists()


def test_a_digest_that_was_changed_in_the_registry_too_is_refused_by_the_journal(
    served: Line, champion: RegisteredVersion, owned: Path
) -> None:
    tampering.tag(served, "1", tampering.forge(Path(served.store.uri(champion.place)), tampering.payload(owned)))
    _refused(served, dict.fromkeys(MANIFEST, (NotVouched, "version 1 .* the journal says " + champion.digest[:12])))
    assert not owned.exists()


def test_only_the_unpickler_is_left_to_refuse_what_everything_vouches_for(
    served: Line, champion: RegisteredVersion, tmp_path: Path, owned: Path
) -> None:
    data = tampering.payload(owned)
    digest = tampering.forge(Path(served.store.uri(champion.place)), data)
    tampering.tag(served, "1", digest)
    tampering.write_journal(served, digest)
    read = tampering.readers(served)
    with pytest.raises(ForbiddenModel, match=r"group 'B,X' in shard 'packs/.*' names 'io.open'"):
        read["score"]()
    with pytest.raises(CorruptChampion, match="'B,X'"):
        read["evaluate"]()
    with pytest.raises(Exception, match=r"'B,X' in shard 'models.bin' names 'io.open'"):
        tampering.gateway(served, tmp_path / "model", lambda pack: tampering.forge(pack, data))()
    read["promote"]()  # copies stored bytes, unread; who reads them refuses them again
    with pytest.raises(ForbiddenModel, match=r"'io.open'"):
        read["score"]()
    assert not owned.exists()


def test_a_pack_that_only_the_journal_speaks_of_is_not_restored(served: Line) -> None:
    """It lies in the store, as the journal does, and its number was never registered: who wrote one can write both."""
    history.three_weeks(served)
    own = served.pack({"A,X": 66.0, "B,X": 66.0}, "2024-02-12")
    tampering.insert_move(served, {"to_version": "99", "manifest_sha256": own.sha256, "partition": served.second})
    for version in (None, "99"):
        with pytest.raises(VersionGone, match=r"version 99 .* nothing but the store vouches for its files; roll back"):
            served.plan(version)
    assert served.roll_back("2")["moved"]


def test_a_version_whose_number_is_anothers_now_is_not_taken_for_that(served: Line) -> None:
    history.three_weeks(served)
    own = served.pack({"A,X": 66.0}, "2024-02-12")
    tampering.insert_move(served, {"to_version": "1", "manifest_sha256": own.sha256, "partition": served.second})
    with pytest.raises(NotVouched, match="version 1 .* the journal says " + own.sha256[:12]):
        served.plan()


def test_a_deleted_pack_is_refused_once_mlflow_has_lost_its_logged_model_too(served: Line) -> None:
    history.three_weeks(served)
    client, digest = connect(), served.moves[1]["manifest_sha256"]
    experiment = client.get_experiment_by_name(served.name).experiment_id
    [model] = client.search_logged_models([experiment], f"tags.`{MANIFEST_DIGEST}` = '{digest}'")
    client.delete_model_version(served.name, "2")
    assert served.plan().difference["nothing_to_do"] is False
    client.delete_logged_model(model.model_id)
    with pytest.raises(VersionGone, match=r"version 2 .* no logged model that bears its digest"):
        served.plan()
    assert served.roll_back("1")["moved"]


def test_an_alias_at_a_version_that_muster_did_not_register_is_refused(
    served: Line, champion: RegisteredVersion
) -> None:
    client = connect()
    client.create_model_version(served.name, "s3://elsewhere/model")
    client.set_registered_model_alias(served.name, "Champion", "2")
    _refused(served, dict.fromkeys(MANIFEST, (ForeignVersion, "version 2 .* has no tag")))


def test_an_alias_at_a_version_with_forged_tags_is_refused(served: Line, champion: RegisteredVersion) -> None:
    client = connect()
    tags = dict(client.get_model_version(served.name, "1").tags)
    client.create_model_version(served.name, "s3://elsewhere/model", tags=tags)
    client.set_registered_model_alias(served.name, "Champion", "2")
    _refused(served, dict.fromkeys(MANIFEST, (NotVouched, "version 2 .* the journal knows of no move")))


def test_a_folder_outside_the_packs_is_refused(served: Line, champion: RegisteredVersion) -> None:
    connect().set_model_version_tag(served.name, "1", FOLDER, "../elsewhere")
    _refused(served, dict.fromkeys(MANIFEST, (NotVouched, "leads out of the store's packs")))


def _strange(line: Line, tags: dict[str, str]) -> str:
    """Register a version that Muster did not, and move the alias to it; return its number."""
    made = connect().create_model_version(line.name, "s3://elsewhere/model", tags=tags)
    history.by_hand(line, str(made.version))
    return str(made.version)


@pytest.mark.parametrize("tagged", [False, True], ids=["no tags", "forged tags"])
def test_from_a_version_that_nobody_vouches_for_one_goes_back_to_where_muster_put_the_alias(
    served: Line, tagged: bool
) -> None:
    history.three_weeks(served)
    tags = dict(connect().get_model_version(served.name, "3").tags) if tagged else {}
    assert _strange(served, tags) == "4"
    planned = served.plan(against="4")
    difference = planned.difference
    assert (difference["from_version"], difference["to_version"], difference["appears"]) == ("4", "3", 3)
    assert "version 4 of the registered model" in difference["problem"]
    result = roll_back(served.context, planned, "ann", "a hand")
    assert (result["moved"], result["from_version"], result["to_version"]) == (True, "4", "3")
    assert served.champion().version == "3"
    assert not served.journal.pending
    again = roll_back(served.context, served.plan(against="4"), "ann", "a hand")
    assert (again["moved"], again["to_version"], len(served.moves)) == (True, "3", 4)
    with pytest.raises(UnknownName, match=r"version '4'; there is: 1, 2, 3$"):
        served.plan("4")


def test_a_champion_with_another_digest_in_the_registry_can_be_left_but_not_gone_back_to(served: Line) -> None:
    history.three_weeks(served)
    tampering.tag(served, "3", "0" * 64)
    planned = served.plan()
    assert roll_back(served.context, planned, "ann", "tampered")["to_version"] == "2"
    assert history.slopes(served) == {"A,X": 2.0, "B,X": 1.0}
    with pytest.raises(NotVouched, match=r"the journal says .* roll back to a version of './muster show"):
        served.plan("3")


def test_groups_alone_are_not_rolled_back_from_what_nobody_vouches_for(served: Line) -> None:
    history.three_weeks(served)
    _strange(served, {})
    with pytest.raises(CannotRollBack, match=r"version 4 .* has no tag .*; roll back without groups first; nothing"):
        served.plan("2", ["A,X"])
