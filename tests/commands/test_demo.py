"""`segserve demo`: from nothing to an answer."""

import subprocess
import sys
from pathlib import Path

import httpx

from service.store import Store
from tests.conftest import clean_environment, wait_until


def test_demo_trains_on_the_sample_once_and_serves(tmp_path: Path) -> None:
    versions = []
    for _ in range(2):
        log = tmp_path / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "service", "demo", "--port", "0", "--host", "127.0.0.1"],
                cwd=tmp_path,
                env=clean_environment(SERVICE_PREFIX=str(tmp_path / "ml")),
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            wait_until(
                lambda: "Ready on" in log.read_text() or process.poll() is not None,  # noqa: B023  # used at once
                what="the demo",
            )
            text = log.read_text()
            assert "Ready on" in text, text
            url = text.split("Ready on ")[1].split()[0]
            answer = httpx.post(f"{url}/invocations", content=b"[[25, 1250.0], [45, 3000.5]]")
        finally:
            process.terminate()
            assert process.wait(30) == 0
        assert answer.status_code == 200
        assert len(answer.json()) == 2
        versions.append(Store(tmp_path / "models").versions())

    assert len(versions[0]) == 1
    assert versions[0] == versions[1]
