"""With Docker, images are started as SageMaker starts them, and nothing of them remains."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.store import Store
from tests.conftest import clean_environment, wait_until
from tests.container.engine import docker, image_under_test
from tests.local.conftest import (
    BODY,
    LocalSageMaker,
    aws_environment,
    create_configuration,
    create_endpoint,
    delete_endpoint,
    error_of,
    local_sagemaker,
    settle,
    start_local,
)
from tests.local.test_training_jobs import request, wait_for_end

pytestmark = pytest.mark.docker


@pytest.fixture(name="image", scope="module")
def _image() -> str:
    return image_under_test()


@pytest.fixture(name="local", scope="module")
def _local(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSageMaker]:
    assert image
    with local_sagemaker(tmp_path_factory.mktemp("docker"), runtime="docker") as local:
        yield local
        assert local.stop() == 0
    assert containers(local) == []
    assert "Traceback" not in local.log.read_text()


@pytest.fixture(name="model_url")
def _model_url(store_path: Path) -> str:
    return f"file://{Store(store_path).resolve()}"


def containers(local: LocalSageMaker) -> list[str]:
    """Return the containers of a service, also those that have ended."""
    owner = (local.root / "owner").read_text()
    listed = docker("ps", "--all", "--quiet", "--filter", f"label=io.segserve.local={owner}").stdout
    return listed.split()


def test_an_endpoint_runs_the_image_as_sagemaker_does(
    local: LocalSageMaker, sagemaker: Any, runtime: Any, image: str, model_url: str, name: str
) -> None:
    import json

    before = set(containers(local))
    described = create_endpoint(sagemaker, name, model_url, image=image)
    (container,) = set(containers(local)) - before
    inspected = json.loads(docker("inspect", container).stdout)[0]
    answer = runtime.invoke_endpoint(EndpointName=name, Body=BODY)["Body"].read()
    delete_endpoint(sagemaker, name)

    assert described["EndpointStatus"] == "InService", described.get("FailureReason")
    assert answer == b"[2, 1]"
    assert inspected["Args"][-1] == "serve"
    assert [(mount["Destination"], mount["RW"]) for mount in inspected["Mounts"]] == [
        ("/opt/ml/model", False)
    ]
    assert {binding["HostIp"] for binding in inspected["NetworkSettings"]["Ports"]["8080/tcp"]} == {
        "127.0.0.1"
    }
    assert set(containers(local)) == before


def test_an_image_that_is_not_there_fails_the_endpoint_and_spares_the_one_that_serves(
    sagemaker: Any, runtime: Any, image: str, model_url: str, name: str
) -> None:
    create_endpoint(sagemaker, name, model_url, image=image)
    create_configuration(sagemaker, f"{name}-bad", model_url, image="localhost/no-such-image:1")
    sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=f"{name}-bad")
    described = settle(sagemaker, name)
    answer = runtime.invoke_endpoint(EndpointName=name, Body=BODY)["Body"].read()

    assert described["EndpointStatus"] == "InService"
    assert "Requested image localhost/no-such-image:1 not found" in described["FailureReason"]
    assert answer == b"[2, 1]"
    delete_endpoint(sagemaker, name)


def test_a_training_job_runs_the_image_on_its_tree(
    sagemaker: Any, image: str, sample_path: Path, tmp_path: Path, name: str
) -> None:
    algorithm = {
        "TrainingImage": image,
        "TrainingInputMode": "File",
        "MetricDefinitions": [{"Name": "silhouette", "Regex": "silhouette=([0-9.]+);"}],
    }
    sagemaker.create_training_job(
        **request(
            name,
            f"file://{sample_path}",
            AlgorithmSpecification=algorithm,
            OutputDataConfig={"S3OutputPath": f"file://{tmp_path}"},
            EnableNetworkIsolation=True,
        )
    )
    job = wait_for_end(sagemaker, name)

    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert job["FinalMetricDataList"][0]["Value"] > 0
    assert (tmp_path / name / "output" / "model.tar.gz").is_file()


def test_a_service_that_is_killed_leaves_no_container(
    image: str, model_url: str, tmp_path: Path, name: str
) -> None:
    local = start_local(tmp_path, runtime="docker")
    sagemaker = local.client("sagemaker")
    create_endpoint(sagemaker, name, model_url, image=image, InitialInstanceCount=2)
    sagemaker.close()
    assert len(containers(local)) == 2
    os.kill(local.process.pid, signal.SIGKILL)
    local.process.wait()

    wait_until(lambda: containers(local) == [], what="the end of the containers")


def test_without_an_engine_the_other_runtime_is_named(tmp_path: Path) -> None:
    import sys

    nowhere = aws_environment(DOCKER_HOST=f"unix://{tmp_path}/no.sock")
    done = subprocess.run(
        [sys.executable, "-m", "service", "local", "up", "--port", "0", "--state", str(tmp_path / "state")],
        env=clean_environment() | nowhere,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert done.stderr.startswith("Error: no Docker engine answers: start it, or choose --runtime process")


def test_errors_of_the_container_reach_the_caller(
    sagemaker: Any, runtime: Any, image: str, model_url: str, name: str
) -> None:
    create_endpoint(sagemaker, name, model_url, image=image)
    error = error_of(lambda: runtime.invoke_endpoint(EndpointName=name, Body=b"[[25, -1]]"), runtime)

    assert (error["Code"], error["Status"], error["OriginalStatusCode"]) == ("ModelError", 424, 400)
    delete_endpoint(sagemaker, name)
