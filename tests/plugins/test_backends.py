"""Each backend's command; and connections that cannot tell where Spark is."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from muster.settings import settings
from muster.spark_conf import LOG_STORE_SETTINGS, log_store_jar
from muster_airflow.backends import BACKENDS, submit
from muster_airflow.backends.code import job_file, packed_code
from muster_airflow.backends.command import Command, python
from muster_airflow.backends.local import LocalBackend
from muster_airflow.backends.properties import configured
from muster_airflow.backends.protocol import JobCall
from muster_airflow.backends.submit import REDACTION
from muster_airflow.exceptions import ConnectionRefused, NoLogStore

JOB = JobCall("train", "w/made.yaml", "2024-02-05", "a.1")
RESULT = "/r/2024-02-05-a.1.json"
ARGUMENTS = ["--workload", JOB.workload, "--partition", JOB.partition, "--attempt", "a.1", "--result", RESULT]


def command_of(backend: str, call: JobCall = JOB) -> Command:
    """Return what a backend starts."""
    chosen = BACKENDS[backend]
    assert isinstance(chosen, LocalBackend)
    return chosen.command(call, RESULT)


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch, home: Path):  # type: ignore[no-untyped-def]
    """Return a maker of connections: JSON as Airflow reads it from the environment."""
    monkeypatch.delenv("AIRFLOW_CONN_SPARK_CONNECT", raising=False)
    monkeypatch.delenv("AIRFLOW_CONN_SPARK_DEFAULT", raising=False)

    def make(name: str, value: dict[str, Any] | str) -> None:
        text = value if isinstance(value, str) else json.dumps(value)
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", text)

    return make


def test_both_backends_run_the_same_job_with_the_same_arguments(connection: Any) -> None:
    connection("spark_connect", {"conn_type": "spark_connect", "host": "sc://spark", "port": 15002})
    connection("spark_default", {"conn_type": "spark", "host": "local[2]"})
    assert command_of("connect").arguments == [sys.executable, "-P", "-m", "muster_jobs.train", *ARGUMENTS]
    assert command_of("submit").arguments[-9:] == [job_file("train"), *ARGUMENTS]
    assert command_of("submit").environment["PYTHONSAFEPATH"] == "1"


def test_a_file_of_ones_own_is_run_as_it_is(connection: Any) -> None:
    connection("spark_default", {"conn_type": "spark", "host": "local[2]"})
    own = replace(JOB, job="/mine/job.py")
    assert python(own, RESULT) == [sys.executable, "/mine/job.py", *ARGUMENTS]
    assert command_of("submit", own).arguments[-9:] == ["/mine/job.py", *ARGUMENTS]


def test_options_are_passed_on_and_a_partition_only_where_there_is_one() -> None:
    call = JobCall("rollback", "w/made.yaml", None, "a.1", options={"to": "3", "why": "it = bad"})
    assert "--partition" not in call.arguments
    assert call.arguments[-4:] == ["--option", "to=3", "--option", "why=it = bad"]


def test_connect_keeps_credentials_out_of_the_arguments(connection: Any) -> None:
    connection(
        "spark_connect",
        {"conn_type": "spark_connect", "host": "spark", "port": 443, "password": "t0ken", "extra": {"use_ssl": "true"}},
    )
    command = command_of("connect")
    assert command.environment == {"SPARK_REMOTE": "sc://spark:443/;token=t0ken;use_ssl=true"}
    assert not [argument for argument in command.arguments if "t0ken" in argument]


@pytest.mark.parametrize(
    ("value", "master"),
    [
        ({"conn_type": "spark", "host": "local[2]"}, "local[2]"),
        ({"conn_type": "spark", "host": "spark://m1", "port": 7077}, "spark://m1:7077"),
        ({"conn_type": "spark", "host": "spark://m1:7077,m2:7077"}, "spark://m1:7077,m2:7077"),
        ("spark://m1:7077", "spark://m1:7077"),
        ({"conn_type": "spark", "host": "yarn"}, "yarn"),
        ({"conn_type": "spark", "host": "k8s://https://api", "port": 6443}, "k8s://https://api:6443"),
    ],
)
def test_submit_takes_its_master_from_the_connection(connection: Any, value: Any, master: str) -> None:
    connection("spark_default", value)
    arguments = command_of("submit").arguments
    assert arguments[arguments.index("--master") + 1] == master


@pytest.mark.parametrize("value", [{"conn_type": "spark"}, {"conn_type": "http", "host": "local"}])
def test_submit_refuses_a_connection_that_names_no_master(connection: Any, value: Any) -> None:
    connection("spark_default", value)
    with pytest.raises(ConnectionRefused, match=r"'spark_default' .*no Spark master; give it a master"):
        command_of("submit")


def test_submit_refuses_the_form_that_airflow_cannot_read(connection: Any) -> None:
    connection("spark_default", "spark://local[2]")
    with pytest.raises(ConnectionRefused, match="does not exist or cannot be read; give it a master"):
        command_of("submit")


def test_submit_refuses_a_driver_that_would_outlive_its_task(connection: Any) -> None:
    connection("spark_default", {"conn_type": "spark", "host": "yarn", "extra": {"deploy-mode": "cluster"}})
    with pytest.raises(ConnectionRefused, match="asks for the deploy mode 'cluster'"):
        command_of("submit")


@pytest.mark.parametrize("backend", ["connect", "submit"])
def test_a_missing_connection_is_refused(connection: Any, backend: str) -> None:
    with pytest.raises(ConnectionRefused, match="does not exist or cannot be read; give it a"):
        command_of(backend)


SECRET = "pa=ss: #word! \\ü"
EXTRA = {
    "jars": ["/a.jar", "/b.jar"],
    "conf": {"spark.hadoop.fs.s3a.secret.key": SECRET, "spark.executor.memory": "2g"},
}


def test_submit_brings_delta_and_what_the_connection_adds(connection: Any) -> None:
    connection("spark_default", {"conn_type": "spark", "host": "yarn", "extra": EXTRA})
    properties = command_of("submit").properties
    assert properties.items() > {**EXTRA["conf"], "spark.jars": "/a.jar,/b.jar"}.items()
    assert properties["spark.sql.extensions"] == "io.delta.sql.DeltaSparkSessionExtension"


OURS = {"spark.jars": "/delta-spark_1.jar,/delta-storage.jar", "spark.sql.extensions": "Delta", "spark.x": "ours"}


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ({}, OURS),
        ({"jars": ["/a.jar"]}, OURS | {"spark.jars": f"{OURS['spark.jars']},/a.jar"}),
        ({"conf": {"spark.jars": "/b.jar", "spark.x": 1}, "jars": ["/a.jar"]},
         OURS | {"spark.jars": f"{OURS['spark.jars']},/a.jar,/b.jar", "spark.x": "1"}),
        ({"jars": ["/delta-spark_2.jar"]}, OURS | {"spark.jars": "/delta-spark_2.jar"}),
        ({"conf": {"spark.sql.extensions": "Sedona,Delta"}}, OURS | {"spark.sql.extensions": "Delta,Sedona"}),
        ({"jars": "/a.jar, /b.jar"}, OURS | {"spark.jars": f"{OURS['spark.jars']},/a.jar,/b.jar"}),
        ({"conf": {"spark.jars": ""}}, OURS),
        ({"jars": ["/delta-spark_tools/a.jar"]},
         OURS | {"spark.jars": f"{OURS['spark.jars']},/delta-spark_tools/a.jar"}),
        ({"conf": {"spark.jars.packages": "io.delta:delta-spark_2.13:4.0.0"}},
         {name: value for name, value in OURS.items() if name != "spark.jars"}
         | {"spark.jars.packages": "io.delta:delta-spark_2.13:4.0.0"}),
    ],
)  # fmt: skip
def test_what_the_connection_adds_stands_beside_delta(
    monkeypatch: pytest.MonkeyPatch, extra: dict[str, Any], expected: dict[str, str]
) -> None:
    own = {name: value for name, value in OURS.items() if name != "spark.jars"}
    monkeypatch.setattr(submit, "delta_settings", lambda *_: own)
    monkeypatch.setattr(submit, "delta_sources", lambda *_: {"spark.jars": OURS["spark.jars"]})
    assert submit.configuration(extra) == {**expected, "spark.log.level": "WARN"}


S3 = {"MUSTER_STORE": "s3://lake", "AWS_ENDPOINT_URL": "https://store", "AWS_SECRET_ACCESS_KEY": SECRET}


@pytest.fixture
def on_s3(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store on S3; the log store's jar, which the home has, is returned."""
    for name, value in S3.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    jar = log_store_jar(home)
    jar.parent.mkdir(parents=True)
    jar.touch()
    return jar


def test_submit_brings_what_a_store_on_s3_needs_and_no_keys(on_s3: Path) -> None:
    properties = submit.configuration({"jars": ["/a.jar"]})
    assert properties["spark.jars"] == f"{on_s3},/a.jar"
    assert [name.split(":")[1] for name in properties["spark.jars.packages"].split(",")][:3] == [
        "delta-spark_4.2_2.13",
        "hadoop-aws",
        "s3",
    ]
    assert "software.amazon.awssdk:bundle" in properties["spark.jars.excludes"]
    assert properties["spark.hadoop.fs.s3a.endpoint"] == "https://store"
    assert properties["spark.delta.logStore.s3.impl"] == "muster.ConditionalLogStore"
    assert "pa=ss" not in json.dumps(properties)


def test_a_connector_of_the_connections_own_takes_the_place_of_ours(on_s3: Path) -> None:
    properties = submit.configuration({"jars": ["/opt/hadoop-aws-3.5.1.jar"]})
    assert properties["spark.jars"] == f"{on_s3},/opt/hadoop-aws-3.5.1.jar"
    assert properties["spark.jars.packages"] == "io.delta:delta-spark_4.2_2.13:4.4.0"


def test_without_its_log_store_nothing_is_submitted_to_s3_but_with_one_of_the_connections_own(on_s3: Path) -> None:
    on_s3.unlink()
    with pytest.raises(NoLogStore, match=r"loses commits: run \./muster up once"):
        submit.configuration({})
    own = dict.fromkeys(LOG_STORE_SETTINGS, "com.example.LogStore")
    assert submit.configuration({"conf": own}).items() > own.items()


def test_python_files_of_the_connection_go_beside_musters_own_code(connection: Any) -> None:
    """An argument takes the place of the setting of the same meaning."""
    extra = {"conf": {"spark.submit.pyFiles": "/a.py,/b.zip", "spark.files": "/c.txt"}}
    connection("spark_default", {"conn_type": "spark", "host": "yarn", "extra": extra})
    command = command_of("submit")
    code, *others = command.arguments[command.arguments.index("--py-files") + 1].split(",")
    assert (re.fullmatch(r".*/muster-[0-9a-f]{12}\.zip", code) is not None, others) == (True, ["/a.py", "/b.zip"])
    assert command.properties["spark.files"] == "/c.txt"


def test_submit_keeps_the_configuration_out_of_the_arguments(connection: Any, tmp_path: Path) -> None:
    connection("spark_default", {"conn_type": "spark", "host": "yarn", "extra": EXTRA})
    command = command_of("submit")
    with configured(command, tmp_path / "submit") as arguments:
        (file,) = (tmp_path / "submit").iterdir()
        assert arguments[:4] == [command.arguments[0], "--properties-file", str(file), "--load-spark-defaults"]
        assert arguments[4:] == command.arguments[1:]
        assert not [text for text in (*arguments, repr(command)) if "pa=ss" in text or "--conf" in text]
        assert (stat.S_IMODE(file.stat().st_mode), stat.S_IMODE(file.parent.stat().st_mode)) == (0o600, 0o700)
    assert not list((tmp_path / "submit").iterdir())


def test_executors_of_a_cluster_are_told_where_the_database_is_and_sparks_pages_do_not_show_it(connection: Any) -> None:
    name, address = "MUSTER_CONNECTION_ORDERS_DB", "postgresql://ann:s3cret@db/x"
    call = replace(JOB, environment={name: address, "MLFLOW_TRACKING_URI": "http://m"})
    connection("spark_default", {"conn_type": "spark", "host": "yarn", "extra": {"conf": {REDACTION: "(?i)mine|own"}}})
    command = command_of("submit", call)
    told = {key: value for key, value in command.properties.items() if "executorEnv" in key or value == address}
    assert told == {f"spark.executorEnv.{name}": address}
    assert "s3cret" not in repr(command) + repr(call)
    hidden = re.compile(command.properties[REDACTION].replace("(?:(?i)", "(?i:"))  # as Python writes it
    assert [bool(hidden.search(key)) for key in (*told, "spark.MINE", "spark.x")] == [True, True, False]
    connection("spark_default", {"conn_type": "spark", "host": "local[2]"})
    assert not {f"spark.executorEnv.{name}", REDACTION} & command_of("submit", call).properties.keys()


def test_the_configuration_is_removed_when_the_job_breaks(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError), configured(Command(["job"], properties={"a": "b"}), tmp_path) as arguments:
        Path(arguments[2]).touch(exist_ok=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_what_a_killed_process_left_is_swept_and_what_is_in_use_stays(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from muster_airflow.backends.command import Command\n"
        "from muster_airflow.backends.properties import configured\n"
        "with configured(Command(['job'], properties={'a': 'b'}), Path(sys.argv[1])): os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False).returncode == -signal.SIGKILL
    (leftover,) = tmp_path.iterdir()
    with configured(Command(["job"], properties={"a": "1"}), tmp_path) as first:
        assert not leftover.exists()
        with configured(Command(["job"], properties={"a": "2"}), tmp_path) as second:
            assert {Path(arguments[2]) for arguments in (first, second)} == set(tmp_path.iterdir())


@pytest.mark.slow
def test_spark_reads_the_configuration_as_it_was_meant_and_its_own_defaults_too(
    connection: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "spark-defaults.conf").write_text("spark.executor.memory 1g\nspark.executor.cores 3\n")
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
    script = tmp_path / "print_conf.py"
    script.write_text(
        "import json, psutil\nfrom pyspark.java_gateway import launch_gateway\n"
        "properties = {pair._1(): pair._2() for pair in launch_gateway().jvm.org.apache.spark.SparkConf().getAll()}\n"
        "lines = [' '.join(process.info['cmdline'] or []) for process in psutil.process_iter(['cmdline'])]\n"
        "properties['listed'] = [line for line in lines if properties['spark.hadoop.fs.s3a.secret.key'] in line]\n"
        "print('CONF', json.dumps(properties))\n"
    )
    connection("spark_default", {"conn_type": "spark", "host": "local[1]", "extra": {"conf": EXTRA["conf"]}})
    command = command_of("submit", replace(JOB, job=str(script)))
    with configured(command, tmp_path / "submit") as arguments:
        started = subprocess.run(
            arguments, env={**os.environ, **command.environment}, capture_output=True, text=True, check=True
        )
    (properties,) = (json.loads(line[5:]) for line in started.stdout.splitlines() if line.startswith("CONF"))
    assert properties.items() > {**EXTRA["conf"], "spark.executor.cores": "3", "listed": []}.items()


def test_executors_get_todays_code_as_one_zip_made_once(tmp_path: Path) -> None:
    first = packed_code(tmp_path)
    modified = first.stat().st_mtime_ns
    assert {"muster/settings/__init__.py", "muster/training/bins.py", "muster_jobs/job.py"} < set(
        zipfile.ZipFile(first).namelist()
    )
    assert packed_code(tmp_path) == first
    assert first.stat().st_mtime_ns == modified
