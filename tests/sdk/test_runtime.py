"""The SageMaker SDK's own endpoint object works against a server on this machine (C101)."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.conftest import RunningServer, clean_environment
from tests.sdk.localmode import DEADLINE_S, DRIVERS, PYTHON

KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}


def test_endpoint_invoke_works_unchanged(server: RunningServer, tmp_path: Path) -> None:
    python = os.environ.get(PYTHON)
    if not python:
        pytest.skip(f"{PYTHON} is not set (docs/sdk.md)")
    job, result = tmp_path / "job.json", tmp_path / "result.json"
    job.write_text(json.dumps({"body": "[[25, 1250.0], [45, 3000.5]]"}))
    done = subprocess.run(
        [python, DRIVERS / "runtime.py", job, result],
        env=clean_environment(
            **KEYS,
            AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME=server.url,
            AWS_CONFIG_FILE=os.devnull,
            AWS_EC2_METADATA_DISABLED="true",
        ),
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(result.read_text()) == ["[2, 1]", "2\n1\n", "text/csv"]
