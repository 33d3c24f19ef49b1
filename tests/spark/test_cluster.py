"""On a standalone cluster of two workers, one of which dies in mid-job: every customer is scored once."""

import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import clean_environment, wait_until
from tests.customers import rows, write
from tests.spark.conftest import SHORT_LIVED

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = (
    "spark.ui.enabled=false",
    "spark.driver.bindAddress=127.0.0.1",
    "spark.driver.host=127.0.0.1",
    "spark.executor.memory=512m",
    f"spark.driver.extraJavaOptions={SHORT_LIVED}",
    f"spark.executor.extraJavaOptions={SHORT_LIVED}",
    "spark.sql.shuffle.partitions=2",
    "spark.sql.files.minPartitionNum=24",
    "spark.sql.files.openCostInBytes=100",
    "spark.network.timeout=60s",
    "spark.log.level=ERROR",
)


def start(folder: Path, name: str, *arguments: str) -> tuple[subprocess.Popen[bytes], Path]:
    """Start a master or a worker in a process group of its own; its executors belong to it."""
    pyspark = pytest.importorskip("pyspark")
    home = Path(str(pyspark.__file__)).parent
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [home / "bin" / "spark-class", f"org.apache.spark.deploy.{arguments[0]}", *arguments[1:]],
            env=clean_environment(
                SPARK_HOME=str(home),
                SPARK_DAEMON_JAVA_OPTS=SHORT_LIVED,
                SPARK_DAEMON_MEMORY="256m",
                SPARK_LOCAL_IP="127.0.0.1",
                SPARK_NO_DAEMONIZE="1",
            ),
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return process, log


def kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(30)


@pytest.fixture(name="cluster")
def _cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """Provide the address of a master, and its two workers of one core each."""
    master, log = start(
        tmp_path, "master", "master.Master", "--host", "127.0.0.1", "--port", "0", "--webui-port", "0"
    )
    started = [master]
    try:
        wait_until(lambda: "Starting Spark master at " in log.read_text(), what="the master", deadline_s=240)
        address = log.read_text().split("Starting Spark master at ")[1].split()[0]
        logs = []
        for number in range(2):
            worker, worker_log = start(
                tmp_path,
                f"worker-{number}",
                *("worker.Worker", address, "--host", "127.0.0.1", "--webui-port", "0"),
                *("--cores", "1", "--memory", "600m", "--work-dir", str(tmp_path / f"work-{number}")),
            )
            started.append(worker)
            logs.append(worker_log)
        wait_until(
            lambda: all("Successfully registered" in one.read_text() for one in logs),
            what="the workers",
            deadline_s=240,
        )
        yield address, started[1:]
    finally:
        for process in started:
            kill(process)


def submit(folder: Path, address: str, *arguments: str) -> subprocess.Popen[str]:
    """Run a command by spark-submit, with the arguments that PySparkProcessor passes on."""
    pyspark = pytest.importorskip("pyspark")
    settings = (part for one in SETTINGS for part in ("--conf", one))
    return launch(
        folder,
        *(str(Path(str(pyspark.__file__)).parent / "bin" / "spark-submit"), "--master", address),
        *(*settings, str(ROOT / "examples" / "spark_job.py")),
        *(*arguments, "--engine", "spark"),
    )


def launch(folder: Path, *command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        cwd=folder,
        env=clean_environment(
            PYSPARK_PYTHON=sys.executable, SERVICE_PREFIX=str(folder / "ml"), SPARK_LOCAL_IP="127.0.0.1"
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    output, error = process.communicate(timeout=600)
    assert process.returncode == 0, error[-2000:]
    return output


def run(folder: Path, *arguments: str) -> str:
    return finish(launch(folder, sys.executable, "-m", "service", *arguments))


def read(*paths: Path) -> list[list[str]]:
    found: list[list[str]] = []
    for path in paths:
        with path.open(newline="") as file:
            found += [*csv.reader(file)][1:]
    return sorted(found)


@pytest.mark.timeout(1500)
def test_a_worker_killed_in_mid_job_doubles_nothing(
    tmp_path: Path, cluster: tuple[str, list[subprocess.Popen[bytes]]]
) -> None:
    address, workers = cluster
    write(tmp_path / "customers.csv", rows(8000))
    local = json.loads(run(tmp_path, "train", "customers.csv", "--k", "4", "--json"))
    usual = json.loads(run(tmp_path, "score", "customers.csv", "-o", "local.csv", "--json"))
    folder = tmp_path / "scored"

    process = submit(tmp_path, address, "score", "customers.csv", "-o", "scored", "--json")
    tasks = "_temporary/0/task_*"
    wait_until(
        lambda: len([*folder.glob(tasks)]) >= 3 or process.poll() is not None,
        what="the first parts",
        deadline_s=600,
    )
    kill(workers[0])
    was_running = not (folder / "_SUCCESS").exists() and process.poll() is None
    found = json.loads(finish(process))
    parts = [*folder.glob("part-*")]
    trained = json.loads(
        finish(submit(tmp_path, address, "train", "customers.csv", "--k", "4", "--json", "--store", "other"))
    )

    assert was_running
    assert len(parts) > 20
    assert {**found, "output": usual["output"]} == usual
    assert read(*parts) == read(tmp_path / "local.csv")
    assert trained["digest"] == local["digest"]
