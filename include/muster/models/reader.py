"""Read a pack's models, verified first, and score with them. Imports nothing of Muster: it ships with every pack."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import zstandard

from .loading import check, load_of  # relative: a logged pack is another package
from .manifest_reader import about
from .scores import BINARY, REGRESSION, UNLABELLED, finite_rows, gives_probabilities, scores, width
from .stored import Place, Readable, StoredModels

LIVE_BYTES = 4096
"""What a loaded model takes beyond its pickle, about (measured: 3 kB for a logistic regression, 22 kB for a forest)."""

LOADED_TOGETHER = 32
"""Models loaded before the first of them predicts: a third quicker than by turns, which empty the CPU's caches."""


class UnknownGroups(Exception):
    """Raised when groups have no model and the workload declares no fallback."""

    def __init__(self, groups: Iterable[str], shown: int = 10) -> None:
        names = sorted(groups)
        rest = f" and {len(names) - shown} more" if len(names) > shown else ""
        named = ", ".join(f"'{name}'" for name in names[:shown])
        super().__init__(f"no model for {len(names)} group(s): {named}{rest}; the pack's fallback is 'error'")


class Answers(NamedTuple):
    """A row each: its score, the run that trained the model that answered, and why it was not the group's own.

    Of classes a score is a probability each: (n, classes).
    """

    score: np.ndarray
    origin_run: np.ndarray
    fallback: np.ndarray


class _Entry(NamedTuple):
    place: Place
    sha256: str
    origin_run: str


class Pack:
    """The models of one pack: loaded when first asked for, the least recently used dropped beyond `cache_bytes`.

    `manifest` was verified, and its shards are paths below the root of `files`.
    """

    def __init__(self, files: Readable, manifest: pa.Table, cache_bytes: int = 256 * 2**20) -> None:
        self.manifest = manifest
        self.about = about(self.manifest)
        self._scale: str = self.about.get("scale", BINARY)
        self._of_numbers = self._scale.startswith(REGRESSION)
        self._loads = frozenset(self.about.get("loads", ()))
        self._stored = StoredModels(files)
        places, vouching = (
            zip(*(self.manifest[name].to_pylist() for name in names), strict=True)
            for names in (Place._fields, ("sha256", "origin_run"))
        )
        entries = (_Entry(Place(*place), *vouched) for place, vouched in zip(places, vouching, strict=True))
        self._entries: dict[str, _Entry] = dict(zip(self.manifest["group"].to_pylist(), entries, strict=True))
        self._loaded: OrderedDict[str, tuple[Any, int]] = OrderedDict()
        self._lock = threading.Lock()  # a decompressor serves one thread at a time
        self._decompressor = zstandard.ZstdDecompressor()
        self._cache_bytes = cache_bytes
        self.cached_bytes = 0
        """About how many bytes the loaded models take."""

    def __contains__(self, group: str) -> bool:
        return group in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def origin_run(self, group: str) -> str:
        """Return the run that trained the group's model."""
        return self._entries[group].origin_run

    def model(self, group: str) -> Any:
        """Return the group's model, from memory or from its shard.

        Raises:
            UnknownGroups: when the pack has none.
            CorruptModel: when the shard's bytes are not those of the manifest; nothing was deserialised then.
            ForbiddenModel: when the model names what the manifest does not declare; nothing of it was called.
            CodeMissing: when the model is made of a class that cannot be imported here.
        """
        if group not in self._entries:
            raise UnknownGroups([group])
        with self._lock:
            if group not in self._loaded:
                model, size = self._load(group, self._entries[group])
                self._keep(group, model, size)
                return model
            self._loaded.move_to_end(group)
            return self._loaded[group][0]

    def _load(self, group: str, entry: _Entry) -> tuple[Any, int]:
        shard = entry.place.shard
        try:
            data = self._stored.read(entry.place)
        except FileNotFoundError:
            data = b""
        check(data, entry.sha256, group, shard)
        pickled = self._decompressor.decompress(data)
        return load_of(group, shard, pickled, self._loads), len(pickled) + LIVE_BYTES

    def _fetch(self, groups: Iterable[str]) -> None:
        """Read the bytes of the models that are not loaded, together."""
        with self._lock:
            self._stored.fetch(self._entries[group].place for group in groups if group not in self._loaded)

    def _keep(self, group: str, model: Any, size: int) -> None:
        self._loaded[group] = (model, size)
        self.cached_bytes += size
        while self.cached_bytes > self._cache_bytes and len(self._loaded) > 1:
            self.cached_bytes -= self._loaded.popitem(last=False)[1][1]

    def without_model(self, groups: Iterable[str]) -> list[str]:
        """Return those of `groups` that the pack has no model for."""
        return [group for group in groups if group not in self._entries]

    def unanswered(self, rows: int, why: str | None = None) -> Answers:
        """Return so many rows without an answer, and why."""
        nobody, reasons = np.full(rows, None, object), np.full(rows, why, object)
        return Answers(np.full((rows, *width(self._scale)), np.nan), nobody, reasons)

    def answer(
        self, groups: Sequence[str] | pa.Array, features: np.ndarray, parent_of: Callable[[str], str]
    ) -> Answers:
        """Score rows of any groups in any order, one predict a group.

        `features` is (n, features) float64 in the pack's order of columns; `parent_of` gives the name of a group's
        parent, asked only where the fallback is one. Where neither a model nor the baseline's feature has a value, the
        score is the prior: the share of positives, or of each class, in the pack's training rows, or their mean. Of a
        binary outcome both are probabilities: they answer for a model that gives such, and for a group without one
        where all do; elsewhere a row has no score.

        Raises:
            UnknownGroups: when groups have no model and the fallback is `error`.
        """
        answers = self.unanswered(len(groups))
        slices = list(_rows_by_group(groups))
        if self.about["fallback"] == "error" and (missing := self.without_model(name for name, _ in slices)):
            raise UnknownGroups(missing)
        for start in range(0, len(slices), LOADED_TOGETHER):
            self._answer_some(slices[start : start + LOADED_TOGETHER], features, parent_of, answers)
        return answers

    def _answer_some(
        self,
        slices: Sequence[tuple[str, np.ndarray]],
        features: np.ndarray,
        parent_of: Callable[[str], str],
        answers: Answers,
    ) -> None:
        sources = [self._source(group, parent_of) for group, _ in slices]
        self._fetch({source for source, _ in sources if source is not None})
        models = [None if source is None else self.model(source) for source, _ in sources]
        for (source, reason), model, (_, rows) in zip(sources, models, slices, strict=True):
            answers.fallback[rows] = reason
            if source is not None:
                self._score(source, model, rows, features, answers)
            elif self.on_one_scale:
                from_feature = self._baseline(rows, features, answers)
                answers.fallback[rows] = np.where(from_feature, "no model: baseline", "no model: prior")

    def _score(self, group: str, model: Any, rows: np.ndarray, features: np.ndarray, answers: Answers) -> None:
        predicted, problem = self._predict(group, model, features[rows])
        answers.score[rows], answers.origin_run[rows] = predicted, self.origin_run(group)
        if problem:
            failed = rows[~finite_rows(predicted)]
            answers.fallback[failed], answers.origin_run[failed] = problem, None
            if self._of_numbers or (self._scale != UNLABELLED and gives_probabilities(model)):
                self._baseline(failed, features, answers)

    def _source(self, group: str, parent_of: Callable[[str], str]) -> tuple[str | None, str | None]:
        """Return the group whose model answers for `group`, and why it is not its own."""
        if group in self._entries:
            return group, None
        if self.about["fallback"] == "parent" and (parent := parent_of(group)) in self._entries:
            return parent, "no model: parent"
        return None, "no model: no score"

    def _predict(self, group: str, model: Any, features: np.ndarray) -> tuple[np.ndarray, str | None]:
        """Return finite scores, NaN where the model has none, and what its problem was.

        A model that refuses missing values still answers for the whole rows, so that no row's score depends on which
        other rows came with it.
        """
        try:
            predicted, problem = scores(model, features, self._scale), "not finite"
        except BaseException as error:
            if self.about["fallback"] == "error" or isinstance(error, KeyboardInterrupt):
                error.add_note(f"while scoring with the model of group '{group}'")
                raise
            predicted, problem = self.unanswered(len(features)).score, type(error).__name__
            whole = np.isfinite(features).all(axis=1)
            if whole.any() and not whole.all():
                predicted[whole], _ = self._predict(group, model, features[whole])
        finite = finite_rows(predicted)
        predicted[~finite] = np.nan
        return predicted, None if finite.all() else f"model failed: {problem}"

    @cached_property
    def on_one_scale(self) -> bool:
        """Whether all models, prior and baseline answer alike: numbers do, what alerts does not; else all have to
        give probabilities.

        As the manifest says; in one of before it was known, the first model of each algorithm does.
        """
        if self._scale == UNLABELLED:
            return False
        if self._of_numbers:
            return True
        said: bool | None = self.about.get("probabilities")
        if said is not None:
            return said
        first = dict(zip(reversed(self.manifest["algorithm"].to_pylist()), reversed(self._entries), strict=True))
        return all(gives_probabilities(self.model(group)) for group in first.values())

    def _baseline(self, rows: np.ndarray, features: np.ndarray, answers: Answers) -> np.ndarray:
        """Give rows what the baseline's feature says, or else the prior; return which got the feature's.

        Of a binary outcome only a share is one: an hour is no answer among probabilities.
        """
        name = self.about["baseline"]
        if name == "prior":
            answers.score[rows] = self.about["prior"]
            return np.zeros(len(rows), dtype=bool)
        values = features[rows, self.about["features"].index(name)]
        # False for NaN
        from_feature: np.ndarray = (values >= 0) & (values <= 1) if self._scale == BINARY else np.isfinite(values)
        answers.score[rows] = np.where(from_feature, values, self.about["prior"])
        return from_feature


def _rows_by_group(groups: Sequence[str] | pa.Array) -> Iterator[tuple[str, np.ndarray]]:
    """Yield each distinct group with the numbers of its rows, in order."""
    if len(groups) == 0:
        return
    encoded = pa.array(groups, pa.string()).dictionary_encode()
    codes, names = encoded.indices.to_numpy(), encoded.dictionary.to_pylist()
    stops = np.cumsum(np.bincount(codes, minlength=len(names)))
    yield from zip(names, np.split(np.argsort(codes, kind="stable"), stops[:-1]), strict=True)
