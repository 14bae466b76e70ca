"""A job that is submitted to a cluster, with its store on S3: executors elsewhere, that see nothing of the driver's."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from deltalake import DeltaTable

from muster.settings import settings
from muster.storage.files import Files
from muster_airflow.backends.properties import configured
from muster_airflow.backends.protocol import JobCall
from muster_airflow.backends.submit import SubmitBackend
from muster_local.environment import environment
from muster_local.jars import ensure_jars
from muster_local.log_store import ensure_log_store
from tests.cluster import Cluster, connection
from tests.object_store import SECRET, ObjectStore
from tests.shared import bring_jars

pytestmark = [pytest.mark.spark, pytest.mark.slow]

SCRIPT = """
from pyspark.sql import SparkSession

def placed(batches):
    import os
    import pyarrow as pa
    from muster.storage.files import Files
    files = Files({root!r})
    for batch in batches:
        for number in batch.column(0).to_pylist():
            files.put(f"made/{{number}}", os.getcwd().encode())
        yield batch.append_column("place", pa.array([os.getcwd()] * batch.num_rows))

spark = SparkSession.builder.getOrCreate()
rows = spark.range(0, 4, 1, 2).mapInArrow(placed, "id long, place string").selectExpr("*", "id % 2 AS half")
rows.write.format("delta").partitionBy("half").save({table!r})
again = rows.where("half = 0").selectExpr("id + 100 AS id", "place", "half")
again.write.format("delta").mode("overwrite").option("replaceWhere", "half = 0").save({table!r})
assert spark.read.format("delta").option("versionAsOf", 0).load({table!r}).count() == 4

from pathlib import Path
from urllib.request import urlopen
page = f"{{spark.sparkContext.uiWebUrl}}/api/v1/applications/{{spark.sparkContext.applicationId}}/environment"
Path({page!r}).write_bytes(urlopen(page).read())
"""


def test_driver_and_executors_reach_the_store_wherever_they_work(
    home: Path,
    tmp_path: Path,
    spark_cluster: Cluster,
    object_store: ObjectStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = object_store.root("submitted")
    named = connection(spark_cluster, tmp_path / "scratch", executors=2)
    named["extra"]["conf"] |= {"spark.ui.enabled": "true", "spark.ui.port": "0"}
    spark_default = json.dumps(named)
    variables = {**object_store.environment, "MUSTER_STORE": root, "AIRFLOW_CONN_SPARK_DEFAULT": spark_default}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    env = environment(settings())
    bring_jars(home, root)
    ensure_jars(home, env, root)
    ensure_log_store(home, env)
    script, page, table = tmp_path / "script.py", tmp_path / "environment.json", f"{root}/table"
    script.write_text(SCRIPT.format(table=table, root=root, page=str(page)))
    call = JobCall("train", "w/made.yaml", "2024-02-05", "a.1", job=str(script))
    command = SubmitBackend().command(call, tmp_path / "result.json")
    with configured(command, tmp_path / "submit") as arguments:
        assert SECRET not in " ".join(map(str, arguments))
        started = {**os.environ, **env, **command.environment}
        done = subprocess.run(arguments, env=started, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    assert SECRET not in done.stdout + done.stderr
    shown = page.read_text()
    assert "spark.executorEnv.AWS_SECRET_ACCESS_KEY" in shown
    assert SECRET not in shown
    written = DeltaTable(table).to_pyarrow_table().to_pylist()
    assert sorted(row["id"] for row in written) == [1, 3, 100, 102]
    assert {Files(root).read(f"made/{number}").decode() for number in range(4)} == {row["place"] for row in written}
    assert all(Path(row["place"]).is_relative_to(spark_cluster.settings.home) for row in written)
