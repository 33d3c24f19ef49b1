"""The example for the SageMaker SDK works against `segserve local` as its page says, and leaves nothing."""

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from tests.conftest import do_without, wait_until
from tests.local.conftest import (
    IMAGE,
    REGION,
    ROLE,
    aws_environment,
    local_sagemaker,
    make_client,
    run_steps,
)
from tests.sdk.localmode import DEADLINE_S, PYTHON

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "sagemaker_sdk.py"
PAGE = ROOT / "docs" / "sdk.md"
KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": REGION}
JOB = re.compile(r"segments-\d{14}")
FOLDER = re.compile(r"file://\S+?/trained")
LABELS = re.compile(r"\[\d, \d\]")
PLACE = "s3://bucket/segments"

WATCH = """
import os, sys

def note(event, arguments):
    if event == "socket.getaddrinfo":
        with open(os.environ["WATCHED"], "a") as log:
            print(arguments[0], file=log)

sys.addaudithook(note)
"""
"""Python runs a sitecustomize.py that it finds at its start: this one notes every host that is looked for."""


@dataclass
class Aws:
    """Hold what the example talks to: S3 by moto, the rest by segserve local."""

    url: str
    s3_url: str
    folder: Path
    python: Path

    def run(self, program: str) -> subprocess.CompletedProcess[str]:
        """Run a program as a user would who has set the environment."""
        path = self.folder / "program.py"
        path.write_text(program)
        (self.folder / "sitecustomize.py").write_text(WATCH)
        return subprocess.run(
            [self.python, path],
            cwd=self.folder,
            env=aws_environment(
                **KEYS,
                AWS_ENDPOINT_URL_SAGEMAKER=self.url,
                AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME=self.url,
                AWS_ENDPOINT_URL="http://127.0.0.1:1",  # nobody listens there: no other service is needed
                AWS_MAX_ATTEMPTS="1",
                SEGSERVE_IMAGE=IMAGE,
                SEGSERVE_ROLE=ROLE,
                SEGSERVE_PLACE=PLACE,
                SAGEMAKER_VALIDATE_ROLE="false",
                PYTHONPATH=str(self.folder),
                WATCHED=str(self.folder / "hosts"),
            ),
            capture_output=True,
            text=True,
            check=False,
            timeout=DEADLINE_S,
        )

    def left(self) -> list[object]:
        """Return what bills or clutters: endpoints, configurations, models."""
        client = make_client("sagemaker", self.url)
        try:
            return [
                *client.list_endpoints()["Endpoints"],
                *client.list_endpoint_configs()["EndpointConfigs"],
                *client.list_models()["Models"],
            ]
        finally:
            client.close()

    def trained(self) -> list[str]:
        """Return the names of the jobs that have left an artifact in S3."""
        s3 = make_client("s3", self.s3_url)
        try:
            found = s3.list_objects_v2(Bucket="bucket", Prefix="segments/trained/").get("Contents", [])
        finally:
            s3.close()
        return [item["Key"].split("/")[2] for item in found if item["Key"].endswith("/output/model.tar.gz")]


@pytest.fixture(name="python", scope="module")
def _python() -> Path:
    python = os.environ.get(PYTHON)
    if not python:
        pytest.skip(f"{PYTHON} is not set (docs/sdk.md)")
    done = subprocess.run(
        [python, "-c", "import sagemaker.train"],
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )
    if done.returncode != 0:
        do_without(f"{python} has no SageMaker SDK: {done.stderr.strip()[-200:]}")
    return Path(python)


@pytest.fixture(name="aws", scope="module")
def _aws(tmp_path_factory: pytest.TempPathFactory, sample_path: Path, python: Path) -> Iterator[Aws]:
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    s3_url = "http://{}:{}".format(*moto.get_host_and_port())
    s3 = make_client("s3", s3_url)
    s3.create_bucket(Bucket="bucket")
    s3.upload_file(str(sample_path), "bucket", "segments/customers.csv")
    s3.close()
    folder = tmp_path_factory.mktemp("example")
    environment = aws_environment(**KEYS, AWS_ENDPOINT_URL_S3=s3_url)
    try:
        with local_sagemaker(folder / "local", environment=environment) as local:
            yield Aws(local.url, s3_url, folder, python)
    finally:
        moto.stop()


def test_the_example_leaves_a_trained_model_and_nothing_else(aws: Aws) -> None:
    done = aws.run(EXAMPLE.read_text())

    assert done.returncode == 0, done.stderr
    (job,) = set(JOB.findall(done.stdout))
    for said in ("Trained", "Deployed", "Segments", "Deleted"):
        assert re.search(f"^{said} |╯{said} ", done.stdout, re.MULTILINE), done.stdout
    assert job in aws.trained()
    assert aws.left() == []
    assert set((aws.folder / "hosts").read_text().split()) == {"127.0.0.1"}, "nothing leaves the machine"


def test_an_example_that_fails_half_way_leaves_no_endpoint_behind(aws: Aws) -> None:
    program = EXAMPLE.read_text()
    broken = program.replace("[[25, 1250.0], ", '[["old", 1250.0], ')
    assert broken != program

    done = aws.run(broken)

    assert done.returncode == 1
    assert "Deployed segments-" in done.stdout
    assert "ModelError" in done.stderr
    wait_until(lambda: not aws.left(), what="an empty account")


def test_a_training_job_that_fails_says_why(aws: Aws) -> None:
    program = EXAMPLE.read_text()
    broken = program.replace('"k": 3', '"k": "many"')
    assert broken != program

    done = aws.run(broken)

    assert done.returncode == 1
    assert "k='many' is not accepted" in re.sub(r"\s+", " ", done.stderr)
    assert aws.left() == []


def test_the_page_runs_as_shown(python: Path, tmp_path: Path) -> None:
    page, example = PAGE.read_text(), ".venv-sdk/bin/python examples/sagemaker_sdk.py"
    assert f"$ {example}" in page

    shown, came = run_steps(page, tmp_path, replace={example: f"{python} {EXAMPLE}"})

    assert [normalized(output) for output in came] == [normalized(output) for output in shown]


def normalized(output: str) -> str:
    """Leave out what may differ: addresses, names by the clock, numbers of segments, the SDK's panel."""
    plain = "\n".join(
        line.rpartition("╯")[2] for line in output.splitlines() if line[:1] not in "╭│" or not line
    )
    plain = re.sub(r"http://127\.0\.0\.1:\d+", "URL", plain.strip())
    return LABELS.sub("LABELS", JOB.sub("JOB", FOLDER.sub("file://FOLDER/trained", plain)))
