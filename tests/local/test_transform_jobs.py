"""Transform jobs split objects, post the parts and assemble the answers."""

import gzip
from functools import partial
from pathlib import Path
from typing import Any

from tests.conftest import wait_until
from tests.local.conftest import ROLE, error_of

LINES = b"25,1250.0\n45,3000.5\n25,1250.0\n"


def request(name: str, source: str, target: str, **changes: Any) -> dict[str, Any]:
    """Return a request to transform CSV, line by line."""
    described = {
        "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": source}},
        "ContentType": "text/csv",
        "SplitType": "Line",
    }
    return {
        "TransformJobName": name,
        "ModelName": name,
        "TransformInput": described | changes.pop("TransformInput", {}),
        "TransformOutput": {"S3OutputPath": target, "Accept": "text/csv", "AssembleWith": "Line"},
        "TransformResources": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1},
        **changes,
    }


def create_model(sagemaker: Any, name: str, model_url: str) -> None:
    container = {"Image": "segserve", "ModelDataUrl": model_url}
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)


def wait_for_end(sagemaker: Any, name: str) -> Any:
    wait_until(
        lambda: (
            sagemaker.describe_transform_job(TransformJobName=name)["TransformJobStatus"]
            not in {"InProgress", "Stopping"}
        ),
        what=f"the job {name}",
    )
    return sagemaker.describe_transform_job(TransformJobName=name)


def read(s3: Any, key: str) -> bytes:
    content: bytes = s3.get_object(Bucket="bucket", Key=key)["Body"].read()
    return content


def keys(s3: Any, prefix: str) -> list[str]:
    return [found["Key"] for found in s3.list_objects_v2(Bucket="bucket", Prefix=prefix).get("Contents", [])]


def test_each_object_becomes_one_with_as_many_lines(
    sagemaker: Any, s3: Any, model_url: str, name: str
) -> None:
    create_model(sagemaker, name, model_url)
    s3.put_object(Bucket="bucket", Key=f"{name}/in/a.csv", Body=LINES)
    s3.put_object(Bucket="bucket", Key=f"{name}/in/deep/b.csv", Body=LINES * 1000)

    sagemaker.create_transform_job(
        **request(
            name,
            f"s3://bucket/{name}/in/",
            f"s3://bucket/{name}/out",
            BatchStrategy="MultiRecord",
            MaxPayloadInMB=1,
            MaxConcurrentTransforms=2,
        )
    )
    first = sagemaker.describe_transform_job(TransformJobName=name)
    job = wait_for_end(sagemaker, name)

    assert first["TransformJobStatus"] == "InProgress"
    assert job["TransformJobStatus"] == "Completed", job.get("FailureReason")
    assert job["TransformEndTime"] >= job["TransformStartTime"]
    assert keys(s3, f"{name}/out") == [f"{name}/out/a.csv.out", f"{name}/out/deep/b.csv.out"]
    assert read(s3, f"{name}/out/a.csv.out") == b"2\n1\n2\n"
    assert read(s3, f"{name}/out/deep/b.csv.out") == b"2\n1\n2\n" * 1000


def test_an_object_with_a_bad_record_has_no_output_and_fails_the_job(
    sagemaker: Any, s3: Any, model_url: str, name: str
) -> None:
    create_model(sagemaker, name, model_url)
    s3.put_object(Bucket="bucket", Key=f"{name}/in/a.csv", Body=LINES)
    s3.put_object(Bucket="bucket", Key=f"{name}/in/b.csv", Body=LINES + b"25,-1\n")

    sagemaker.create_transform_job(
        **request(name, f"s3://bucket/{name}/in/", f"s3://bucket/{name}/out", BatchStrategy="SingleRecord")
    )
    job = wait_for_end(sagemaker, name)

    assert job["TransformJobStatus"] == "Failed"
    assert "b.csv: the container answered 400" in job["FailureReason"]
    assert keys(s3, f"{name}/out") == [f"{name}/out/a.csv.out"]


def test_compressed_objects_and_files_of_this_machine_are_read(
    sagemaker: Any, model_url: str, tmp_path: Path, name: str
) -> None:
    create_model(sagemaker, name, model_url)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(LINES))

    sagemaker.create_transform_job(
        **request(
            name,
            f"file://{tmp_path}/a.csv.gz",
            f"file://{tmp_path}/out",
            TransformInput={"CompressionType": "Gzip"},
        )
    )
    job = wait_for_end(sagemaker, name)

    assert job["TransformJobStatus"] == "Completed", job.get("FailureReason")
    assert (tmp_path / "out" / "a.csv.gz.out").read_bytes() == b"2\n1\n2\n"


def test_a_model_that_does_not_start_fails_the_job(
    sagemaker: Any, s3: Any, bad_model_url: str, name: str
) -> None:
    create_model(sagemaker, name, bad_model_url)
    s3.put_object(Bucket="bucket", Key=f"{name}/in/a.csv", Body=LINES)

    sagemaker.create_transform_job(**request(name, f"s3://bucket/{name}/in/", f"s3://bucket/{name}/out"))
    job = wait_for_end(sagemaker, name)

    assert job["TransformJobStatus"] == "Failed"
    assert "ping health check" in job["FailureReason"]


def test_a_job_is_stopped_on_request(sagemaker: Any, s3: Any, model_url: str, name: str) -> None:
    create_model(sagemaker, name, model_url)
    s3.put_object(Bucket="bucket", Key=f"{name}/in/a.csv", Body=LINES * 5000)

    sagemaker.create_transform_job(
        **request(name, f"s3://bucket/{name}/in/", f"s3://bucket/{name}/out", BatchStrategy="SingleRecord")
    )
    sagemaker.stop_transform_job(TransformJobName=name)
    job = wait_for_end(sagemaker, name)

    assert job["TransformJobStatus"] == "Stopped"
    assert keys(s3, f"{name}/out") == []


def test_what_would_run_otherwise_than_on_aws_is_refused_by_name(
    sagemaker: Any, s3: Any, model_url: str, name: str
) -> None:
    assert s3 is not None
    create_model(sagemaker, name, model_url)
    for changes, named in (
        ({"TransformInput": {"SplitType": "RecordIO"}}, "SplitType RecordIO"),
        ({"DataProcessing": {"JoinSource": "Input"}}, "DataProcessing"),
        ({"MaxConcurrentTransforms": 30, "MaxPayloadInMB": 6}, "180"),
    ):
        document = request(name, "s3://bucket/x", "s3://bucket/y", **changes)
        error = error_of(partial(sagemaker.create_transform_job, **document), sagemaker)

        assert error["Code"] == "ValidationException"
        assert named in error["Message"]
