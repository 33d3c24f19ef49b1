"""The commands of `segserve local` start it in the background, find it and end it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import is_running
from tests.local.conftest import aws_environment, descendants


def segserve(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "service", "local", *arguments],
        cwd=folder,
        env=aws_environment(**variables),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    segserve(tmp_path, "down")


def test_it_runs_in_the_background_until_it_is_told_to_end(folder: Path) -> None:
    up = segserve(folder, "up", "--detach", "--port", "0", "--runtime", "process")
    url = up.stdout.removeprefix("Ready on ").strip()
    again = segserve(folder, "up", "--detach", "--port", "0", "--runtime", "process")
    env = segserve(folder, "env")
    status = json.loads(segserve(folder, "status", "--json").stdout)
    asked = subprocess.run(
        [
            sys.executable,
            "-c",
            "import boto3; print(boto3.client('sagemaker').list_endpoints()['Endpoints'])",
        ],
        env=aws_environment()
        | dict(line.removeprefix("export ").split("=", 1) for line in env.stdout.splitlines()),
        capture_output=True,
        text=True,
        check=False,
    )
    below = descendants(status["pid"]) | {status["pid"]}
    down = segserve(folder, "down")

    assert up.returncode == 0, up.stderr
    assert up.stdout == f"Ready on {url}\n"
    assert again.returncode == 2
    assert f"Error: segserve local is already running on {url}" in again.stderr
    assert f"export AWS_ENDPOINT_URL_SAGEMAKER={url}" in env.stdout.splitlines()
    assert f"export AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME={url}" in env.stdout.splitlines()
    assert (status["url"], status["runtime"], status["resources"]) == (url, "process", [])
    assert asked.stdout == "[]\n", asked.stderr
    assert down.stdout == f"Stopped, it was on {url}\n"
    assert not [pid for pid in below if is_running(pid)]
    assert segserve(folder, "down").stdout == "segserve local is not running\n"


def test_credentials_of_the_user_are_left_alone(folder: Path) -> None:
    segserve(folder, "up", "--detach", "--port", "0", "--runtime", "process")
    env = segserve(
        folder,
        "env",
        AWS_ACCESS_KEY_ID="mine",
        AWS_SECRET_ACCESS_KEY="mine",
        AWS_DEFAULT_REGION="eu-west-1",
    )

    assert {line.partition("=")[0] for line in env.stdout.splitlines()} == {
        "export AWS_ENDPOINT_URL_SAGEMAKER",
        "export AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME",
    }


def test_a_port_that_is_taken_is_one_sentence(folder: Path, server: object) -> None:
    port = str(getattr(server, "url", "")).rpartition(":")[2]
    for options in (["--detach"], []):
        result = segserve(folder, "up", "--runtime", "process", "--port", port, *options)

        assert result.returncode in {1, 2}
        assert f"Error: cannot listen on 127.0.0.1 port {port} (address already in use)" in result.stderr
        assert "Traceback" not in result.stderr


@pytest.mark.parametrize("command", ["env", "status"])
def test_without_a_service_the_command_that_starts_one_is_named(folder: Path, command: str) -> None:
    result = segserve(folder, command)

    assert result.returncode == 1
    assert "segserve local is not running" in result.stderr
    assert "segserve local up" in result.stderr


def test_a_folder_that_cannot_be_written_is_one_sentence(folder: Path) -> None:
    (folder / "file").write_text("")
    result = segserve(folder, "up", "--runtime", "process", "--state", os.fspath(folder / "file"))

    assert result.returncode == 2
    assert "cannot be written" in result.stderr
