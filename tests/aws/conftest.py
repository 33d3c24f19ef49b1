"""Provide an AWS on loopback: moto over HTTP for what it does well, and the tests' own SageMaker."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer

from service.aws.session import Session
from service.cli import run
from service.store import Store
from tests.aws.sagemaker import ACCOUNT, REGION, SageMaker, running

BUCKET = "sagemaker-us-east-1-123456789012"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}
VARIABLES = {
    "AWS_ACCESS_KEY_ID": "AKIDTESTING",
    "AWS_SECRET_ACCESS_KEY": "testing-secret",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
}


@dataclass
class Result:
    """Hold what a command left behind."""

    returncode: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        assert self.returncode == 0, self.stderr
        return json.loads(self.stdout)


Segserve = Callable[..., Result]


@pytest.fixture(name="moto_url", scope="session")
def _moto_url() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(name="aws")
def _aws(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[SageMaker]:
    """Send every AWS call of this process to an empty AWS on loopback."""
    httpx.post(f"{moto_url}/moto-api/reset").raise_for_status()
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_url)
    with running() as (sagemaker, url):
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", url)
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", url)
        yield sagemaker


@pytest.fixture(name="session")
def _session(aws: SageMaker) -> Session:
    assert aws is not None
    return Session()


@pytest.fixture(name="role")
def _role(aws: SageMaker) -> str:
    assert aws is not None
    created = boto3.client("iam").create_role(RoleName="endpoint", AssumeRolePolicyDocument=json.dumps(TRUST))
    return str(created["Role"]["Arn"])


@pytest.fixture(name="segserve")
def _segserve(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
    store_path: Path,
) -> Segserve:
    """Run a command in `tmp_path`, in this process, with the store of the tests."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SERVICE_STORE", str(store_path))

    def segserve(*arguments: str) -> Result:
        capfdbinary.readouterr()
        code = run(arguments)
        out, err = capfdbinary.readouterr()
        return Result(code, out.decode(), err.decode())

    return segserve


@pytest.fixture(name="version")
def _version(store_path: Path) -> str:
    return str(Store(store_path).latest())


@pytest.fixture(name="image")
def _image(aws: SageMaker) -> str:
    """Return the URI of an image in moto's ECR, by tag."""
    assert aws is not None
    ecr = boto3.client("ecr")
    ecr.create_repository(repositoryName="segserve")
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "size": 2,
            "digest": "sha256:" + "0" * 64,
        },
        "layers": [],
    }
    ecr.put_image(
        repositoryName="segserve",
        imageManifest=json.dumps(manifest),
        imageManifestMediaType=manifest["mediaType"],
        imageTag="1",
    )
    return f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/segserve:1"


@pytest.fixture(name="deploy")
def _deploy(segserve: Segserve, role: str, image: str) -> Segserve:
    """Deploy with the options that every deployment needs."""
    return lambda *arguments: segserve("deploy", "--image", image, "--role", role, *arguments)
