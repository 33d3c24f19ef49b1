"""What AWS refuses becomes one sentence with the next step; no trace, no secret."""

import json
import subprocess
import sys
from pathlib import Path

import boto3
import pytest

from tests.aws.conftest import TRUST, VARIABLES, Segserve
from tests.aws.sagemaker import RefusalError, SageMaker
from tests.conftest import clean_environment


def test_without_credentials_the_next_step_is_named(
    segserve: Segserve, aws: SageMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    result = segserve("status")

    assert result.returncode == 2
    assert result.stderr == (
        "Error: there are no AWS credentials: run 'aws configure' or 'aws sso login', or set AWS_PROFILE\n"
    )
    assert aws.calls == []


def test_without_a_region_the_option_is_named(
    segserve: Segserve, aws: SageMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    result = segserve("status")

    assert result.returncode == 2
    assert "no AWS region is set: give --region eu-west-1" in result.stderr
    assert aws.calls == []


@pytest.mark.parametrize(
    ("code", "said", "exit_code", "message"),
    [
        ("AccessDeniedException", "User x is not authorized", 1, "may not call sagemaker:ListEndpoints"),
        (
            "UnrecognizedClientException",
            "The security token is invalid",
            2,
            "AWS does not know these credentials",
        ),
        ("ExpiredTokenException", "The token is expired", 2, "the AWS credentials have expired"),
        ("ThrottlingException", "Rate exceeded", 1, "wait a minute and try again"),
        ("InternalFailure", "Oops", 1, "sagemaker:ListEndpoints was refused (InternalFailure): Oops"),
        ("OptInRequired", "", 2, "the region us-east-1 is not enabled"),
    ],
)
def test_each_refusal_is_one_sentence(
    segserve: Segserve,
    aws: SageMaker,
    code: str,
    said: str,
    exit_code: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    aws.refusals["ListEndpoints"] = RefusalError(said, code)
    result = segserve("status")

    assert result.returncode == exit_code
    assert message in result.stderr
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1


def test_an_address_that_does_not_answer_is_named(
    segserve: Segserve, aws: SageMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", "http://127.0.0.1:9")
    result = segserve("status")

    assert result.returncode == 1
    assert "sagemaker:ListEndpoints cannot be reached at http://127.0.0.1:9" in result.stderr
    assert aws.calls == []


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "AWS cannot be reached as configured"),
        ("http://[::1", "AWS cannot be reached as configured"),
    ],
)
def test_an_address_that_is_none_is_refused(
    segserve: Segserve, aws: SageMaker, monkeypatch: pytest.MonkeyPatch, url: str, message: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", url)
    result = segserve("status")

    assert result.returncode == 2
    assert message in result.stderr
    assert aws.calls == []


def test_a_profile_that_is_not_there_is_named(segserve: Segserve, aws: SageMaker) -> None:
    result = segserve("status", "--profile", "nobody")

    assert result.returncode == 2
    assert "nobody" in result.stderr
    assert aws.calls == []


@pytest.mark.parametrize(
    ("role", "message"),
    [
        ("absent", "there is no role 'absent' in this account"),
        ("arn:aws:iam::123456789012:role/absent", "there is no role 'arn:aws:iam::123456789012:role/absent'"),
        ("arn:aws:iam::1:role/x y", "it should be like arn:aws:iam::123456789012:role/NAME"),
        ("lambda", "the role 'lambda' does not trust sagemaker.amazonaws.com"),
    ],
)
def test_a_role_that_sagemaker_cannot_take_on_is_refused_before_anything_is_made(
    aws: SageMaker, segserve: Segserve, image: str, role: str, message: str
) -> None:
    trust = json.loads(json.dumps(TRUST).replace("sagemaker.", "lambda."))
    boto3.client("iam").create_role(RoleName="lambda", AssumeRolePolicyDocument=json.dumps(trust))
    result = segserve("deploy", "--image", image, "--role", role)

    assert result.returncode == 2
    assert message in result.stderr
    assert aws.calls == []


def test_a_role_may_be_given_by_its_name(aws: SageMaker, segserve: Segserve, image: str, role: str) -> None:
    assert segserve("deploy", "--image", image, "--role", "endpoint").returncode == 0
    assert aws.made("CreateModel")[0]["ExecutionRoleArn"] == role


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com/segserve:1", "the image is in eu-west-1"),
        (
            "123456789012.dkr.ecr.us-east-1.amazonaws.com/absent:1",
            "'segserve push IMAGE' puts an image there",
        ),
    ],
)
def test_an_image_that_sagemaker_cannot_take_is_refused_before_anything_is_made(
    aws: SageMaker, segserve: Segserve, role: str, image: str, message: str
) -> None:
    result = segserve("deploy", "--image", image, "--role", role)

    assert result.returncode in {1, 2}
    assert message in result.stderr
    assert aws.calls == []


def test_an_oci_image_is_refused_with_the_remedy(aws: SageMaker, segserve: Segserve, role: str) -> None:
    media_type = "application/vnd.oci.image.manifest.v1+json"
    ecr = boto3.client("ecr")
    ecr.create_repository(repositoryName="segserve")
    manifest = {"schemaVersion": 2, "mediaType": media_type, "layers": []}
    manifest["config"] = {
        "mediaType": "application/vnd.oci.image.config.v1+json",
        "size": 2,
        "digest": f"sha256:{'0' * 64}",
    }
    ecr.put_image(
        repositoryName="segserve",
        imageManifest=json.dumps(manifest),
        imageManifestMediaType=media_type,
        imageTag="1",
    )
    uri = "123456789012.dkr.ecr.us-east-1.amazonaws.com/segserve:1"
    result = segserve("deploy", "--image", uri, "--role", role)

    assert result.returncode == 1
    assert "which SageMaker refuses (C115): 'segserve push' converts it" in result.stderr
    assert aws.calls == []


def test_on_aws_itself_an_image_must_be_in_ecr(
    segserve: Segserve, aws: SageMaker, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sent there: the image is refused by its name."""
    monkeypatch.delenv("AWS_ENDPOINT_URL_SAGEMAKER")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", "http://sagemaker.invalid")
    result = segserve("deploy", "--image", "segserve:latest", "--role", role)

    assert result.returncode == 2
    assert "is not in ECR, and SageMaker takes images from nowhere else" in result.stderr
    assert aws.calls == []


def test_no_secret_reaches_any_output(segserve: Segserve, aws: SageMaker, image: str, role: str) -> None:
    aws.refusals["CreateModel"] = RefusalError("no", "AccessDeniedException")
    results = [segserve("deploy", "--image", image, "--role", role, *more) for more in ([], ["--dry-run"])]
    text = "".join(result.stdout + result.stderr for result in results)

    assert "may not call sagemaker:CreateModel" in text
    assert VARIABLES["AWS_SECRET_ACCESS_KEY"] not in text
    assert VARIABLES["AWS_ACCESS_KEY_ID"] not in text


def test_a_missing_extra_is_named(tmp_path: Path) -> None:
    code = "import sys; sys.modules['boto3'] = None\nfrom service.cli import main; main(sys.argv[1:])"
    for command in (["status"], ["costs"], ["push", "x"], ["models", "list", "s3://bucket/x"]):
        result = subprocess.run(
            [sys.executable, "-c", code, *command],
            cwd=tmp_path,
            env=clean_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 2
        assert "pip install 'segserve[aws]'" in result.stderr
        assert "Traceback" not in result.stderr
