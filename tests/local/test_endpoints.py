"""Endpoints live as on AWS: they come up, fail with a reason, are updated without loss and go away."""

import threading
from collections import Counter
from typing import Any

import pytest

from tests.conftest import wait_until
from tests.local.conftest import (
    BODY,
    LocalSageMaker,
    create_configuration,
    create_endpoint,
    delete_endpoint,
    error_of,
    settle,
)


def test_an_endpoint_comes_up_answers_and_goes(
    sagemaker: Any, runtime: Any, name: str, model_url: str
) -> None:
    create_configuration(sagemaker, name, model_url)
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name, Tags=[{"Key": "a", "Value": "b"}])
    first = sagemaker.describe_endpoint(EndpointName=name)
    sagemaker.get_waiter("endpoint_in_service").wait(
        EndpointName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120}
    )
    described = sagemaker.describe_endpoint(EndpointName=name)
    answer = runtime.invoke_endpoint(EndpointName=name, Body=BODY, ContentType="application/json")
    sagemaker.delete_endpoint(EndpointName=name)
    deleting = sagemaker.list_endpoints(NameContains=name)["Endpoints"]
    sagemaker.get_waiter("endpoint_deleted").wait(
        EndpointName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )

    assert first["EndpointStatus"] == "Creating"
    assert described["EndpointStatus"] == "InService"
    assert described["EndpointArn"] == f"arn:aws:sagemaker:us-east-1:123456789012:endpoint/{name}"
    assert [variant["CurrentInstanceCount"] for variant in described["ProductionVariants"]] == [1]
    assert answer["Body"].read() == b"[2, 1]"
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    assert [found["EndpointStatus"] for found in deleting] in (["Deleting"], [])
    assert error_of(lambda: runtime.invoke_endpoint(EndpointName=name, Body=BODY), runtime)["Code"] == (
        "ValidationError"
    )


def test_an_endpoint_whose_container_does_not_come_up_fails_with_the_reason_and_its_log(
    sagemaker: Any, runtime: Any, name: str, bad_model_url: str
) -> None:
    described = create_endpoint(sagemaker, name, bad_model_url)
    reason = described["FailureReason"]

    assert described["EndpointStatus"] == "Failed"
    assert (
        "The primary container for production variant AllTraffic did not pass the ping health check" in reason
    )
    with open(reason.rpartition(": ")[2]) as log:  # noqa: PTH123  # a path out of a sentence
        assert "Error: " in log.read()
    assert (
        "is Failed"
        in error_of(lambda: runtime.invoke_endpoint(EndpointName=name, Body=BODY), runtime)["Message"]
    )
    delete_endpoint(sagemaker, name)


def test_model_data_that_is_gone_by_then_fails_the_endpoint(
    sagemaker: Any, s3: Any, name: str, model_url: str
) -> None:
    copy = {"Bucket": "bucket", "Key": f"{name}/model.tar.gz"}
    s3.copy_object(CopySource=model_url.removeprefix("s3://"), **copy)
    create_configuration(sagemaker, name, f"s3://bucket/{name}/model.tar.gz")
    s3.delete_object(**copy)
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)

    described = settle(sagemaker, name)

    assert described["EndpointStatus"] == "Failed"
    assert f"s3://bucket/{name}/model.tar.gz" in described["FailureReason"]
    delete_endpoint(sagemaker, name)


def test_an_update_under_load_loses_no_request_and_a_bad_one_changes_nothing(
    local: LocalSageMaker, sagemaker: Any, name: str, model_url: str, bad_model_url: str
) -> None:
    create_endpoint(sagemaker, name, model_url)
    create_configuration(sagemaker, f"{name}-new", model_url, VariantName="New")
    create_configuration(sagemaker, f"{name}-bad", bad_model_url)
    answered: Counter[str] = Counter()
    lost: list[str] = []
    is_over = threading.Event()

    def ask() -> None:
        client = local.client("sagemaker-runtime")
        while not is_over.is_set():
            try:
                answer = client.invoke_endpoint(EndpointName=name, Body=BODY)
                assert answer["Body"].read() == b"[2, 1]"
                answered[answer["InvokedProductionVariant"]] += 1
            except Exception as exc:  # noqa: BLE001  # whatever it is, it is a lost request
                lost.append(str(exc))
        client.close()

    askers = [threading.Thread(target=ask) for _ in range(4)]
    for asker in askers:
        asker.start()
    wait_until(lambda: answered["AllTraffic"] > 20, what="answers of the old configuration")
    sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=f"{name}-new")
    during = sagemaker.describe_endpoint(EndpointName=name)
    updated = settle(sagemaker, name)
    seen = answered["New"]
    wait_until(lambda: answered["New"] > seen + 20, what="answers of the new configuration")
    sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=f"{name}-bad")
    rolled_back = settle(sagemaker, name)
    seen = answered["New"]
    wait_until(lambda: answered["New"] > seen + 20, what="answers after the rollback")
    is_over.set()
    for asker in askers:
        asker.join()

    assert lost == []
    assert during["EndpointStatus"] == "Updating"
    assert during["EndpointConfigName"] == name
    assert updated["EndpointStatus"] == "InService"
    assert updated["EndpointConfigName"] == f"{name}-new"
    assert "FailureReason" not in updated
    assert rolled_back["EndpointStatus"] == "InService"
    assert rolled_back["EndpointConfigName"] == f"{name}-new"
    assert "did not pass the ping health check" in rolled_back["FailureReason"]
    delete_endpoint(sagemaker, name)


def test_variants_share_the_traffic_by_weight_and_can_be_asked_by_name(
    sagemaker: Any, runtime: Any, name: str, model_url: str
) -> None:
    sagemaker.create_model(ModelName=name, PrimaryContainer={"Image": "x", "ModelDataUrl": model_url})
    variants = [
        {
            "VariantName": variant,
            "ModelName": name,
            "InstanceType": "ml.m5.xlarge",
            "InitialInstanceCount": count,
            "InitialVariantWeight": weight,
        }
        for variant, count, weight in (("A", 1, 3.0), ("B", 2, 1.0))
    ]
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=variants)
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    settle(sagemaker, name)

    def share() -> Counter[str]:
        answers = [runtime.invoke_endpoint(EndpointName=name, Body=BODY) for _ in range(80)]
        return Counter(answer["InvokedProductionVariant"] for answer in answers)

    before = share()
    chosen = runtime.invoke_endpoint(EndpointName=name, Body=BODY, TargetVariant="B")
    sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=name,
        DesiredWeightsAndCapacities=[
            {"VariantName": "A", "DesiredWeight": 0.0},
            {"VariantName": "B", "DesiredInstanceCount": 1},
        ],
    )
    described = settle(sagemaker, name)
    after = share()

    assert 40 <= before["A"] <= 75, before  # 60 of 80 expected; 5 standard deviations
    assert chosen["InvokedProductionVariant"] == "B"
    assert after == {"B": 80}
    counts = {
        entry["VariantName"]: entry["CurrentInstanceCount"] for entry in described["ProductionVariants"]
    }
    assert counts == {"A": 1, "B": 1}
    wrong = error_of(
        lambda: runtime.invoke_endpoint(EndpointName=name, Body=BODY, TargetVariant="C"), runtime
    )
    assert "Variant C not found" in wrong["Message"]
    delete_endpoint(sagemaker, name)


@pytest.mark.parametrize("is_alarm_ringing", [False, True])
def test_a_canary_takes_its_share_first_and_an_alarm_takes_it_back(
    sagemaker: Any, runtime: Any, s3_url: str, name: str, model_url: str, *, is_alarm_ringing: bool
) -> None:
    from tests.local.conftest import make_client

    cloudwatch = make_client("cloudwatch", s3_url)
    cloudwatch.put_metric_alarm(
        AlarmName=name, EvaluationPeriods=1, ComparisonOperator="GreaterThanThreshold", Threshold=1
    )
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="a test")
    create_endpoint(sagemaker, name, model_url)
    create_configuration(sagemaker, f"{name}-new", model_url, VariantName="New")
    policy = {
        "Type": "CANARY",
        "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 50},
        "WaitIntervalInSeconds": 600 if is_alarm_ringing else 2,
    }
    sagemaker.update_endpoint(
        EndpointName=name,
        EndpointConfigName=f"{name}-new",
        DeploymentConfig={
            "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": policy},
            "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name}]},
        },
    )
    seen: set[str] = set()

    def ask() -> bool:
        seen.add(runtime.invoke_endpoint(EndpointName=name, Body=BODY)["InvokedProductionVariant"])
        is_updating = sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] == "Updating"
        return seen == {"AllTraffic", "New"} and is_updating

    wait_until(ask, what="the canary")
    if is_alarm_ringing:
        cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a test")
    described = settle(sagemaker, name)
    answer = runtime.invoke_endpoint(EndpointName=name, Body=BODY)
    cloudwatch.close()

    assert described["EndpointStatus"] == "InService"
    if is_alarm_ringing:
        assert name in described["FailureReason"]
        assert (described["EndpointConfigName"], answer["InvokedProductionVariant"]) == (name, "AllTraffic")
    else:
        assert described["EndpointConfigName"] == f"{name}-new"
        assert answer["InvokedProductionVariant"] == "New"
        assert (
            described["LastDeploymentConfig"]["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
            == policy
        )
    delete_endpoint(sagemaker, name)


def test_an_endpoint_that_moves_can_neither_be_updated_nor_deleted(
    sagemaker: Any, name: str, model_url: str
) -> None:
    create_configuration(sagemaker, name, model_url)
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)

    deleted = error_of(lambda: sagemaker.delete_endpoint(EndpointName=name), sagemaker)
    updated = error_of(
        lambda: sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=name), sagemaker
    )

    assert deleted["Code"] == updated["Code"] == "ValidationException"
    assert "in-progress endpoint" in deleted["Message"]
    settle(sagemaker, name)
    delete_endpoint(sagemaker, name)


def test_an_instance_that_dies_is_replaced(
    local: LocalSageMaker, sagemaker: Any, runtime: Any, name: str, model_url: str
) -> None:
    import os
    import signal
    from pathlib import Path

    from tests.local.conftest import descendants

    create_endpoint(sagemaker, name, model_url)
    marker = f"/{name}-".encode()
    (victim,) = [
        pid
        for pid in descendants(local.process.pid)
        if marker in Path(f"/proc/{pid}/environ").read_bytes()
        and b"guardian" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    os.kill(victim, signal.SIGKILL)

    def answers() -> bool:
        try:
            return bool(runtime.invoke_endpoint(EndpointName=name, Body=BODY)["Body"].read() == b"[2, 1]")
        except runtime.exceptions.ClientError:
            return False

    wait_until(lambda: not Path(f"/proc/{victim}").exists(), what="the end of the instance")
    wait_until(answers, what="its replacement")
    delete_endpoint(sagemaker, name)


def test_more_instances_than_one_machine_bears_are_refused(sagemaker: Any, name: str, model_url: str) -> None:
    create_endpoint(sagemaker, name, model_url)
    variant = {"ModelName": name, "InstanceType": "ml.m5.xlarge"}

    def configure(*counts: int) -> None:
        variants = [
            {**variant, "VariantName": f"V{number}", "InitialInstanceCount": count}
            for number, count in enumerate(counts)
        ]
        sagemaker.create_endpoint_config(EndpointConfigName=f"{name}-many", ProductionVariants=variants)

    def scale() -> None:
        wanted = [{"VariantName": "AllTraffic", "DesiredInstanceCount": 9}]
        sagemaker.update_endpoint_weights_and_capacities(
            EndpointName=name, DesiredWeightsAndCapacities=wanted
        )

    refusals = [
        error_of(lambda: configure(1000), sagemaker),
        error_of(lambda: configure(5, 4), sagemaker),
        error_of(scale, sagemaker),
    ]
    configure(4, 4)
    (running,) = sagemaker.describe_endpoint(EndpointName=name)["ProductionVariants"]
    delete_endpoint(sagemaker, name)

    assert [error["Code"] for error in refusals] == ["ResourceLimitExceeded"] * 3
    assert refusals[0]["Message"].startswith("segserve local starts at most 8 instances of an endpoint")
    assert "1000 were asked for" in refusals[0]["Message"]
    assert running["DesiredInstanceCount"] == 1
