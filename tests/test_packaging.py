"""What the wheel holds, and what it declares: compared with what its packages import, so that neither drifts."""

from __future__ import annotations

import ast
import re
import sys
import zipfile
from collections.abc import Mapping
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from muster.spark_conf import DELTA_VERSION
from muster_local import PROJECT
from tests import wheel

FOLDERS = {"muster": "include", "muster_jobs": "jobs", "muster_airflow": "plugins"}
PACKAGES = {name: PROJECT / folder / name for name, folder in FOLDERS.items()}
EXTRAS = {"muster": ["", "databricks"], "muster_jobs": ["", "spark"], "muster_airflow": ["", "airflow"]}
"""Package -> the extras (and what is always there) whose requirements it may import."""
SHARED = {
    "airflow.providers.apache.spark": "apache-airflow-providers-apache-spark",
    "airflow.providers.http": "apache-airflow-providers-http",
    "airflow.providers.slack": "apache-airflow-providers-slack",
    "airflow.providers.smtp": "apache-airflow-providers-smtp",
    "airflow.providers.standard": "apache-airflow-providers-standard",
    "airflow.providers": "another provider",
    "airflow": "apache-airflow",
    "databricks.sdk": "databricks-sdk",
    "mlflow": "mlflow",
    "pyspark": "pyspark",
}
"""Names that several distributions have a part of: whose it is that we ask for, the longest name first."""
MODELS = {"lightgbm": "lightgbm", "xgboost": "xgboost-cpu"}
"""Libraries that models may be of, and as what the lock has them: xgboost-cpu is xgboost without what GPUs need."""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's file."""
    return wheel.build(tmp_path_factory.mktemp("built"))


def requirements(file: Path) -> dict[str, list[Requirement]]:
    """Return what the wheel declares: by extra, and under "" what it always needs."""
    with zipfile.ZipFile(file) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        text = archive.read(name).decode()
    declared: dict[str, list[Requirement]] = {"": []}
    for line in re.findall(r"^Requires-Dist: (.*)$", text, re.MULTILINE):
        requirement = Requirement(line)
        [extra] = re.findall(r"extra == ['\"](\w+)['\"]", str(requirement.marker)) or [""]
        declared.setdefault(extra, []).append(requirement)
    return declared


def imported(package: str) -> set[str]:
    """Return the distributions that a package of ours imports anything of; of Airflow's providers, which one."""
    names = set()
    for file in PACKAGES[package].rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module)
    return {distribution(name) for name in names if name.split(".")[0] not in {*sys.stdlib_module_names, *PACKAGES}}


def distribution(module: str) -> str:
    """Return the distribution that a module comes from."""
    top = module.split(".")[0]
    shared = [name for space, name in SHARED.items() if module == space or module.startswith(f"{space}.")]
    if shared:
        return shared[0]
    [name] = set(owners()[top])
    return canonicalize_name(name)


@cache
def owners() -> Mapping[str, list[str]]:
    """Return the distributions that each top-level name comes from."""
    return packages_distributions()


def test_wheel_holds_every_file_of_its_packages_and_no_other(file: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    files = {
        f"{name}/{path.relative_to(folder)}"
        for name, folder in PACKAGES.items()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert held == files


@pytest.mark.parametrize("package", PACKAGES)
def test_what_a_package_imports_is_declared(file: Path, package: str) -> None:
    declared = requirements(file)
    names = {canonicalize_name(one.name) for extra in EXTRAS[package] for one in declared[extra]}
    assert imported(package) - names == set()


def test_what_is_declared_is_imported(file: Path) -> None:
    """But for what holds two others to one version of Spark, and the libraries that a workload alone names."""
    names = {canonicalize_name(one.name) for some in requirements(file).values() for one in some}
    assert names - {name for package in PACKAGES for name in imported(package)} == {
        "pyspark-client",
        "delta-spark",
        *MODELS,
    }


def test_ranges_begin_at_what_the_lock_pins(file: Path) -> None:
    lock = dict(re.findall(r"^([\w.-]+)(?:\[.*?\])?==(\S+)", (PROJECT / "requirements.txt").read_text(), re.MULTILINE))
    for one in (one for some in requirements(file).values() for one in some):
        pinned = lock[MODELS.get(one.name, canonicalize_name(one.name))]
        assert one.specifier.contains(pinned), one
        assert {part.version for part in one.specifier if part.operator in (">=", "==")} == {pinned}
        assert any(part.operator in ("<", "==") for part in one.specifier), one


def test_only_airflow_and_the_shell_load_muster_by_themselves(file: Path) -> None:
    """Any other program of the environment goes on as if Muster were not installed: MLflow's client, for one."""
    with zipfile.ZipFile(file) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/entry_points.txt")]
        groups = re.findall(r"^\[(.*)\]$", archive.read(name).decode(), re.MULTILINE)
    assert set(groups) == {"console_scripts", "airflow.plugins", "apache_airflow_provider"}


def test_one_version_of_spark_and_the_delta_of_our_jars(file: Path) -> None:
    declared = requirements(file)
    exact = {one.name: str(one.specifier) for extra in ("airflow", "spark") for one in declared[extra]}
    assert exact["pyspark"] == exact["pyspark-client"]
    assert exact["delta-spark"] == f"=={DELTA_VERSION}"
