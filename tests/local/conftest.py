"""Provide a local SageMaker in a process of its own, an S3, and boto3's clients of both."""

import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import boto3
import pytest
from botocore.config import Config

from service.store import Store
from tests.conftest import clean_environment, wait_until

REGION: Final = "us-east-1"
ROLE: Final = "arn:aws:iam::123456789012:role/segserve"
IMAGE: Final = "segserve"
BODY: Final = b"[[25, 1250.0], [45, 3000.5]]"
START_S: Final = 120
STEPS_DEADLINE_S: Final = 240

_MOTO = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(":".join(map(str, server.get_host_and_port())), flush=True)
sys.stdin.read()
"""


@dataclass
class LocalSageMaker:
    """Hold a `segserve local up` process that has said it is ready."""

    process: subprocess.Popen[bytes]
    url: str
    root: Path
    log: Path

    def client(self, name: str, *, region: str = REGION) -> Any:
        return make_client(name, self.url, region=region)

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(START_S)


def make_client(name: str, url: str, *, region: str = REGION) -> Any:
    session = boto3.Session(aws_access_key_id="testing", aws_secret_access_key="testing", region_name=region)
    config = Config(retries={"max_attempts": 0}, read_timeout=90, s3={"addressing_style": "path"})
    return session.client(name, endpoint_url=url, config=config)


def aws_environment(**variables: str) -> dict[str, str]:
    """Return an environment in which nothing of a real account is found."""
    kept = {name: value for name, value in clean_environment().items() if not name.startswith("AWS_")}
    nowhere = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    return {**kept, **nowhere, "AWS_EC2_METADATA_DISABLED": "true", **variables}


def start_local(
    root: Path, *, runtime: str = "process", environment: dict[str, str] | None = None
) -> LocalSageMaker:
    """Start a service on a free port and wait until it is ready."""
    root.mkdir(parents=True, exist_ok=True)
    log = root / f"log-{uuid.uuid4().hex}"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "service", "local", "up", "--port", "0"),
                *("--runtime", runtime, "--state", str(root / "state")),
            ],
            env=environment or aws_environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    wait_until(lambda: "Ready on" in log.read_text() or process.poll() is not None, what="segserve local")
    ready = [line for line in log.read_text().splitlines() if line.startswith("Ready on ")]
    assert ready, log.read_text()
    return LocalSageMaker(process, ready[0].removeprefix("Ready on "), root / "state", log)


@contextmanager
def local_sagemaker(
    root: Path, *, runtime: str = "process", environment: dict[str, str] | None = None
) -> Iterator[LocalSageMaker]:
    """Run a service while the block runs."""
    local = start_local(root, runtime=runtime, environment=environment)
    try:
        yield local
    finally:
        if local.process.poll() is None:
            local.stop()


@pytest.fixture(name="s3_url", scope="session")
def _s3_url() -> Iterator[str]:
    """Start an S3, over real HTTP."""
    with subprocess.Popen(
        [sys.executable, "-c", _MOTO],
        env=aws_environment(AWS_ACCESS_KEY_ID="testing", AWS_SECRET_ACCESS_KEY="testing"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address, "moto did not start"
        yield f"http://{address}"
        process.kill()


@pytest.fixture(name="s3", scope="session")
def _s3(s3_url: str) -> Iterator[Any]:
    client = make_client("s3", s3_url)
    client.create_bucket(Bucket="bucket")
    yield client
    client.close()


@pytest.fixture(name="local", scope="session")
def _local(tmp_path_factory: pytest.TempPathFactory, s3_url: str) -> Iterator[LocalSageMaker]:
    """Run one service, with processes as instances, for all tests that share it under names of their own."""
    environment = aws_environment(
        AWS_ENDPOINT_URL_S3=s3_url,
        AWS_ENDPOINT_URL_CLOUDWATCH=s3_url,
        AWS_ACCESS_KEY_ID="testing",
        AWS_SECRET_ACCESS_KEY="testing",
    )
    with local_sagemaker(tmp_path_factory.mktemp("local"), environment=environment) as local:
        yield local
        assert local.stop() == 0
    log = local.log.read_text()
    assert "Traceback" not in log, log


@pytest.fixture(name="sagemaker")
def _sagemaker(local: LocalSageMaker) -> Iterator[Any]:
    client = local.client("sagemaker")
    yield client
    client.close()


@pytest.fixture(name="runtime")
def _runtime(local: LocalSageMaker) -> Iterator[Any]:
    client = local.client("sagemaker-runtime")
    yield client
    client.close()


@pytest.fixture(name="model_url", scope="session")
def _model_url(s3: Any, store_path: Path) -> str:
    """Return a model in S3."""
    s3.upload_file(str(Store(store_path).resolve()), "bucket", "models/model.tar.gz")
    return "s3://bucket/models/model.tar.gz"


@pytest.fixture(name="bad_model_url", scope="session")
def _bad_model_url(s3: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return an archive in S3 that holds no model."""
    import tarfile

    folder = tmp_path_factory.mktemp("bad")
    (folder / "note").write_text("no model")
    with tarfile.open(folder / "model.tar.gz", "w:gz") as archive:
        archive.add(folder / "note", arcname="note")
    s3.upload_file(str(folder / "model.tar.gz"), "bucket", "bad/model.tar.gz")
    return "s3://bucket/bad/model.tar.gz"


@pytest.fixture(name="name")
def _name() -> str:
    return f"test-{uuid.uuid4().hex[:10]}"


def create_configuration(
    sagemaker: Any, name: str, model_url: str, *, image: str = IMAGE, **variant: Any
) -> str:
    """Create a model and a configuration of it."""
    container = {"Image": image, "ModelDataUrl": model_url}
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)
    standard = {"VariantName": "AllTraffic", "InstanceType": "ml.m5.xlarge", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(
        EndpointConfigName=name, ProductionVariants=[{**standard, "ModelName": name, **variant}]
    )
    return name


def settle(sagemaker: Any, name: str) -> Any:
    """Return an endpoint's description once it moves no more."""
    moving = {"Creating", "Updating", "RollingBack", "SystemUpdating"}
    wait_until(
        lambda: sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] not in moving,
        what=f"the endpoint {name}",
        deadline_s=START_S,
    )
    return sagemaker.describe_endpoint(EndpointName=name)


def create_endpoint(sagemaker: Any, name: str, model_url: str, **variant: Any) -> Any:
    """Create an endpoint and return its description once it moves no more."""
    create_configuration(sagemaker, name, model_url, **variant)
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    return settle(sagemaker, name)


def delete_endpoint(sagemaker: Any, name: str) -> None:
    """Delete an endpoint and wait until it is gone."""
    sagemaker.delete_endpoint(EndpointName=name)
    wait_until(lambda: not is_there(sagemaker, name), what=f"the end of {name}")


def is_there(sagemaker: Any, name: str) -> bool:
    return name in {found["EndpointName"] for found in sagemaker.list_endpoints(MaxResults=100)["Endpoints"]}


def error_of(call: Callable[[], object], client: Any) -> Any:
    """Return the error that a call is refused with."""
    with pytest.raises(client.exceptions.ClientError) as caught:
        call()
    return (
        caught.value.response["Error"]
        | {key: value for key, value in caught.value.response.items() if key.startswith("Original")}
        | {"Status": caught.value.response["ResponseMetadata"]["HTTPStatusCode"]}
    )


def run_steps(page: str, folder: Path, *, replace: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Run the console block of a page in a folder, on a port of its own; return what it shows and what came.

    Args:
        page: Has one such block, which starts `segserve local`.
        folder: Gets what it makes.
        replace: Words of the commands, and what stands for them here.
    """
    (block,) = re.findall(r"```console\n(.*?)```", page, re.DOTALL)
    steps = [part.partition("\n")[::2] for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
    script = ["set -e"]
    for command, _ in steps:
        here = command.replace("local up", "local up --port 0")
        for word, other in replace.items():
            here = here.replace(word, other)
        script.append(f"echo '>>>'; {here}")
    try:
        done = subprocess.run(
            ["bash", "-c", "\n".join(script)],
            cwd=folder,
            env=aws_environment(PATH=f"{Path(sys.executable).parent}:/usr/bin:/bin"),
            capture_output=True,
            text=True,
            check=False,
            timeout=STEPS_DEADLINE_S,
        )
    finally:
        subprocess.run(
            [sys.executable, "-m", "service", "local", "down"],
            cwd=folder,
            env=aws_environment(),
            capture_output=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    return [output for _, output in steps], done.stdout.split(">>>")[1:]


def descendants(pid: int) -> set[int]:
    """Return the processes below one that run, whatever their group."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            parents[int(path.parent.name)] = int(fields[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}
