"""What was created survives a restart; what was started does not survive the service."""

import json
import os
import signal
from pathlib import Path
from typing import Any

from service.store import Store
from tests.conftest import is_running, wait_until
from tests.local.conftest import (
    BODY,
    LocalSageMaker,
    create_endpoint,
    descendants,
    local_sagemaker,
    settle,
    start_local,
)


def file_url(store_path: Path) -> str:
    return f"file://{Store(store_path).resolve()}"


def ask(local: LocalSageMaker, name: str) -> bytes:
    runtime = local.client("sagemaker-runtime")
    body: bytes = runtime.invoke_endpoint(EndpointName=name, Body=BODY)["Body"].read()
    runtime.close()
    return body


def test_endpoints_are_in_service_again_after_a_restart(tmp_path: Path, store_path: Path) -> None:
    with local_sagemaker(tmp_path) as local:
        sagemaker = local.client("sagemaker")
        before = create_endpoint(sagemaker, "Keep", file_url(store_path))
        sagemaker.add_tags(ResourceArn=before["EndpointArn"], Tags=[{"Key": "a", "Value": "b"}])
        sagemaker.delete_endpoint_config(EndpointConfigName="Keep")
        sagemaker.delete_model(ModelName="Keep")
        sagemaker.close()
        children = descendants(local.process.pid)
        assert local.stop() == 0
    assert children
    assert not [pid for pid in children if is_running(pid)]

    with local_sagemaker(tmp_path) as local:
        sagemaker = local.client("sagemaker")
        first = sagemaker.describe_endpoint(EndpointName="Keep")
        after = settle(sagemaker, "Keep")
        answer = ask(local, "Keep")
        tags = sagemaker.list_tags(ResourceArn=after["EndpointArn"])["Tags"]
        sagemaker.close()

    assert first["EndpointStatus"] in {"SystemUpdating", "InService"}  # it may be fast
    assert after["EndpointStatus"] == "InService"
    assert after["CreationTime"] == before["CreationTime"]
    assert tags == [{"Key": "a", "Value": "b"}]
    assert answer == b"[2, 1]"


def test_a_state_that_asks_for_too_many_instances_does_not_bring_them_up(
    tmp_path: Path, store_path: Path
) -> None:
    """It may stem from before there was a limit, or from another hand."""
    with local_sagemaker(tmp_path) as local:
        sagemaker = local.client("sagemaker")
        create_endpoint(sagemaker, "many", file_url(store_path))
        sagemaker.close()
        assert local.stop() == 0
        (path,) = local.root.glob("resources/*/endpoint/many.json")
    record = json.loads(path.read_text())
    record["plan"]["variants"][0]["count"] = 9
    path.write_text(json.dumps(record))

    with local_sagemaker(tmp_path) as local:
        sagemaker = local.client("sagemaker")
        described = settle(sagemaker, "many")
        sagemaker.close()

    assert described["EndpointStatus"] == "Failed"
    assert "at most 8 instances" in described["FailureReason"]


def test_a_service_that_is_killed_leaves_no_process(tmp_path: Path, store_path: Path) -> None:
    local = start_local(tmp_path)
    sagemaker = local.client("sagemaker")
    create_endpoint(sagemaker, "one", file_url(store_path), InitialInstanceCount=2)
    start_training(sagemaker, "stuck", store_path)
    sagemaker.close()
    children = descendants(local.process.pid)
    assert len(children) >= 4  # an instance and its guardian, twice
    os.kill(local.process.pid, signal.SIGKILL)
    local.process.wait()

    wait_until(lambda: not any(is_running(pid) for pid in children), what="the end of what it had started")
    with local_sagemaker(tmp_path) as again:
        sagemaker = again.client("sagemaker")
        job = sagemaker.describe_training_job(TrainingJobName="stuck")
        described = settle(sagemaker, "one")
        sagemaker.close()
        assert ask(again, "one") == b"[2, 1]"
    assert described["EndpointStatus"] == "InService"
    assert job["TrainingJobStatus"] in {"Failed", "Completed"}


def start_training(sagemaker: Any, name: str, store_path: Path) -> None:
    """Start a job that is still running when the service is killed, or has just ended."""
    from service.training.sample import write_sample

    data = store_path.parent / f"{store_path.name}-data" / "customers.csv"
    data.parent.mkdir(exist_ok=True)
    write_sample(data)
    sagemaker.create_training_job(
        TrainingJobName=name,
        RoleArn="arn:aws:iam::123456789012:role/segserve",
        AlgorithmSpecification={"TrainingImage": "segserve", "TrainingInputMode": "File"},
        InputDataConfig=[
            {
                "ChannelName": "train",
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"file://{data}"}},
            }
        ],
        OutputDataConfig={"S3OutputPath": f"file://{store_path.parent}/out"},
        ResourceConfig={"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 600},
    )
