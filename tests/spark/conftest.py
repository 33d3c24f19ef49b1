"""Start one Spark for all tests of this folder; without pyspark they are skipped (make spark-test has it)."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

SHORT_LIVED = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""Of Java, whose second compiler does not pay off in a minute."""

SETTINGS = {
    "spark.master": "local[2]",
    "spark.driver.extraJavaOptions": SHORT_LIVED,
    "spark.ui.enabled": "false",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.sql.files.minPartitionNum": "4",
    "spark.sql.files.openCostInBytes": "1000",  # or small files are never divided
    "spark.sql.shuffle.partitions": "2",
    "spark.log.level": "OFF",
}


@pytest.fixture(name="spark", scope="session")
def _spark() -> Iterator[Any]:
    """Provide a session of two threads, with the settings that the commands give it."""
    if not os.environ.get("SEGSERVE_SPARK"):
        pytest.importorskip("pyspark", reason="make spark-test has pyspark")
    from pyspark.sql import SparkSession

    from service.training.spark.session import fix_settings

    builder = SparkSession.builder
    for key, value in SETTINGS.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    fix_settings(spark)
    yield spark
    spark.stop()
