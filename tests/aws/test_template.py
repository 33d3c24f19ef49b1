"""The CloudFormation template: sound by cfn-lint, applied to moto, least in its permissions."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.aws.sagemaker import ACCOUNT, REGION, SageMaker

pytestmark = pytest.mark.filterwarnings("ignore")
"""Those of moto's CloudFormation and all that it imports; none of our code runs here."""

TEMPLATE = Path(__file__).parents[2] / "cloudformation" / "segserve.yaml"
VERSION = "20261123T044500Z-3f2a9c1b"
PARAMETERS = {
    "Image": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/team/segserve@sha256:{'0' * 64}",
    "ModelBucket": "company-models",
    "ModelVersion": VERSION,
    "EndpointName": "shop",
    "ExpiresAt": "2027-01-31T18:00:00",
}


@pytest.fixture(name="stack")
def _stack(aws: SageMaker, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Apply the template; moto's own SageMaker is what CloudFormation there knows."""
    assert aws is not None
    monkeypatch.delenv("AWS_ENDPOINT_URL_SAGEMAKER")
    cloudformation = boto3.client("cloudformation")
    cloudformation.create_stack(
        StackName="crm",
        TemplateBody=TEMPLATE.read_text(),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in PARAMETERS.items()],
        Capabilities=["CAPABILITY_IAM"],
    )
    (stack,) = cloudformation.describe_stacks(StackName="crm")["Stacks"]
    resources = cloudformation.describe_stack_resources(StackName="crm")["StackResources"]
    known = [item for item in resources if "LogicalResourceId" in item]
    return {**stack, "resources": {item["LogicalResourceId"]: item for item in known}}


def test_cfn_lint_finds_nothing() -> None:
    result = subprocess.run(
        [Path(sys.executable).with_name("cfn-lint"), "--include-checks", "I", "--", str(TEMPLATE)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.stdout + result.stderr == ""
    assert result.returncode == 0


def test_a_stack_has_an_endpoint_that_serves_the_version(stack: dict[str, Any]) -> None:
    sagemaker = boto3.client("sagemaker")
    (name,) = [item["EndpointName"] for item in sagemaker.list_endpoints()["Endpoints"]]
    endpoint = sagemaker.describe_endpoint(EndpointName=name)
    config = sagemaker.describe_endpoint_config(EndpointConfigName=endpoint["EndpointConfigName"])
    model = sagemaker.describe_model(ModelName=config["ProductionVariants"][0]["ModelName"])

    assert stack["StackStatus"] == "CREATE_COMPLETE"
    assert config["ProductionVariants"][0]["InstanceType"] == "ml.m5.xlarge"
    assert (
        model["PrimaryContainer"]["ModelDataUrl"]
        == f"s3://company-models/segserve/models/{VERSION}/model.tar.gz"
    )
    assert model["ExecutionRoleArn"].endswith(stack["resources"]["ExecutionRole"]["PhysicalResourceId"])


def test_the_roles_may_do_no_more_than_they_need(stack: dict[str, Any]) -> None:
    iam = boto3.client("iam")
    names = {name: stack["resources"][name]["PhysicalResourceId"] for name in ("ExecutionRole", "ExpiryRole")}
    policies = {
        name: iam.get_role_policy(
            RoleName=role, PolicyName=iam.list_role_policies(RoleName=role)["PolicyNames"][0]
        )
        for name, role in names.items()
    }
    serve, expire = (
        _read(policies[name]["PolicyDocument"])["Statement"] for name in ("ExecutionRole", "ExpiryRole")
    )
    actions = [action for item in [*serve, *expire] for action in _listed(item["Action"])]
    resources = {json.dumps(item["Action"]): item["Resource"] for item in serve}

    assert not [action for action in actions if "*" in action]
    assert [item["Action"] for item in expire] == ["sagemaker:DeleteEndpoint"]
    assert resources['"s3:GetObject"'] == "arn:aws:s3:::company-models/segserve/models/*"
    pull = next(item for item in serve if "ecr:BatchGetImage" in item["Action"])
    assert pull["Resource"] == f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/team/segserve"
    without_resource = [_listed(item["Action"]) for item in serve if item["Resource"] == "*"]
    assert without_resource == [["ecr:GetAuthorizationToken"], ["cloudwatch:PutMetricData"]]


def test_moto_knows_all_but_scaling_alarms_and_schedule(stack: dict[str, Any]) -> None:
    """These are held against AWS's own schemas by cfn-lint alone; here only what they name."""
    text = TEMPLATE.read_text()
    declared = set(re.findall(r"^  (\w+):\n    Type: AWS::", text, re.MULTILINE))
    unknown = {"ScalableTarget", "ScalingPolicy", "ErrorAlarm", "LatencyAlarm", "Expiry"}

    assert declared - set(stack["resources"]) == unknown
    assert "Arn: !Sub arn:${AWS::Partition}:scheduler:::aws-sdk:sagemaker:deleteEndpoint" in text
    assert re.findall(r"AlarmName: !Ref (\w+)", text) == ["ErrorAlarm", "LatencyAlarm"]


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _read(policy: Any) -> Any:
    """Return a policy; moto gives those of a stack as Python's own text."""
    return ast.literal_eval(policy) if isinstance(policy, str) else policy
