"""From the first deployment to zero: status, invoke, update, rollback, autoscale, costs, delete, expiry."""

import json
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import boto3
import httpx
import pytest

from service.aws.names import tag_dict
from service.store import Store
from tests.aws.conftest import BUCKET, Segserve
from tests.aws.sagemaker import SageMaker


@pytest.fixture(name="two_versions")
def _two_versions(
    tmp_path: Path, segserve: Segserve, store_path: Path, sample_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, str]:
    """Put a second version into a store of the test's own; return the older and the newer one."""
    store = tmp_path / "two"
    shutil.copytree(store_path, store)
    monkeypatch.setenv("SERVICE_STORE", str(store))
    older = str(Store(store).latest())
    assert segserve("train", str(sample_path), "--k", "3").returncode == 0
    return older, str(Store(store).latest())


def twin(endpoint: str, moto_url: str) -> None:
    """Have moto know an endpoint: its Application Auto Scaling looks only there."""
    sagemaker = boto3.client("sagemaker", endpoint_url=moto_url)
    container = {"Image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/segserve:1"}
    sagemaker.create_model(
        ModelName="twin", PrimaryContainer=container, ExecutionRoleArn="arn:aws:iam::123456789012:role/r"
    )
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": "twin",
        "InstanceType": "ml.m5.xlarge",
        "InitialInstanceCount": 1,
    }
    sagemaker.create_endpoint_config(EndpointConfigName="twin", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=endpoint, EndpointConfigName="twin")


def test_status_shows_what_an_endpoint_serves_and_lists_ours(
    deploy: Segserve, segserve: Segserve, version: str
) -> None:
    empty = segserve("status")
    deploy("--name", "shop", "--ttl", "2d")
    deploy("--name", "desk", "--serverless", "1024")
    shop = segserve("status", "shop", "--json").document
    both = segserve("status", "--json").document
    text = segserve("status", "shop").stdout

    assert empty.stdout == "segserve has no endpoint in us-east-1\n"
    assert shop["model"] == version
    assert shop["status"] == "InService"
    assert shop["an hour"] == 0.23
    assert shop["until"] > datetime.now(UTC).isoformat()
    assert [row["endpoint"] for row in both] == ["desk", "shop"]
    assert both[0]["runs on"] == "serverless 1024 MB"
    assert text.startswith("shop  InService\n")
    assert f"model      {version}" in text


def test_invoke_answers_json_and_csv_from_data_file_and_stdin(
    deploy: Segserve, segserve: Segserve, client: httpx.Client, tmp_path: Path
) -> None:
    deploy("--name", "shop")
    payload = "[[25, 1250.0], [45, 3000.5]]"
    (tmp_path / "two.csv").write_text("25,1250.0\n45,3000.5\n")
    expected = client.post(
        "/invocations", content=payload, headers={"Content-Type": "application/json"}
    ).json()
    detailed = json.loads(segserve("invoke", "shop", "--data", payload, "--detail").stdout)

    assert json.loads(segserve("invoke", "shop", "--data", payload).stdout) == expected
    assert segserve("invoke", "shop", "two.csv").stdout.split() == [str(label) for label in expected]
    assert (
        segserve("invoke", "shop", "two.csv", "--accept", "application/json", "-o", "answer.json").returncode
        == 0
    )
    assert json.loads((tmp_path / "answer.json").read_text()) == expected
    assert [row["closest_cluster"] for row in detailed["predictions"]] == expected


def test_invoke_gives_the_containers_own_refusal(deploy: Segserve, segserve: Segserve) -> None:
    deploy("--name", "shop")
    result = segserve("invoke", "shop", "--data", "[[25, -1]]")

    assert result.returncode == 1
    assert "the container of shop answered 400:" in result.stderr
    assert "Spending_Power" in result.stderr
    assert result.stderr.count("\n") == 1


def test_invoke_waits_for_the_answer_of_an_asynchronous_endpoint(
    deploy: Segserve, segserve: Segserve
) -> None:
    deploy("--name", "shop", "--async", f"s3://{BUCKET}/answers")
    good = segserve("invoke", "shop", "--data", "[[25, 1250.0]]")
    bad = segserve("invoke", "shop", "--data", "[[25, -1]]")

    assert len(json.loads(good.stdout)) == 1
    assert bad.returncode == 1
    assert "the container of shop refused the payload" in bad.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "invoke needs one payload"),
        (["absent.json"], "absent.json cannot be read: No such file or directory"),
        (["--data", "[[1, 2]]"], "there is no endpoint 'nowhere' in us-east-1"),
    ],
)
def test_invoke_says_what_is_wrong(
    segserve: Segserve, aws: SageMaker, arguments: list[str], message: str
) -> None:
    result = segserve("invoke", "nowhere", *arguments)

    assert result.returncode in {1, 2}
    assert message in result.stderr
    assert aws.made("CreateEndpoint") == []


def test_update_serves_another_version_and_keeps_every_setting(
    aws: SageMaker, deploy: Segserve, segserve: Segserve, two_versions: tuple[str, str]
) -> None:
    older, newer = two_versions
    deploy(
        older,
        "--name",
        "shop",
        "--instances",
        "2",
        "--data-capture",
        f"s3://{BUCKET}/kept",
        "--tag",
        "team=crm",
        "--ttl",
        "8h",
    )
    result = segserve(
        "update",
        "shop",
        newer,
        "--canary",
        "25",
        "--wait",
        "60",
        "--alarm",
        "auto",
        "--alarm",
        "mine",
        "--json",
    )
    first, second = aws.made("CreateEndpointConfig")
    (update,) = aws.made("UpdateEndpoint")
    policy = update["DeploymentConfig"]["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
    alarms = [alarm["AlarmName"] for alarm in boto3.client("cloudwatch").describe_alarms()["MetricAlarms"]]
    status = segserve("status", "shop", "--json").document

    assert result.document["version"] == newer
    assert result.document["expires"] is not None
    for key in ("DataCaptureConfig",):
        assert second[key] == first[key]
    assert {"Key": "team", "Value": "crm"} in second["Tags"]
    assert second["ProductionVariants"][0]["InitialInstanceCount"] == 2
    assert policy == {
        "Type": "CANARY",
        "WaitIntervalInSeconds": 60,
        "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 25},
    }
    watched = [
        alarm["AlarmName"] for alarm in update["DeploymentConfig"]["AutoRollbackConfiguration"]["Alarms"]
    ]
    assert watched == ["mine", "segserve-shop-errors", "segserve-shop-latency"]
    assert sorted(alarms) == watched[1:]
    assert status["model"] == newer
    assert status["before"] == first["EndpointConfigName"]


def test_an_update_that_does_not_start_leaves_the_old_version_in_service(
    aws: SageMaker,
    deploy: Segserve,
    segserve: Segserve,
    two_versions: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    older, newer = two_versions
    deploy(older, "--name", "shop")
    before = aws.names()
    monkeypatch.setenv("AWS_ENDPOINT_URL_ECR", "http://ecr.invalid")
    result = segserve(
        "update", "shop", newer, "--image", "123456789012.dkr.ecr.us-east-1.amazonaws.com/broken:1"
    )

    assert result.returncode == 1
    assert "SageMaker went back to" in result.stderr
    assert "did not pass the ping health check" in result.stderr
    assert aws.names() == before
    assert segserve("status", "shop", "--json").document["model"] == older
    assert segserve("invoke", "shop", "--data", "[[25, 1250.0]]").returncode == 0


def test_an_update_that_answers_wrongly_is_called_back(
    aws: SageMaker, deploy: Segserve, segserve: Segserve, two_versions: tuple[str, str]
) -> None:
    older, newer = two_versions
    deploy(older, "--name", "shop")
    before = aws.names()
    aws.wrong_answer = b"[9]"
    result = segserve("update", "shop", newer)

    assert result.returncode == 1
    assert "took back update of shop" in result.stderr
    assert aws.names() == before
    assert aws.things["Endpoint"]["shop"]["EndpointConfigName"] == before["EndpointConfig"][0]


def test_rollback_puts_back_what_served_before(
    aws: SageMaker, deploy: Segserve, segserve: Segserve, two_versions: tuple[str, str]
) -> None:
    older, newer = two_versions
    deploy(older, "--name", "shop")
    segserve("update", "shop", newer)
    result = segserve("rollback", "shop", "--json")
    again = segserve("rollback", "shop")

    assert result.document["version"] == older
    assert segserve("status", "shop", "--json").document["model"] == older
    assert again.returncode == 1
    assert "has served nothing else before" in again.stderr
    assert len(aws.names()["Endpoint"]) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--canary", "25"], "--canary needs an endpoint of at least 2 instances; shop has 1"),
        (["--canary", "60"], "--canary 60 is not accepted: SageMaker takes 1 to 50 percent"),
        (["--rolling", "10", "--canary", "10"], "--canary and --rolling exclude each other"),
        (["--instance-type", "ml.m6g.large"], "has an ARM processor"),
    ],
)
def test_a_rollout_that_sagemaker_would_refuse_is_refused_here(
    aws: SageMaker, deploy: Segserve, segserve: Segserve, arguments: list[str], message: str
) -> None:
    deploy("--name", "shop")
    result = segserve("update", "shop", *arguments)

    assert result.returncode == 2
    assert message in result.stderr
    assert aws.made("UpdateEndpoint") == []


def test_autoscale_registers_target_and_policy_and_delete_takes_them_away(
    deploy: Segserve, segserve: Segserve, moto_url: str
) -> None:
    deploy("--name", "shop")
    twin("shop", moto_url)
    scaling = boto3.client("application-autoscaling")
    result = segserve("autoscale", "shop", "--min", "1", "--max", "3", "--target", "700")
    (target,) = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    (policy,) = scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
    tracking = policy["TargetTrackingScalingPolicyConfiguration"]
    status = segserve("status", "shop", "--json").document
    deleted = segserve("delete", "shop", "--yes")

    assert result.stdout == "shop scales between 1 and 3 instances, aiming at 700 each\n"
    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 3)
    assert tracking["TargetValue"] == 700
    assert (
        tracking["PredefinedMetricSpecification"]["PredefinedMetricType"]
        == "SageMakerVariantInvocationsPerInstance"
    )
    assert status["scales"] == "1 to 3 instances"
    assert "deleted scaling of shop" in deleted.stderr
    assert scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--min", "0"], "--min 0 is not accepted: 1 or more, and 0 only of an asynchronous endpoint"),
        (["--min", "3", "--max", "2"], "--max 2 is not accepted: it should be at least 3"),
        (["--target", "0"], "--target 0 is not accepted"),
    ],
)
def test_autoscale_refuses_sizes(
    deploy: Segserve, segserve: Segserve, arguments: list[str], message: str
) -> None:
    deploy("--name", "shop")
    result = segserve("autoscale", "shop", *arguments)

    assert result.returncode == 2
    assert message in result.stderr


def test_costs_says_what_runs_since_when_and_at_what_price(
    aws: SageMaker, deploy: Segserve, segserve: Segserve, tmp_path: Path
) -> None:
    nothing = segserve("costs").stdout
    deploy("--name", "shop", "--instances", "2")
    deploy("--name", "rare", "--instance-type", "ml.m7i.large")
    deploy("--name", "idle", "--serverless", "1024")
    aws.things["Endpoint"]["shop"]["CreationTime"] -= 36000
    document = segserve("costs", "--json").document
    rows = {row["endpoint"]: row for row in document["endpoints"]}
    text = segserve("costs").stdout
    own = {
        "as_of": "2026-01-02",
        "source": "mine",
        "currency": "EUR",
        "instance_hour": {"us-east-1": {"ml.m7i.large": 2}},
    }
    (tmp_path / "prices.json").write_text(json.dumps(own))
    mine = segserve("costs", "--json", "--prices", "prices.json").document

    assert nothing == "No endpoint in us-east-1: nothing bills by the hour\n"
    assert rows["shop"]["hourly"] == 0.46
    assert rows["shop"]["so_far"] == 4.6
    assert rows["rare"]["hourly"] is None
    assert rows["rare"]["note"] == "no price for ml.m7i.large in us-east-1"
    assert rows["idle"]["hourly"] == 0
    assert (document["hourly"], document["without_price"]) == (0.46, 1)
    assert "Together $0.46 an hour, $335.80 a month, and 1 without a known price. Prices of 2026-" in text
    assert re.search(r"^ *shop .*\$4\.60 +no end *$", text, re.MULTILINE)
    assert mine["hourly"] == 2
    assert segserve("costs", "--prices", "absent.json").returncode == 2


@pytest.mark.parametrize("is_counted", [True, False])
def test_an_endpoint_that_is_being_created_costs_what_it_will(
    aws: SageMaker, deploy: Segserve, segserve: Segserve, *, is_counted: bool
) -> None:
    deploy("--name", "shop", "--instances", "2")
    variant = {"VariantName": "AllTraffic", "CurrentInstanceCount": 0}
    if is_counted:
        variant |= {"DesiredInstanceCount": 2}
    aws.things["Endpoint"]["shop"] |= {"EndpointStatus": "Creating", "ProductionVariants": [variant]}
    status = segserve("status", "shop", "--json").document

    assert (status["runs on"], status["an hour"]) == ("2 x ml.m5.xlarge", 0.46)


def test_status_shows_the_log_that_there_is_or_says_that_there_is_none(
    aws: SageMaker, deploy: Segserve, segserve: Segserve, tmp_path: Path
) -> None:
    deploy("--name", "shop")
    none = segserve("status", "shop", "--logs")
    (tmp_path / "x.log").write_text("Error: no model\n")
    reason = f"Please check the logs for this endpoint: {tmp_path / 'x.log'}"
    aws.things["Endpoint"]["shop"] |= {"EndpointStatus": "Failed", "FailureReason": reason}
    failed = segserve("status", "shop", "--logs")

    assert none.returncode == 0
    assert none.stdout.count("\n  There is no log to be had here: ") == 1
    assert failed.stdout.endswith("\n  | Error: no model\n")
    assert "There is no log" not in failed.stdout


def test_delete_leaves_nothing_and_says_what_no_longer_bills(
    aws: SageMaker, deploy: Segserve, segserve: Segserve, two_versions: tuple[str, str]
) -> None:
    older, newer = two_versions
    role = "arn:aws:iam::123456789012:role/scheduler"
    deploy(older, "--name", "shop", "--ttl", "8h", "--scheduler-role", role)
    deploy(older, "--name", "shop-2")
    segserve("update", "shop", newer, "--alarm", "auto")
    (schedule,) = boto3.client("scheduler").list_schedules()["Schedules"]
    asked = segserve("delete", "shop")
    result = segserve("delete", "shop", "--yes")
    again = segserve("delete", "shop", "--yes")

    assert schedule["Name"] == "segserve-expire-shop"
    assert asked.returncode == 2
    assert "nothing was deleted" in asked.stderr
    assert "Deleted 8 things; nothing of them is left" in result.stdout
    assert "no longer bills: shop, which runs on 1 x ml.m5.xlarge: $0.23 an hour" in result.stdout
    assert again.stdout == "Nothing to delete in us-east-1: none of it is there\n"
    assert aws.names()["Endpoint"] == ["shop-2"]
    assert len(aws.names()["Model"]) == len(aws.names()["EndpointConfig"]) == 1
    assert boto3.client("cloudwatch").describe_alarms()["MetricAlarms"] == []
    assert boto3.client("scheduler").list_schedules()["Schedules"] == []


def test_delete_all_finds_what_is_left_of_anything(
    aws: SageMaker, deploy: Segserve, segserve: Segserve
) -> None:
    for name in ("a", "b", "c"):
        deploy("--name", name)
    aws.things["Endpoint"].pop("b")
    aws.things["Model"]["others"] = {"ModelName": "others", "ModelArn": "arn:others", "CreationTime": 0.0}
    result = segserve("delete", "--all", "--yes", "--json")

    assert len(result.document["deleted"]) == 8
    assert len(result.document["no_longer_bills"]) == 2
    assert aws.names() == {"Model": ["others"]}


def test_delete_says_when_something_is_left(aws: SageMaker, deploy: Segserve, segserve: Segserve) -> None:
    deploy("--name", "shop")
    aws.deaf = frozenset({"DeleteModel"})
    result = segserve("delete", "shop", "--yes")

    assert result.returncode == 1
    assert "still there after all, and may bill: model shop-" in result.stderr


def test_delete_leaves_somebody_elses_endpoint_alone(
    aws: SageMaker, deploy: Segserve, segserve: Segserve
) -> None:
    deploy("--name", "shop")
    for tags in aws.tags.values():
        tags.clear()
    result = segserve("delete", "shop", "--yes")

    assert result.returncode == 1
    assert "was not made by segserve" in result.stderr
    assert aws.names()["Endpoint"] == ["shop"]


def test_expired_endpoints_and_what_is_left_of_them_are_cleared(
    aws: SageMaker, deploy: Segserve, segserve: Segserve
) -> None:
    for name, ttl in (("old", "1h"), ("gone", "1h"), ("young", "1h")):
        deploy("--name", name, "--ttl", ttl)
    deploy("--name", "lasting")
    for arn, tags in aws.tags.items():
        if "/old" in arn or "/gone" in arn:
            next(tag for tag in tags if tag["Key"] == "segserve:expires")["Value"] = "2020-01-01T00:00:00Z"
    aws.things["Endpoint"].pop("gone")  # EventBridge Scheduler was there before
    result = segserve("delete", "--expired", "--yes")

    assert result.returncode == 0, result.stderr
    assert aws.names()["Endpoint"] == ["lasting", "young"]
    assert not [name for name in aws.names()["Model"] if name.startswith(("old", "gone"))]


def test_a_time_to_live_makes_one_appointment_to_delete_the_endpoint(
    aws: SageMaker, deploy: Segserve
) -> None:
    role = "arn:aws:iam::123456789012:role/scheduler"
    deploy("--name", "shop", "--ttl", "1h", "--scheduler-role", role)
    deploy("--name", "shop", "--ttl", "9h", "--scheduler-role", role)
    found = boto3.client("scheduler").get_schedule(Name="segserve-expire-shop")
    arn = aws.things["Endpoint"]["shop"]["EndpointArn"]

    assert found["Target"]["Arn"] == "arn:aws:scheduler:::aws-sdk:sagemaker:deleteEndpoint"
    assert json.loads(found["Target"]["Input"]) == {"EndpointName": "shop"}
    assert found["ActionAfterCompletion"] == "DELETE"
    assert (
        found["ScheduleExpression"] == f"at({tag_dict(aws.tags[arn])['segserve:expires'].removesuffix('Z')})"
    )


def test_delete_wants_to_know_what(segserve: Segserve, aws: SageMaker) -> None:
    assert segserve("delete").returncode == 2
    assert segserve("delete", "shop", "--all").returncode == 2
    assert aws.calls == []
