"""`./muster try`: a group's features, fit and verdict on a home where nothing runs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline

from muster import groups
from muster.champions.in_store import PLACE
from muster.champions.journal import Journal, Move
from muster.champions.units import Unit
from muster.champions.versions import takes
from muster.context import Context
from muster.features.compute import compute
from muster.models.build import build_pack
from muster.storage.store import TableVersion
from muster.training.bucket import train_bucket
from muster.training.fit import fit_plan
from muster.training.outcome_tables import models_rows
from muster.trial.group_observations import observe
from muster.workload.functions import function
from muster.workload.load import load_workload
from muster.workload.windows import DateRange

ALSO = """algorithms: {
  blind: sklearn.dummy.DummyClassifier,
  searched: {steps: sklearn.tree.DecisionTreeClassifier, search: {grid: {max_depth: [1, 3]}}},
  """


def landed_rows(home: Any) -> pd.DataFrame:
    files = sorted(Path(home.store.uri(home.store.landing)).glob("*.csv.gz"))
    return pd.concat([pd.read_csv(file, parse_dates=["at"]) for file in files], ignore_index=True)


def test_on_a_fresh_home_it_lands_the_files_and_judges_the_group(fresh: Any) -> None:
    code, out, err = fresh.run()
    assert code == 0
    assert "landed 42 files" in err
    assert "north,1  partition 2024-02-05" in out
    assert "gate: promote: beats the baseline" in out
    assert "by itself: the more groups a run judges, the smaller it has to be" in out
    assert "judged against the baseline" in out


def independently(home: Any, start: str, stop: str) -> tuple[pd.DataFrame, pd.DataFrame, float]:
    """Return the rows that a model learns from and those it is judged on, and its score, by pandas and scikit-learn."""
    rows = landed_rows(home).query("place == 'north' and line == 1").sort_values("at").reset_index(drop=True)
    rows["label"] = (rows["delay"] > 10).astype(float)
    day = rows["at"].dt.normalize()
    rows["before"] = day.map(rows.groupby(day)["label"].mean().shift(1))
    rows["hour"] = rows["at"].dt.hour.astype(float)
    train, later = (
        rows[(rows["at"] >= first) & (rows["at"] < end)] for first, end in ((start, stop), ("2024-01-29", "2024-02-05"))
    )
    columns = ["warm", "hour", "before"]
    model = make_pipeline(SimpleImputer(), LogisticRegression()).fit(train[columns].to_numpy(), train["label"])
    return train, later, roc_auc_score(later["label"], model.predict_proba(later[columns].to_numpy())[:, 1])


def test_the_figures_equal_an_independent_computation(home: Any) -> None:
    trial = home.tried()
    train, later, expected = independently(home, "2024-01-15", "2024-01-29")
    assert trial["decision"]["candidate_score"] == pytest.approx(expected, abs=1e-12)
    assert trial["decision"]["baseline_score"] == pytest.approx(roc_auc_score(later["label"], later["hour"]), abs=1e-12)
    assert (trial["windows"]["train"]["rows"], trial["windows"]["evaluate"]["rows"]) == (14 * 16, 7 * 16)
    assert trial["windows"]["evaluate"]["positives"] == trial["decision"]["positives"] == later["label"].sum()
    both = pd.concat([train, later])
    assert trial["features"]["warm"]["mean"] == pytest.approx(both["warm"].mean())


def test_the_table_and_the_files_give_the_same_trial(home: Any) -> None:
    from_files = home.tried()
    home.ingest()
    from_table = home.tried()
    assert from_files["source"] == "28 landed files"
    assert from_table["source"] == "observations, version 0"
    untimed = [
        trial | {"seconds": 0, "source": "", "training": None, "fits": None} for trial in (from_files, from_table)
    ]
    assert untimed[0] == untimed[1]


def test_a_new_column_has_no_value_in_the_rows_of_before(home: Any) -> None:
    home.ingest()
    before = home.tried()
    home.declare(yaml=lambda yaml: yaml.replace("columns: {", 'columns: {weather: "string?", '))
    assert home.tried()["decision"] == before["decision"]


OTHERS = {
    "of another type": ("line: int", "line: string", "'line' is int64 in the table, string declared"),
    "with other capitals": ("warm: ", "Warm: ", "'warm' has other capitals in the table than 'Warm' declared"),
    "new and required": ("columns: {", "columns: {weather: string, ", "no value of the new column 'weather'"),
}


@pytest.mark.parametrize(("before", "now", "problem"), OTHERS.values(), ids=OTHERS)
def test_columns_that_ingest_would_refuse_are_refused_alike(home: Any, before: str, now: str, problem: str) -> None:
    home.ingest()
    home.declare(yaml=lambda yaml: yaml.replace(before, now))
    code, _, err = home.run()
    assert (code, problem in err, err.count("\n")) == (1, True, 1)


def champion_of(home: Any, partition: str, group: str, registry: str = "pack") -> None:
    """Make the group's model of a partition its champion, by the functions of the jobs: in the store and journal."""
    workload = load_workload(home.folder / "trains.yaml")
    context = Context(workload, home.folder, home.store).at(partition)
    windows = context.windows
    observed = observe(context, group, DateRange(windows.observed.start, windows.partition))
    own = function(workload, home.folder, workload.features.function)
    features = compute(workload, own, observed.rows, windows.run)
    outcomes = train_bucket(
        fit_plan(context), features, groups.bucket(group, workload.features.buckets), home.store.files, "candidates"
    )
    models = models_rows(outcomes, f"run-{partition}", windows, TableVersion(0), {"logistic": "mlflow"})
    unit, evidence = Unit("trains", "trains"), {}
    digest = models["sha256"][0].as_py()
    if registry == "pack":
        winners = pa.table({"group": [group], "algorithm": ["logistic"], "score": [0.9]})
        digest = build_pack(workload, home.store, windows.partition, models, winners, None).sha256
    else:
        [stored] = models.select(PLACE).to_pylist()
        unit, evidence = (
            Unit("trains", f"trains_{group}", group),
            {"takes": takes(workload.features.columns), "loads": []} | stored,
        )
    journal = Journal(home.store)
    before = journal.of(unit)
    version = str(len(before) + 1)
    move = Move(
        unit,
        before[-1]["to_version"] if before else None,
        version,
        "gate",
        "t",
        f"run-{partition}",
        partition,
        digest,
        evidence,
    )
    journal.append([move])
    journal.note_made([unit])


@pytest.mark.slow
@pytest.mark.parametrize("registry", ["pack", "per_group"])
def test_the_candidate_is_judged_against_the_champion_of_store_and_journal(home: Any, registry: str) -> None:
    home.declare(yaml=lambda yaml: yaml.replace("landing:", f"registry: {registry}\nlanding:"))
    champion_of(home, "2024-01-29", "north,1", registry)
    champion_of(home, "2024-02-05", "north,1", registry)  # of this very partition: nobody's opponent
    trial = home.tried()
    expected = independently(home, "2024-01-08", "2024-01-22")[2]
    decision = trial["decision"]
    assert decision["champion_score"] == pytest.approx(expected, abs=1e-12)
    assert (decision["against"], decision["champion_version"]) == ("champion", "1")
    assert decision["champion_run"] == "run-2024-01-29"
    _, out, _ = home.run()
    assert f" against {expected:.4f}; " in out
    assert "judged against the champion: version 1, of run run-2024-01-29, as the journal tells" in out
    _, out, _ = home.run(group="north,2")
    assert "judged against the baseline: the group has no champion, as the journal tells" in out
    home.declare(
        yaml=lambda yaml: yaml.replace("landing:", f"registry: {registry}\nlanding:").replace(
            "[warm, hour, ", "[hour, warm, "
        )
    )
    assert home.tried()["decision"]["against"] == "baseline"  # its champion takes other features


def test_a_lost_journal_is_no_lack_of_a_champion(home: Any) -> None:
    champion_of(home, "2024-01-29", "north,1")
    results = Path(home.store.uri(home.store.results("promote")))
    results.mkdir(parents=True)
    (results / "2024-01-29-aa.json").write_text(json.dumps({"moved": True}))
    shutil.rmtree(home.store.table("alias_journal"))
    code, _, err = home.run()
    assert (code, err.count("\n")) == (1, 1)
    assert "alias_journal, the record of who is champion, has no move, but 2024-01-29 was promoted" in err


def test_a_champion_whose_pack_is_not_the_registered_one_is_refused(home: Any) -> None:
    champion_of(home, "2024-01-29", "north,1")
    [manifest] = Path(home.store.uri(home.store.packs)).glob("champion-*/manifest*")
    manifest.write_bytes(manifest.read_bytes()[:-1])
    code, _, err = home.run()
    assert (code, "has sha256" in err, err.count("\n")) == (1, True, 1)


@pytest.mark.slow
def test_neither_spark_nor_airflow_nor_mlflow_is_imported(home: Any) -> None:
    code = (
        "import sys; from muster.cli import main\n"
        "try: main(['try', 'trains', '--group', 'north,1'])\n"
        "finally: print({'pyspark', 'airflow', 'mlflow'} & set(sys.modules), file=sys.stderr)"
    )
    completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert completed.stderr.strip().endswith("set()")


def test_an_unknown_group_is_told_its_nearest(home: Any) -> None:
    code, _, err = home.run(group="nort,1")
    assert code == 2
    assert "no row of group 'nort,1' in trains" in err
    assert "of 4 groups the nearest are: 'north,1', 'north,2'" in err


@pytest.mark.parametrize(
    ("group", "problem"), [("north", "write one value a key"), ("*,1", "pools the rows"), ('x"*",*', "pools the rows")]
)
def test_what_is_no_group_of_its_own_is_refused(home: Any, group: str, problem: str) -> None:
    code, _, err = home.run(group=group)
    assert (code, problem in err, err.count("\n")) == (2, True, 1)


@pytest.mark.parametrize("group", ['"x,*,y",1', '"*",1', '"*""",1', 'x"*",1'])
def test_a_key_with_a_star_is_a_value_like_any_other(home: Any, group: str) -> None:
    code, _, err = home.run(group=group)
    assert (code, "no row of group" in err) == (2, True)


def test_a_date_that_is_no_partition_is_refused(home: Any) -> None:
    code, _, err = home.run("--partition", "2024-02-06")
    assert (code, "'2024-02-06' is no partition of trains" in err) == (2, True)


def test_infinite_features_are_summed_up_without_a_warning(home: Any, recwarn: pytest.WarningsRecorder) -> None:
    home.declare(code=lambda code: code.replace('{"warm": rows["warm"]', '{"warm": rows["warm"] / 0'))
    assert home.tried()["features"]["warm"]["max"] == "inf"
    assert [str(warning.message) for warning in recwarn if warning.category is RuntimeWarning] == []


def test_an_import_that_fails_is_told_with_its_line_and_not_as_a_missing_function(home: Any) -> None:
    home.declare(code=lambda code: code.replace("import numpy as np", "import nunpy as np"))
    code, _, err = home.run()
    assert code == 1
    assert "trains.py', line 2, cannot be imported: ModuleNotFoundError: No module named 'nunpy'" in err
    assert "no function" not in err


def test_an_error_of_the_feature_function_is_told_with_its_line(home: Any) -> None:
    home.declare(code=lambda code: code.replace('rows["warm"], "hour"', 'rows["wram"], "hour"'))
    code, out, err = home.run()
    assert (code, out) == (1, "")
    assert "function 'features' raised KeyError: 'wram'" in err
    line = next(n for n, text in enumerate((home.folder / "trains.py").read_text().splitlines(), 1) if "wram" in text)
    assert f"trains.py:{line}, in features: return pd.DataFrame" in err


def test_an_error_of_a_feature_function_without_a_name_is_told_where_its_module_raised_it(
    home: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home.folder / "deeper.py").write_text("def fail():\n    raise ValueError('too deep')\n")
    monkeypatch.syspath_prepend(home.folder)
    own = "from functools import partial\nimport deeper\nfeatures = partial(lambda rows: deeper.fail())\n"
    home.declare(code=lambda code: code + own)
    _, _, err = home.run()
    assert "function 'features' raised ValueError: too deep" in err
    assert "deeper.py:2, in fail: raise ValueError('too deep')" in err


WAYS = {
    "a class of a module": ("my_estimators:Mine", ""),
    "a class by its dotted name": ("my_estimators.Mine", ""),
    "a function of the workload's own file": (
        ":mine",
        "\nimport my_estimators\n\ndef mine():\n    return my_estimators.Mine()\n",
    ),
}


@pytest.mark.parametrize(("name", "own"), WAYS.values(), ids=WAYS)
def test_an_error_of_an_own_estimator_is_told_with_its_line_however_it_is_declared(
    home: Any, monkeypatch: pytest.MonkeyPatch, name: str, own: str
) -> None:
    (home.folder / "my_estimators.py").write_text(
        "class Mine:\n"
        "    def fit(self, features, labels):\n"
        "        return self.weigh(features)\n"
        "    def weigh(self, features):\n"
        "        raise ValueError('cannot weigh')\n"
        "    def predict_proba(self, features): ...\n"
    )
    monkeypatch.syspath_prepend(home.folder)
    pack = "\npack: {allowed_imports: [my_estimators]}"
    home.declare(
        yaml=lambda yaml: yaml.replace("sklearn.linear_model.LogisticRegression", f'"{name}"') + pack,
        code=lambda code: code + own,
    )
    code, out, _ = home.run()
    assert code == 1
    assert "training: failed: " in out
    assert "logistic: failed: ValueError: cannot weigh" in out
    assert "my_estimators.py:5, in weigh: raise ValueError('cannot weigh')" in out
    assert "gate: hold: the candidate is failed" in out


def test_every_algorithm_is_told_with_its_score_and_the_gate_chooses(home: Any) -> None:
    home.declare(yaml=lambda yaml: yaml.replace("algorithms: {", ALSO))
    trial = home.tried()
    fits = {fit["algorithm"]: fit for fit in trial["fits"]}
    assert {name: fit["state"] for name, fit in fits.items()} == dict.fromkeys(
        ("blind", "logistic", "searched"), "trained"
    )
    assert fits["blind"]["score"] == 0.5
    assert trial["decision"]["algorithm"] in ("logistic", "searched")
    assert trial["decision"]["candidate_score"] == fits[trial["decision"]["algorithm"]]["score"]
    _, out, _ = home.run()
    assert "  blind: trained, " in out
    assert '; chosen: {"max_depth": ' in out
    assert f", chosen: {trial['decision']['algorithm']}" in out


def test_rows_that_an_outlier_detector_learns_from_are_told_apart_from_the_labelled(fresh: Any) -> None:
    unlabelled = 'parts[0].loc[3, "delay"] = np.nan\n        yield day.date(), pd.concat(parts)'
    fresh.declare(
        yaml=lambda yaml: yaml.replace("linear_model.LogisticRegression", "ensemble.IsolationForest"),
        code=lambda code: code.replace("yield day.date(), pd.concat(parts)", unlabelled),
    )
    training = fresh.tried()["training"]
    assert training["learnt"] > training["rows"] > 0
    assert f"trained: {training['learnt']} rows learnt from; {training['rows']} labelled, " in fresh.run()[1]


OF_CLASSES = """outcome: {classes: {column: delay, values: [0, 1, 2]}}"""


def of_classes(home: Any) -> None:
    home.declare(
        yaml=lambda text: (
            text.replace("label: {column: delay, above: 10}", OF_CLASSES)
            .replace('delay: "float?"', 'delay: "int?"')
            .replace("baseline: hour", "metric: roc_auc")
        ),
        code=lambda text: text.replace(
            "            at = at.strftime",
            "            delay = np.clip(delay // 10, 0, 2).astype(int)\n            at = at.strftime",
        ).replace('delay = -5.0 if place == "calm" else ', "delay = "),
    )


def test_the_windows_and_the_verdict_show_the_count_of_each_class(fresh: Any) -> None:
    of_classes(fresh)
    trial = fresh.tried()
    rows = landed_rows(fresh).query("place == 'north' and line == 1 and at < '2024-02-05' and at >= '2024-01-29'")
    counts = {str(value): int((rows["delay"] == value).sum()) for value in (0, 1, 2)}
    assert trial["windows"]["evaluate"]["classes"] == counts == json.loads(trial["decision"]["classes"])
    assert json.loads(trial["training"]["target"])["classes"] == trial["windows"]["train"]["classes"]
    assert (trial["decision"]["verdict"], trial["decision"]["metric"]) == ("promote", "roc_auc")
    _, out, _ = fresh.run()
    shown = ", ".join(f"{value} {count}" for value, count in counts.items())
    assert shown in out
    assert f"{len(rows)} rows ({shown})" in re.sub(r"\s+", " ", out)


def test_a_group_of_one_class_is_skipped_and_held(home: Any) -> None:
    trial = home.tried(group="calm,1")
    assert (trial["training"]["state"], trial["training"]["reason"]) == ("skipped", "one class only")
    assert (trial["decision"]["verdict"], trial["decision"]["reason"]) == ("hold", "the candidate is skipped")


@pytest.mark.parametrize(
    ("feature", "knows"),
    [
        ('rows["label"]', "that day's outcomes or later rows"),
        ('rows.groupby("group")["warm"].transform("mean")', "that day's outcomes or later rows"),
        (
            'rows.groupby("group")["warm"].transform(lambda warm: warm.expanding().sum())',
            "rows from before the lookback",
        ),
    ],
)
def test_a_feature_that_knows_too_much_is_found(home: Any, feature: str, knows: str) -> None:
    home.declare(code=lambda code: code.replace('{"warm": rows["warm"]', f'{{"warm": {feature}'))
    code, out, _ = home.run()
    assert code == 1
    assert re.search(rf"'warm' on 2024-..-.. knows {knows}", out)
    told = " ".join(out.split())
    assert re.search(r"gate: not to be believed: the features know what score will not; it says \w+: ", told)
    assert "'before'" not in out


def test_rows_that_ingest_would_refuse_are_left_out_and_counted(fresh: Any) -> None:
    fresh.declare(
        code=lambda code: code.replace(
            "yield day.date(), pd.concat(parts)",
            'parts[0].loc[3, "warm"] = 99.0\n        yield day.date(), pd.concat([*parts, parts[0].iloc[:1]])',
        )
    )
    trial = fresh.tried()
    assert trial["refused"] == {"warm: above 50": 28, "repeats a row": 28}
    assert trial["windows"]["train"]["rows"] == 14 * 15


def test_a_group_whose_rows_are_all_refused_says_so_and_its_function_is_not_asked(fresh: Any) -> None:
    own = "\nordinary = features\ndef features(rows):\n    rows['at'].iloc[0]\n    return ordinary(rows)\n"
    fresh.declare(
        code=lambda code: (
            code.replace(
                "yield day.date(), pd.concat(parts)",
                'parts[0]["warm"] = 99.0\n        yield day.date(), pd.concat(parts)',
            )
            + own
        )
    )
    trial = fresh.tried()
    assert list(trial["refused"]) == ["warm: above 50"]
    assert (trial["training"]["state"], trial["decision"]["verdict"]) == ("skipped", "hold")


def test_a_function_that_ends_the_process_is_told_like_any_error(home: Any) -> None:
    home.declare(code=lambda code: code + "\ndef features(rows):\n    raise SystemExit(3)\n")
    code, _, err = home.run()
    assert (code, "function 'features' raised SystemExit: 3" in err) == (1, True)


FORKS = """
import os

def features(rows):
    child = os.fork()
    if child == 0:
        os._exit(7)
    raise ValueError(f"the child ended with {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}")
"""


@pytest.mark.parametrize(
    ("own", "line"),
    [
        ("\nraise SystemExit(0)\n", "cannot be imported: SystemExit: 0"),
        ("\ndef deliver(landed):\n    raise SystemExit(0)\n", "function 'deliver' raised SystemExit: 0\n  trains.py:"),
        ("\nraise GeneratorExit\n", "cannot be imported: GeneratorExit"),
        (
            "\nclass Panic(BaseException): ...\n\ndef features(rows):\n    raise Panic('!')\n",
            "'features' raised Panic: !",
        ),
        ("\ndef deliver(landed):\n    raise GeneratorExit\n    yield\n", "function 'deliver' raised GeneratorExit: "),
    ],
)
def test_own_code_that_ends_the_process_anywhere_else_is_told_too(fresh: Any, own: str, line: str) -> None:
    fresh.declare(code=lambda code: code + own)
    code, out, err = fresh.run()
    assert (code, out, line in err) == (1, "", True)


@pytest.mark.parametrize(
    ("own", "line"),
    [
        ("\nimport os\nos._exit(0)\n", "', line {last}, cannot be imported: SystemExit: os._exit(0)"),
        (
            "\nimport os\ndef features(rows):\n    os._exit(0)\n",
            "'features' raised SystemExit: os._exit(0)\n  trains.py:",
        ),
        (FORKS, "'features' raised ValueError: the child ended with 7"),
    ],
)
def test_own_code_that_ends_the_process_at_once_is_told_but_its_own_processes_may(
    home: Any, own: str, line: str
) -> None:
    home.declare(code=lambda code: code + own)
    command = [sys.executable, "-m", "muster", "try", "trains", "--group", "north,1"]
    tried = subprocess.run(command, capture_output=True, text=True, env={**os.environ}, timeout=120)
    line = line.format(last=(home.folder / "trains.py").read_text().count("\n"))
    assert (tried.returncode, tried.stdout, line in tried.stderr) == (1, "", True), tried.stderr


def test_a_partition_with_nothing_to_judge_on_is_held(home: Any) -> None:
    trial = home.tried("--partition", "2024-02-19")
    assert (trial["windows"]["evaluate"]["rows"], trial["decision"]["verdict"]) == (0, "hold")


def test_a_partition_beyond_all_data_is_refused(home: Any) -> None:
    code, _, err = home.run("--partition", "2025-02-03")
    assert (code, "trains has no data from" in err) == (2, True)


def test_the_store_is_left_without_any_table(home: Any) -> None:
    home.run()
    assert not Path(home.store.table("models")).parent.exists()
    assert not Path(home.store.uri(home.store.packs)).exists()
