"""Deploy: what is made and named, made once, checked, and taken back when it fails."""

import json
import time
from pathlib import Path

import boto3
import pytest

from service.artifact import Artifact
from service.aws.names import tag_dict
from service.aws.smoke import smoke_of
from tests.aws.conftest import BUCKET, Segserve
from tests.aws.sagemaker import ACCOUNT, REGION, RefusalError, SageMaker


def objects(bucket: str = BUCKET) -> list[str]:
    return sorted(
        item["Key"] for item in boto3.client("s3").list_objects_v2(Bucket=bucket).get("Contents", [])
    )


def test_deploy_puts_a_version_into_service_and_says_what_it_costs(
    aws: SageMaker, deploy: Segserve, version: str, role: str
) -> None:
    result = deploy("--name", "shop")

    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"shop serves {version} (created), and answers as the model does\n")
    assert "runs on 1 x ml.m5.xlarge: $0.23 an hour, until it is deleted" in result.stdout
    assert "Creating" in result.stderr
    assert "InService" in result.stderr
    (config,) = aws.names()["EndpointConfig"]
    assert aws.names() == {"Model": [config], "EndpointConfig": [config], "Endpoint": ["shop"]}
    assert config.startswith(f"shop-{version}-")
    assert objects() == [f"segserve/models/{version}/model.tar.gz"]
    (model,) = aws.made("CreateModel")
    assert model["ExecutionRoleArn"] == role
    assert model["PrimaryContainer"]["Image"].startswith(
        f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/segserve@sha256:"
    )
    for arn, tags in aws.tags.items():
        assert tag_dict(tags)["managed-by"] == "segserve", arn
        assert tag_dict(tags)["segserve:version"] == version, arn


def test_deploy_twice_makes_nothing_twice(aws: SageMaker, deploy: Segserve, version: str) -> None:
    first = deploy("--json").document
    before = aws.names(), objects(), len(aws.made("UpdateEndpoint"))
    second = deploy("--json").document

    assert first["action"] == "created"
    assert second["action"] == "unchanged"
    assert second["version"] == version
    assert (aws.names(), objects(), len(aws.made("UpdateEndpoint"))) == before


def test_deploy_with_other_settings_updates_the_endpoint(aws: SageMaker, deploy: Segserve) -> None:
    deploy()
    result = deploy("--instances", "2", "--json").document

    assert result["action"] == "updated"
    assert result["hosting"] == "2 x ml.m5.xlarge"
    assert len(aws.names()["Endpoint"]) == 1
    assert len(aws.made("UpdateEndpoint")) == 1


def test_dry_run_prints_the_very_calls_that_are_then_made(aws: SageMaker, deploy: Segserve) -> None:
    planned = deploy("--dry-run", "--json", "--tag", "team=crm", "--ttl", "8h").document
    nothing = aws.names()
    deploy("--tag", "team=crm", "--ttl", "8h")
    operations = [call["operation"] for call in planned]
    made = {
        "create_model": aws.made("CreateModel")[0],
        "create_endpoint_config": aws.made("CreateEndpointConfig")[0],
        "create_endpoint": aws.made("CreateEndpoint")[0],
    }

    assert nothing == {}
    assert operations == ["create_bucket", "put_public_access_block", "put_object", *made]
    for call in planned[3:]:
        without_time = json.dumps(call["parameters"], sort_keys=True)[:200]
        assert without_time == json.dumps(made[call["operation"]], sort_keys=True)[:200]
        assert call["parameters"]["Tags"][0] == {"Key": "managed-by", "Value": "segserve"}
    assert made["create_model"] == planned[3]["parameters"] | {"Tags": made["create_model"]["Tags"]}


def test_dry_run_of_what_runs_already_has_nothing_to_do(deploy: Segserve) -> None:
    deploy("--name", "shop")
    result = deploy("--name", "shop", "--dry-run")

    assert "put_object" in result.stdout
    assert "create_" not in result.stdout


def test_a_container_that_does_not_start_leaves_nothing_behind(
    aws: SageMaker, segserve: Segserve, role: str, monkeypatch: pytest.MonkeyPatch, moto_url: str
) -> None:
    logs = boto3.client("logs")
    group, stream = "/aws/sagemaker/Endpoints/shop", "AllTraffic/i-1"
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName=stream)
    logs.put_log_events(
        logGroupName=group,
        logStreamName=stream,
        logEvents=[{"timestamp": int(time.time() * 1000), "message": "Error: model.json is not JSON"}],
    )
    uri = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/broken:1"
    # The image is not in ECR, and the caller may not look: SageMaker itself finds out.
    monkeypatch.setenv("AWS_ENDPOINT_URL_ECR", "http://ecr.invalid")
    assert moto_url
    result = segserve("deploy", "--name", "shop", "--image", uri, "--role", role)

    assert result.returncode == 1
    assert "Error: the endpoint shop failed: The primary container for production variant" in result.stderr
    assert "did not pass the ping health check" in result.stderr
    assert "try it here: docker run" in result.stderr
    assert "  | Error: model.json is not JSON" in result.stderr
    assert result.stderr.endswith(
        f"Everything is as it was before, but for the bucket {BUCKET}: it is empty, costs nothing, and "
        "serves the next deployment.\n"
    )
    assert "Traceback" not in result.stderr
    assert aws.names() == {}
    assert objects() == []


@pytest.mark.parametrize("is_there", [True, False])
def test_the_log_that_a_sagemaker_on_this_machine_names_is_shown(
    aws: SageMaker, segserve: Segserve, role: str, tmp_path: Path, *, is_there: bool
) -> None:
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    log = tmp_path / "a folder" / "x.log"
    if is_there:
        log.parent.mkdir()
        log.write_text("".join(f"line {number}\n" for number in range(50)))
    aws.failure = (
        "The primary container for production variant AllTraffic did not pass the ping health check (it "
        f"ended with exit code 3). Please check the logs for this endpoint: {log}"
    )
    result = segserve("deploy", "--name", "shop", "--image", "broken", "--role", role)

    assert result.returncode == 1
    assert "docker run" not in result.stderr
    assert result.stderr.endswith("\nEverything is as it was before.\n")
    if is_there:
        tail = "".join(f"\n  | line {number}" for number in range(35, 50))
        assert f"\nThe end of its log:{tail}\n" in result.stderr
    else:
        assert "\nThere is no log to be had here: 'segserve local' keeps its own" in result.stderr


def test_an_endpoint_that_answers_otherwise_than_the_model_is_taken_back(
    aws: SageMaker, deploy: Segserve
) -> None:
    aws.wrong_answer = b"[0, 0, 0, 0]"
    result = deploy()

    assert result.returncode == 1
    assert "answers, but not as the model does" in result.stderr
    assert aws.names() == {}


def test_a_quota_of_zero_is_explained_and_nothing_is_left(aws: SageMaker, deploy: Segserve) -> None:
    aws.refusals["CreateEndpoint"] = RefusalError(
        "The account-level service limit 'ml.m5.xlarge for endpoint usage' is 0 Instances, with current "
        "utilization "
        "of 0 Instances and a request delta of 1 Instances. Please use AWS Service Quotas to request an "
        "increase.",
        "ResourceLimitExceeded",
    )
    result = deploy()

    assert result.returncode == 1
    assert (
        "the account's quota 'ml.m5.xlarge for endpoint usage' is 0, and 0 are used, in us-east-1"
        in result.stderr
    )
    assert "servicequotas" in result.stderr
    assert aws.names() == {}


def test_more_instances_than_a_laptop_takes_are_refused_without_a_word_of_quotas(
    aws: SageMaker, deploy: Segserve
) -> None:
    aws.refusals["CreateEndpointConfig"] = RefusalError(
        "segserve local starts at most 8 instances of an endpoint: ask for fewer", "ResourceLimitExceeded"
    )
    result = deploy("--instances", "1000")

    assert result.returncode == 1
    assert (
        "Error: sagemaker:CreateEndpointConfig: segserve local starts at most 8 instances of an endpoint: "
        "ask for fewer\n" in result.stderr
    )
    assert "quota" not in result.stderr
    assert aws.names() == {}


def test_a_failed_endpoint_of_ours_is_made_anew(aws: SageMaker, deploy: Segserve) -> None:
    deploy("--name", "shop")
    aws.things["Endpoint"]["shop"] |= {"EndpointStatus": "Failed", "FailureReason": "out of luck"}
    result = deploy("--name", "shop", "--json")

    assert result.document["action"] == "created"
    assert aws.things["Endpoint"]["shop"]["EndpointStatus"] == "InService"


def test_somebody_elses_endpoint_is_left_alone(aws: SageMaker, deploy: Segserve) -> None:
    deploy("--name", "shop")
    for tags in aws.tags.values():
        tags.clear()
    before = aws.names()
    result = deploy("--name", "shop", "--instances", "2")

    assert result.returncode == 1
    assert "was not made by segserve, which leaves it alone" in result.stderr
    assert aws.names() == before


def test_serverless_async_and_capture_go_into_the_configuration(aws: SageMaker, deploy: Segserve) -> None:
    assert deploy("--name", "small", "--serverless", "2048").returncode == 0
    kept = (
        "--async",
        f"s3://{BUCKET}/answers",
        "--data-capture",
        f"s3://{BUCKET}/kept",
        "--capture-percent",
        "20",
    )
    assert deploy("--name", "large", *kept).returncode == 0
    serverless, asynchronous = aws.made("CreateEndpointConfig")

    assert serverless["ProductionVariants"][0]["ServerlessConfig"] == {
        "MemorySizeInMB": 2048,
        "MaxConcurrency": 5,
    }
    assert "InstanceType" not in serverless["ProductionVariants"][0]
    assert (
        asynchronous["AsyncInferenceConfig"]["OutputConfig"]["S3OutputPath"]
        == f"s3://{BUCKET}/answers/output"
    )
    assert asynchronous["DataCaptureConfig"]["InitialSamplingPercentage"] == 20
    assert [key for key in objects() if key.startswith("answers/input/")]


def test_multi_model_serves_the_folder_and_asks_for_the_version(
    aws: SageMaker, deploy: Segserve, version: str
) -> None:
    assert deploy("--multi-model").returncode == 0
    container = aws.made("CreateModel")[0]["PrimaryContainer"]

    assert container["Mode"] == "MultiModel"
    assert container["ModelDataUrl"] == f"s3://{BUCKET}/segserve/models/"
    assert list(aws.served["segserve"]) == [f"{version}/model.tar.gz"]


def test_without_s3_a_sagemaker_on_this_machine_reads_the_file_itself(
    aws: SageMaker,
    segserve: Segserve,
    role: str,
    monkeypatch: pytest.MonkeyPatch,
    store_path: Path,
    version: str,
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    result = segserve("deploy", "--image", "segserve:latest", "--role", role)

    assert result.returncode == 0, result.stderr
    url = aws.made("CreateModel")[0]["PrimaryContainer"]["ModelDataUrl"]
    assert url == (store_path / version / "model.tar.gz").resolve().as_uri()


def test_the_smoke_invocation_asks_about_every_centroid(artifact: Artifact) -> None:
    smoke = smoke_of(artifact.model)

    assert smoke.expected == [segment.id for segment in artifact.model.segments]
    assert json.loads(smoke.body) == smoke.records


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--name", "-shop"], "the endpoint name '-shop' is not accepted"),
        (["--instance-type", "m5"], "--instance-type 'm5' is not one: it should be like ml.m5.xlarge"),
        (["--instance-type", "ml.c7g.large"], "has an ARM processor, and the image is for amd64"),
        (["--serverless", "1000"], "it should be one of 1024, 2048"),
        (["--serverless", "1024", "--multi-model"], "--serverless does not go with --multi-model"),
        (["--async", "bucket"], "--async 'bucket' is not an S3 location"),
        (["--models", "bucket"], "'bucket' is not an S3 location"),
        (["--tag", "team"], "--tag 'team' is not accepted: it should be KEY=VALUE"),
        (["--tag", "managed-by=me"], "segserve writes that tag itself"),
        (["--ttl", "8"], "--ttl '8' is not accepted: it should be like 30m, 8h or 2d"),
        (["--scheduler-role", "x"], "--scheduler-role needs --ttl"),
    ],
)
def test_an_option_that_aws_would_refuse_is_refused_here(
    aws: SageMaker, deploy: Segserve, arguments: list[str], message: str
) -> None:
    result = deploy(*arguments)

    assert result.returncode == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert aws.names() == {}


def test_a_version_that_is_not_there_is_refused_before_anything_is_made(
    aws: SageMaker, deploy: Segserve
) -> None:
    result = deploy("20200101T000000Z-00000000")

    assert result.returncode == 3
    assert "does not hold the model" in result.stderr
    assert aws.calls == []
