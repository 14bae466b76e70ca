"""Loading stored models: what they may name, and that nothing else is ever called."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
import zstandard
from lightgbm import LGBMClassifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, StackingClassifier
from sklearn.feature_selection import SelectKBest
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import RBF, ConstantKernel
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, SplineTransformer
from xgboost import XGBClassifier

from muster.models.allowed import Forbidden
from muster.models.loading import CorruptModel, ForbiddenModel, decode, load

MODELS = {
    "calibrated": CalibratedClassifierCV(GaussianNB(), cv=2),
    "a ufunc": make_pipeline(FunctionTransformer(np.arctan), LogisticRegression()),
    "a search": GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2),
    "a random state": RandomForestClassifier(3, random_state=np.random.RandomState(1)),
    "a generator": MLPClassifier((3,), max_iter=5),
    "neighbours in a tree": KNeighborsClassifier(algorithm="kd_tree"),
    "splines and a type": make_pipeline(SplineTransformer(), OneHotEncoder(dtype=np.float32), LogisticRegression()),
    "a scikit-learn function": make_pipeline(SimpleImputer(), SelectKBest(k=1), LogisticRegression()),
    "boosted trees": HistGradientBoostingClassifier(max_iter=5),
    "a stack": StackingClassifier([("one", GaussianNB()), ("two", LogisticRegression())], cv=2),
    "a search for a threshold": FixedThresholdClassifier(LogisticRegression()),
    "a Gaussian process": GaussianProcessClassifier(RBF() + ConstantKernel()),
    "LightGBM": LGBMClassifier(n_estimators=5, n_jobs=1, verbose=-1),
    "XGBoost": XGBClassifier(n_estimators=5, n_jobs=1),
}
BOOSTERS = ("lightgbm", "xgboost")


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.filterwarnings("ignore")
def test_a_model_of_scikit_learn_is_loaded_and_predicts_the_same(name: str) -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(60, 3))
    model = MODELS[name].fit(features, features[:, 0] > 0)
    loaded = load(pickle.dumps(model, 5), BOOSTERS)
    np.testing.assert_array_equal(loaded.predict_proba(features), model.predict_proba(features))


def calling(module: str, name: str, *arguments: object, state: object = None) -> bytes:
    """Return the pickle that calls `module.name(*arguments)`, whether or not it exists here."""
    texts = b"".join(pickle.SHORT_BINUNICODE + bytes([len(text)]) + text.encode() for text in (module, name))
    called = pickle.STACK_GLOBAL + pickle.dumps(arguments, 0)[:-1] + pickle.REDUCE
    built = b"" if state is None else pickle.dumps(state, 0)[:-1] + pickle.BUILD
    return pickle.PROTO + b"\x05" + texts + called + built + pickle.STOP


def _payloads(side_effect: Path) -> dict[str, bytes]:
    path = str(side_effect)
    code = f"open({path!r}, 'w')"
    return {
        "a shell": calling("os", "system", f"touch {path}"),
        "a shell under its own name": calling("posix", "system", f"touch {path}"),
        "a process": calling("subprocess", "Popen", ["touch", path]),
        "eval": calling("builtins", "eval", code),
        "exec": calling("builtins", "exec", code),
        "getattr": calling("builtins", "getattr", "text", "upper"),
        "numpy's runner of texts": calling("numpy.testing", "runstring", code, {}),
        "a function of numpy": calling("numpy", "save", path, [1]),
        "a class of numpy that writes files": calling("numpy", "memmap", path, "uint8", "w+", 0, (1,)),
        "what numpy only imports": calling("numpy.f2py", "subprocess.Popen", ["touch", path]),
        "what scikit-learn only imports": calling("sklearn.base", "inspect.os.mkdir", path),
        "a function of scikit-learn": calling("sklearn.datasets", "load_svmlight_file", path),
        "a class that only tests need": calling("sklearn.utils._testing", "TempMemmap", 1),
        "state that is executed": calling(
            "scipy.stats._distn_infrastructure", "rv_continuous", state={"_parse_arg_template": code}
        ),
        "another package": calling("joblib", "load", path),
        "a file of LightGBM's": calling("lightgbm.basic", "Dataset", path),
        "a server of XGBoost's": calling("xgboost.tracker", "RabitTracker", 1),
        "what calls another estimator": calling(
            "sklearn.linear_model._stochastic_gradient", "_ValidationScoreCallback", 1
        ),
        "Muster": calling("muster.models.shards", "ShardWriter", path, "x"),
    }


@pytest.mark.parametrize("name", _payloads(Path()))
def test_any_other_name_is_refused_before_it_is_called(name: str, tmp_path: Path) -> None:
    payload = zstandard.compress(_payloads(tmp_path / "owned")[name])
    with pytest.raises(ForbiddenModel, match=r"model of group 'A,X' in shard 's.bin' names '[\w.]+', which "):
        decode(payload, hashlib.sha256(payload).hexdigest(), "A,X", "s.bin", BOOSTERS)
    assert not (tmp_path / "owned").exists()


def test_the_payloads_would_have_run(tmp_path: Path) -> None:
    executed = []
    for name, payload in _payloads(tmp_path / "owned").items():
        (tmp_path / "owned").unlink(missing_ok=True)
        if name in ("a shell", "eval", "a class of numpy that writes files", "numpy's runner of texts"):
            pickle.loads(payload)
            executed.append((tmp_path / "owned").exists())
    assert executed == [True] * 4


def test_bytes_of_another_digest_are_refused_whatever_they_name() -> None:
    with pytest.raises(CorruptModel):
        decode(zstandard.compress(calling("os", "getcwd")), "0" * 64, "A,X", "s.bin")


@pytest.mark.parametrize("loads", [("os",), ("posix:system",), ("builtins", "builtins:eval")])
def test_pythons_own_library_cannot_be_declared(loads: tuple[str, ...]) -> None:
    for module, name in (("os", "system"), ("posix", "system"), ("builtins", "eval")):
        with pytest.raises(Forbidden, match="Python's own library"):
            load(calling(module, name, "true"), loads)


def test_a_declared_package_gives_its_classes_and_a_declared_function_itself() -> None:
    package = __name__.split(".")[0]
    with pytest.raises(Forbidden) as refused:
        load(pickle.dumps(Own()))
    assert refused.value.declaration == package
    assert isinstance(load(pickle.dumps(Own()), [package]), Own)
    with pytest.raises(Forbidden) as refused:
        load(pickle.dumps(own), [package])
    assert refused.value.declaration == f"{__name__}:own"
    assert load(pickle.dumps(own), [f"{__name__}:own"]) is own


class Own:
    """A class of an installed package."""


def own() -> None:
    """Stand for a function of an installed package."""


def test_what_is_declared_for_one_pack_is_not_allowed_in_another() -> None:
    package = __name__.split(".")[0]
    assert isinstance(load(pickle.dumps(Own()), [package]), Own)
    with pytest.raises(Forbidden):
        load(pickle.dumps(Own()))
