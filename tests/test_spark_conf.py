"""How Spark is told where the store is: by the variables that everything else reads, and without a secret."""

from __future__ import annotations

import json

import pytest

from muster.spark_conf import PlainEndpoint, merged, store_configuration

KEYS = {"AWS_ACCESS_KEY_ID": "hidden-1", "AWS_SECRET_ACCESS_KEY": "hidden-2", "AWS_SESSION_TOKEN": "hidden-3"}


def told(**environ: str) -> dict[str, str]:
    """Return what a store on S3 says of its place, beside what it always says."""
    always = store_configuration("s3://lake/a", {})
    return {
        name.removeprefix("spark.hadoop.fs.s3a."): value
        for name, value in store_configuration("s3://lake/a", environ).items()
        if name not in always
    }


@pytest.mark.parametrize(
    "root", ["/srv/store", "abfss://lake@account.dfs.core.windows.net/a", "gs://lake", "s3a://lake"]
)
def test_nothing_is_told_of_other_stores(root: str) -> None:
    assert store_configuration(root, {"AWS_ENDPOINT_URL": "http://store", **KEYS}) == {}


def test_amazons_own_needs_its_region_only() -> None:
    assert told() == {}
    assert (
        told(AWS_REGION="eu-central-1")
        == told(AWS_DEFAULT_REGION="eu-central-1")
        == {"endpoint.region": "eu-central-1"}
    )


def test_another_service_is_asked_by_path_and_has_a_region_if_only_by_name() -> None:
    place = {"endpoint": "https://store:9000", "path.style.access": "true"}
    assert told(AWS_ENDPOINT_URL="https://store:9000") == {**place, "endpoint.region": "us-east-1"}
    assert told(AWS_ENDPOINT_URL="https://store:9000", AWS_REGION="here") == {**place, "endpoint.region": "here"}


@pytest.mark.parametrize("allowed", ["", "false", "no"])
def test_what_is_not_encrypted_has_to_be_meant(allowed: str) -> None:
    with pytest.raises(PlainEndpoint, match="'http://store' is not encrypted: use https, or set AWS_ALLOW_HTTP=true"):
        told(AWS_ENDPOINT_URL="http://ann:hidden@store", AWS_ALLOW_HTTP=allowed)
    assert told(AWS_ENDPOINT_URL="http://store", AWS_ALLOW_HTTP="true")["endpoint"] == "http://store"


def test_no_key_is_in_it() -> None:
    configuration = store_configuration("s3://lake", {"AWS_REGION": "here", **KEYS})
    assert "hidden" not in json.dumps(configuration)


def test_of_a_setting_the_last_counts_and_lists_are_joined() -> None:
    first, second = {"spark.jars": "/a.jar,/b.jar", "spark.x": "1"}, {"spark.jars": "/b.jar, /c.jar", "spark.x": "2"}
    assert merged(first, second) == {"spark.jars": "/a.jar,/b.jar,/c.jar", "spark.x": "2"}
