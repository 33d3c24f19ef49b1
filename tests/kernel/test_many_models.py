"""One ledger answers for many models: each with its own labels, its own header and its own line."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.artifact import Artifact
from tests.conftest import RunningServer, start_server
from tests.serving.conftest import DEFAULT_BODY, upside_down


@pytest.fixture(name="server", params=["text", "json"])
def _server(request: pytest.FixtureRequest, tmp_path: Path, extension: Any) -> Iterator[RunningServer]:
    del extension
    server = start_server(
        tmp_path, SAGEMAKER_MULTI_MODEL="true", SERVICE_KERNEL="on", SERVICE_LOG_FORMAT=request.param
    )
    yield server
    assert server.stop() == 0


def test_models_that_take_turns_under_one_name_answer_each_for_itself(
    server: RunningServer, tmp_path: Path, store_path: Path, artifact: Artifact
) -> None:
    """On one connection whose heads are all known by then: what comes after the load is the new model's."""
    other = tmp_path / "upside-down.tar.gz"
    other.write_bytes(upside_down(artifact))
    archives = [next(store_path.glob("*/model.tar.gz")), other]
    found: list[Counter[tuple[str, str]]] = []
    with httpx.Client(base_url=server.url, timeout=30) as client:
        for archive in [*archives, *archives]:
            load = {"model_name": "a", "url": str(archive)}
            assert client.post("/models", json=load).status_code == 200
            answers = [client.post("/models/a/invoke", content=DEFAULT_BODY) for _ in range(5)]
            found.append(
                Counter((answer.text, answer.headers["x-segserve-model-version"]) for answer in answers)
            )
            assert client.delete("/models/a").status_code == 200
            assert client.post("/models/a/invoke", content=DEFAULT_BODY).status_code == 404
        metrics = client.get("/metrics").text

    assert [list(one.values()) for one in found] == [[5]] * 4
    (first, version), (second, other_version) = (next(iter(one)) for one in found[:2])
    assert json.loads(first) == [3 - label for label in json.loads(second)]
    assert version == artifact.manifest.model_version != other_version
    assert found[2:] == found[:2]
    log = server.log.read_text()
    lines = [line for line in log.splitlines() if "Invocation answered" in line]
    versions = Counter(re.findall(r'model_version(?:=|":")([\w-]+)', "\n".join(lines)))
    assert versions == {version: 10, other_version: 10}
    assert len(set(re.findall(r'request_id(?:=|":")([0-9a-f]{16})', "\n".join(lines)))) == 20
    answered = re.findall(r'^segserve_requests_total\{[^}]*status="200"[^}]*\} (\d+)', metrics, re.MULTILINE)
    assert sum(map(int, answered)) >= 20
