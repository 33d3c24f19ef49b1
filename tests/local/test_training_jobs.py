"""Training jobs run the image on SageMaker's tree and store what it leaves."""

from functools import partial
from pathlib import Path
from typing import Any

from service.artifact import read_artifact
from tests.conftest import wait_until
from tests.local.conftest import BODY, ROLE, LocalSageMaker, create_endpoint, delete_endpoint, error_of


def request(name: str, data: str, **changes: Any) -> dict[str, Any]:
    """Return a request to train on some data."""
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": data}}
    return {
        "TrainingJobName": name,
        "RoleArn": ROLE,
        "AlgorithmSpecification": {
            "TrainingImage": "segserve",
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "silhouette", "Regex": r"^silhouette=([0-9.]+);"}],
        },
        "HyperParameters": {"k": "4"},
        "InputDataConfig": [{"ChannelName": "train", "DataSource": source}],
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/trained"},
        "ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        **changes,
    }


def wait_for_end(sagemaker: Any, name: str) -> Any:
    wait_until(
        lambda: (
            sagemaker.describe_training_job(TrainingJobName=name)["TrainingJobStatus"]
            not in {"InProgress", "Stopping"}
        ),
        what=f"the job {name}",
        deadline_s=120,
    )
    return sagemaker.describe_training_job(TrainingJobName=name)


def test_a_job_trains_a_model_that_an_endpoint_serves(
    sagemaker: Any, runtime: Any, s3: Any, sample_path: Path, tmp_path: Path, name: str
) -> None:
    s3.upload_file(str(sample_path), "bucket", f"{name}/in/customers.csv")

    sagemaker.create_training_job(**request(name, f"s3://bucket/{name}/in/"))
    first = sagemaker.describe_training_job(TrainingJobName=name)
    job = wait_for_end(sagemaker, name)

    assert first["TrainingJobStatus"] == "InProgress"
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Completed", job.get("FailureReason")
    moves = [move["Status"] for move in job["SecondaryStatusTransitions"]]
    assert moves == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    (metric,) = job["FinalMetricDataList"]
    assert metric["MetricName"] == "silhouette"
    assert 0 < metric["Value"] < 1
    url = job["ModelArtifacts"]["S3ModelArtifacts"]
    assert url == f"s3://bucket/trained/{name}/output/model.tar.gz"
    s3.download_file("bucket", f"trained/{name}/output/model.tar.gz", str(tmp_path / "model.tar.gz"))
    assert len(read_artifact(tmp_path / "model.tar.gz").model.centroids) == 4
    assert s3.head_object(Bucket="bucket", Key=f"trained/{name}/output/output.tar.gz")["ContentLength"] > 0

    create_endpoint(sagemaker, name, url)
    assert len(runtime.invoke_endpoint(EndpointName=name, Body=BODY)["Body"].read()) == len(b"[2, 1]")
    delete_endpoint(sagemaker, name)


def test_a_failure_file_is_the_reason_of_the_failure(sagemaker: Any, s3: Any, name: str) -> None:
    s3.put_object(Bucket="bucket", Key=f"{name}/in/customers.csv", Body=b"Age,Income\n1,2\n")

    sagemaker.create_training_job(**request(name, f"s3://bucket/{name}/in"))
    job = wait_for_end(sagemaker, name)

    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("AlgorithmError: ")
    assert "Purchases" in job["FailureReason"]
    assert job["FailureReason"].endswith("exit code: 1")
    assert "ModelArtifacts" not in job


def test_a_channel_without_an_object_fails_the_job(sagemaker: Any, s3: Any, name: str) -> None:
    assert s3 is not None
    sagemaker.create_training_job(**request(name, f"s3://bucket/{name}/nothing"))
    job = wait_for_end(sagemaker, name)

    assert job["TrainingJobStatus"] == "Failed"
    assert f"no object was found under s3://bucket/{name}/nothing" in job["FailureReason"]


def test_a_job_is_stopped_on_request_and_then_cannot_be_again(
    sagemaker: Any, s3: Any, sample_path: Path, name: str
) -> None:
    s3.upload_file(str(sample_path), "bucket", f"{name}/in/customers.csv")
    sagemaker.create_training_job(**request(name, f"s3://bucket/{name}/in/", HyperParameters={}))
    wait_until(
        lambda: sagemaker.describe_training_job(TrainingJobName=name)["SecondaryStatus"] == "Training",
        what="training",
    )
    sagemaker.stop_training_job(TrainingJobName=name)
    stopping = sagemaker.describe_training_job(TrainingJobName=name)
    job = wait_for_end(sagemaker, name)
    again = error_of(lambda: sagemaker.stop_training_job(TrainingJobName=name), sagemaker)

    assert stopping["TrainingJobStatus"] in {"Stopping", "Stopped"}
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Stopped"
    assert "is in status Stopped" in again["Message"]


def test_a_job_ends_when_its_time_is_over(sagemaker: Any, s3: Any, sample_path: Path, name: str) -> None:
    s3.upload_file(str(sample_path), "bucket", f"{name}/in/customers.csv")
    condition = {"MaxRuntimeInSeconds": 1}
    sagemaker.create_training_job(
        **request(name, f"s3://bucket/{name}/in/", HyperParameters={}, StoppingCondition=condition)
    )
    job = wait_for_end(sagemaker, name)

    assert job["TrainingJobStatus"] == "Stopped"
    assert job["SecondaryStatus"] == "MaxRuntimeExceeded"


def test_files_of_this_machine_stand_in_for_s3(
    sagemaker: Any, sample_path: Path, tmp_path: Path, name: str
) -> None:
    output = {"S3OutputPath": f"file://{tmp_path}"}

    sagemaker.create_training_job(**request(name, f"file://{sample_path}", OutputDataConfig=output))
    job = wait_for_end(sagemaker, name)

    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert len(read_artifact(tmp_path / name / "output" / "model.tar.gz").model.centroids) == 4


def test_what_would_run_otherwise_than_on_aws_is_refused_by_name(sagemaker: Any, name: str) -> None:
    pipe = {"TrainingImage": "segserve", "TrainingInputMode": "Pipe"}
    several = {"InstanceType": "ml.m5.xlarge", "InstanceCount": 2, "VolumeSizeInGB": 1}
    checkpoints = {"S3Uri": "s3://bucket/checkpoints"}
    for changes, named in (
        ({"AlgorithmSpecification": pipe}, "input mode Pipe"),
        ({"ResourceConfig": several}, "several instances"),
        ({"CheckpointConfig": checkpoints}, "CheckpointConfig"),
    ):
        document = request(name, "s3://bucket/x", **changes)
        error = error_of(partial(sagemaker.create_training_job, **document), sagemaker)

        assert error["Code"] == "ValidationException"
        assert named in error["Message"]
        assert "is not emulated by segserve local" in error["Message"]
    assert sagemaker.list_training_jobs(NameContains=name)["TrainingJobSummaries"] == []


def test_a_name_is_taken_until_the_job_is_deleted(
    local: LocalSageMaker, sagemaker: Any, sample_path: Path, tmp_path: Path, name: str
) -> None:
    document = request(name, f"file://{sample_path}", OutputDataConfig={"S3OutputPath": f"file://{tmp_path}"})
    sagemaker.create_training_job(**document)
    taken = error_of(lambda: sagemaker.create_training_job(**document), sagemaker)
    early = error_of(lambda: sagemaker.delete_training_job(TrainingJobName=name), sagemaker)
    wait_for_end(sagemaker, name)
    sagemaker.delete_training_job(TrainingJobName=name)
    gone = error_of(lambda: sagemaker.describe_training_job(TrainingJobName=name), sagemaker)
    elsewhere = local.client("sagemaker", region="eu-west-1")

    assert (taken["Code"], early["Code"], gone["Code"]) == (
        "ResourceInUse",
        "ResourceInUse",
        "ResourceNotFound",
    )
    assert elsewhere.list_training_jobs()["TrainingJobSummaries"] == []
    elsewhere.close()
