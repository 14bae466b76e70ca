"""Shards: written whole, read verified."""

from __future__ import annotations

import ast
import hashlib
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from muster.models import reader, shards
from muster.models.loading import CorruptModel, decode
from muster.models.scores import scores
from muster.models.shards import ShardWriter, Stored, encode
from muster.storage.files import Files

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(60, 3)), (RNG.random(60) < 0.4).astype(float)


def write(folder: Path, models: list[Any]) -> tuple[Path, list[Stored]]:
    with ShardWriter(Files(str(folder)), "run") as shard:
        stored = [shard.add(encode(model)) for model in models]
    assert shard.path is not None
    return folder / shard.path, stored


def read(path: Path, stored: Stored) -> Any:
    data = Files(str(path.parent)).read(path.name, stored.offset, stored.length)
    return decode(data, stored.sha256, "g", path.name)


def test_each_model_comes_back_from_its_place(tmp_path: Path) -> None:
    models = [{"model": n, "text": "x" * n} for n in range(50)]
    path, stored = write(tmp_path, models)
    assert [read(path, place) for place in stored] == models


def test_fitted_model_scores_the_same_after_the_shard(tmp_path: Path) -> None:
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y)
    path, [stored] = write(tmp_path, [model])
    np.testing.assert_array_equal(scores(read(path, stored), X), scores(model, X))


def test_it_is_called_by_the_digest_of_its_bytes(tmp_path: Path) -> None:
    path, _ = write(tmp_path, [1, 2])
    assert path == tmp_path / "run" / f"{hashlib.sha256(path.read_bytes()).hexdigest()}.bin"


def test_second_attempt_of_a_task_leaves_one_file(tmp_path: Path) -> None:
    assert write(tmp_path, [1, 2]) == write(tmp_path, [1, 2])
    assert len(list((tmp_path / "run").iterdir())) == 1


def test_second_attempt_mends_a_shard_that_was_cut_off_and_lets_a_whole_one_be(tmp_path: Path) -> None:
    path, stored = write(tmp_path, [1, 2])
    written = time.time() - 3_000
    os.utime(path, (written, written))
    assert write(tmp_path, [1, 2]) == (path, stored)
    assert path.stat().st_mtime == pytest.approx(written)
    path.write_bytes(path.read_bytes()[:-1])
    write(tmp_path, [1, 2])
    assert [read(path, place) for place in stored] == [1, 2]


def test_a_whole_shard_that_is_old_is_written_anew_so_that_nobody_sweeps_it(tmp_path: Path) -> None:
    path, stored = write(tmp_path, [1, 2])
    os.utime(path, (0, 0))
    assert write(tmp_path, [1, 2]) == (path, stored)
    assert path.stat().st_mtime > time.time() - 60


def test_a_shard_of_more_than_is_held_in_memory_is_written_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = [{"model": n, "text": "x" * n} for n in range(50)]
    path, stored = write(tmp_path, models)
    whole = path.read_bytes()
    path.unlink()
    monkeypatch.setattr(shards, "IN_MEMORY", 64)
    assert write(tmp_path, models) == (path, stored)
    assert path.read_bytes() == whole


def test_same_fit_gives_the_same_bytes() -> None:
    one, two = (encode(RandomForestClassifier(5, random_state=1).fit(X, Y)) for _ in range(2))
    assert one == two


def test_attempt_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def attempt() -> None:
        with ShardWriter(Files(str(tmp_path)), "run") as shard:
            shard.add(b"half")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        attempt()
    assert list(tmp_path.iterdir()) == []


def test_unfinished_shard_bears_no_shards_name(tmp_path: Path) -> None:
    with ShardWriter(Files(str(tmp_path)), "run") as shard:
        shard.add(b"half")
        assert list(tmp_path.rglob("*.bin")) == []
    assert [file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*.bin")] == [shard.path]


def test_shard_that_holds_nothing_is_no_file(tmp_path: Path) -> None:
    with ShardWriter(Files(str(tmp_path)), "run") as shard:
        pass
    assert shard.path is None
    assert list(tmp_path.iterdir()) == []


class Bomb:
    """What unpickling must never reach."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("unpickled before it was verified",))


def test_bytes_with_another_digest_are_never_unpickled() -> None:
    with pytest.raises(CorruptModel, match=r"group 'UA,\*' in shard '003-x.bin'.*not loaded"):
        decode(encode(Bomb()), "0" * 64, "UA,*", "003-x.bin")


def test_a_flipped_bit_is_found(tmp_path: Path) -> None:
    path, [first, second] = write(tmp_path, ["a" * 99, "b" * 99])
    data = bytearray(path.read_bytes())
    data[second.offset + 3] ^= 1
    path.write_bytes(data)
    assert read(path, first) == "a" * 99
    with pytest.raises(CorruptModel):
        read(path, second)


def test_shard_cut_off_is_found(tmp_path: Path) -> None:
    path, [stored] = write(tmp_path, ["a" * 9999])
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CorruptModel):
        read(path, stored)


def test_reader_ships_alone() -> None:
    tree = ast.parse(Path(reader.__file__).read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    named = {name for node in imports for name in (getattr(node, "module", None), *(a.name for a in node.names))}
    assert not [name for name in named if name and name.split(".")[0] == "muster"]


@pytest.mark.parametrize(
    "model",
    [LogisticRegression(), RandomForestClassifier(10, random_state=0), RidgeClassifier()],
    ids=lambda model: type(model).__name__,
)
def test_scores_are_higher_for_likelier_positives(model: Any) -> None:
    label = X[:, 0] > 0
    values = scores(model.fit(X, label.astype(float)), X)
    assert values.dtype == np.float64
    assert values[label].mean() > values[~label].mean()


def test_probability_is_that_of_class_1_when_it_is_listed_first() -> None:
    model = LogisticRegression().fit(X, Y)
    expected = scores(model, X)
    model.classes_ = model.classes_[::-1]
    np.testing.assert_allclose(scores(model, X), 1 - expected)


def test_outlier_detectors_score_outliers_higher() -> None:
    model = IsolationForest(n_estimators=20, random_state=0).fit(X)
    assert scores(model, np.full((1, 3), 9.0))[0] > scores(model, np.zeros((1, 3)))[0]


def test_model_that_cannot_score_is_named() -> None:
    with pytest.raises(TypeError, match="a StandardScaler has neither"):
        scores(StandardScaler().fit(X), X)


def test_encoded_bytes_are_smaller_than_the_pickle() -> None:
    model = RandomForestClassifier(20, random_state=0).fit(X, Y)
    assert len(encode(model)) < len(pickle.dumps(model, protocol=5)) / 2


@pytest.mark.slow
def test_a_process_that_loaded_a_model_before_writes_the_same_bytes(tmp_path: Path) -> None:
    program = """
import pickle, sys
import numpy as np
from pathlib import Path
import sklearn.linear_model
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from muster.models.shards import encode
kept = [pickle.loads(Path(name).read_bytes()) for name in sys.argv[2:]]
model = make_pipeline(StandardScaler(), sklearn.linear_model.LogisticRegression(C=0.1))
Path(sys.argv[1]).write_bytes(encode(model.fit(np.arange(8.0).reshape(4, 2), [0, 1, 0, 1])))
"""
    loaded = tmp_path / "loaded"
    loaded.write_bytes(pickle.dumps(make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y)))
    for arguments in (["alone"], ["after", "loaded"]):
        subprocess.run([sys.executable, "-c", program, *arguments], cwd=tmp_path, check=True)
    assert (tmp_path / "alone").read_bytes() == (tmp_path / "after").read_bytes()
