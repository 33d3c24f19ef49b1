"""With a SageMaker on this machine and nothing else, no call goes to anybody's account."""

import pytest

from service.aws.session import Session
from service.errors import ConfigurationError
from tests.aws.conftest import Segserve
from tests.aws.sagemaker import SageMaker

ROLE = "arn:aws:iam::123456789012:role/r"


@pytest.fixture(name="alone", autouse=True)
def _alone(aws: SageMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave SageMaker alone: whatever else is called is sent where nobody answers."""
    assert aws is not None
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://aws.invalid")


def test_the_life_cycle_asks_nothing_but_sagemaker(aws: SageMaker, segserve: Segserve, version: str) -> None:
    deployed = segserve("deploy", "--image", "segserve", "--role", ROLE, "--name", "shop", "--ttl", "1h")
    results = [
        deployed,
        segserve("status", "shop", "--logs"),
        segserve("costs"),
        segserve("update", "shop", "--instance-type", "ml.m5.large"),
        segserve("rollback", "shop"),
        segserve("delete", "--all", "--yes"),
    ]

    assert [result.returncode for result in results] == [0] * len(results), [r.stderr for r in results]
    assert version in deployed.stdout
    assert "bills nothing" in results[2].stdout
    assert aws.names() == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["autoscale", "shop"], "there is no application-autoscaling here"),
        (["update", "shop", "--alarm", "auto"], "there is no cloudwatch here"),
        (
            ["deploy", "--image", "i", "--role", ROLE, "--ttl", "1h", "--scheduler-role", ROLE],
            "there is no scheduler here",
        ),
        (["deploy", "--image", "i", "--role", "name"], "there is no IAM here to look it up: give an ARN"),
    ],
)
def test_what_only_aws_has_is_refused(segserve: Segserve, arguments: list[str], message: str) -> None:
    segserve("deploy", "--image", "segserve", "--role", ROLE, "--name", "shop")
    result = segserve(*arguments)

    assert result.returncode == 2
    assert message in result.stderr


def test_there_is_no_account(aws: SageMaker) -> None:
    session = Session()

    assert session.account == "000000000000"
    with pytest.raises(ConfigurationError, match="there is no scheduler here"):
        session.require("scheduler", option="--scheduler-role")
    assert aws.calls == []
