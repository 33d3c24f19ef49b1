"""One line an invocation: sizes, counts and time, never a customer."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import RunningServer, start_server, wait_until

LINE = re.compile(
    r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO service\.serving\.access Invocation answered status=200 "
    r"records=(\d+) bytes_in=(\d+) bytes_out=(\d+) ms=[0-9.]+ request_id=[0-9a-f]{16}"
    r"(?: inference_id='(.*)')?$",
    re.MULTILINE,
)
SMALL, LARGE = b"[[77, 4321.5]]", b"[" + b",".join([b"[77, 4321.5]"] * 20_000) + b"]"
REFUSED = b'[[77, "4321.5"]]'


def post_all(server: RunningServer) -> None:
    for body in (SMALL, LARGE, SMALL):
        headers = {b"X-Amzn-SageMaker-Inference-Id": b'id\xe9"-1'}
        assert httpx.post(f"{server.url}/invocations", content=body, headers=headers).status_code == 200
    assert httpx.post(f"{server.url}/invocations", content=REFUSED).status_code == 400
    assert httpx.get(f"{server.url}/ping").status_code == 200
    wait_until(lambda: "400" in server.log.read_text(), what="the refusal to be logged")
    assert server.stop() == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_each_invocation_is_one_line_without_a_customer_in_it(
    tmp_path: Path, store_path: Path, workers: str
) -> None:
    server = start_server(tmp_path, "--store", str(store_path), "--workers", workers)
    post_all(server)
    log = server.log.read_text()

    assert [(int(line[0]), int(line[1]), line[2], line[3]) for line in LINE.findall(log)] == [
        (1, len(SMALL), "3", r'id\xe9"-1'),
        (20_000, len(LARGE), "60000", r'id\xe9"-1'),
        (1, len(SMALL), "3", r'id\xe9"-1'),
    ]
    assert log.count("Invocation refused status=400") == 1
    assert "code=InvalidRecord" in log
    assert "4321" not in log
    assert "ping" not in log


def read_json(server: RunningServer) -> list[dict[str, Any]]:
    """Return what a server logged; every line must be one JSON object."""
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    assert all({"time", "level", "logger", "message"} <= set(line) for line in lines)
    return lines


def start_json(folder: Path, store_path: Path, *options: str, **variables: str) -> RunningServer:
    """Start a server that logs JSON, which says by a line of its own that it is ready."""
    return start_server(folder, "--store", str(store_path), *options, SERVICE_LOG_FORMAT="json", **variables)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_as_json_every_line_is_an_object(tmp_path: Path, store_path: Path, workers: str) -> None:
    server = start_json(tmp_path, store_path, "--workers", workers)
    post_all(server)
    lines = [line for line in read_json(server) if line["logger"] == "service.serving.access"]
    version = next(store_path.glob("*/model.tar.gz")).parent.name

    assert [(line["message"], line["status"], line["records"]) for line in lines] == [
        ("Invocation answered", 200, 1),
        ("Invocation answered", 200, 20_000),
        ("Invocation answered", 200, 1),
        ("Invocation refused", 400, 0),
    ]
    assert {line["model_version"] for line in lines} == {version}
    assert {line["route"] for line in lines} == {"/invocations"}
    assert [line.get("inference_id") for line in lines] == ['id\xe9"-1'] * 3 + [None]
    assert [line["bytes_in"] for line in lines] == [len(SMALL), len(LARGE), len(SMALL), len(REFUSED)]
    assert len({line["request_id"] for line in lines}) == 4
    assert all(line["duration_ms"] > 0 for line in lines)
    assert lines[3]["code"] == "InvalidRecord"
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"]) for line in lines)
    assert "4321" not in server.log.read_text()
    assert "_aws" not in server.log.read_text()


def test_with_a_namespace_each_line_is_in_embedded_metric_format(tmp_path: Path, store_path: Path) -> None:
    server = start_json(tmp_path, store_path, SERVICE_EMF_NAMESPACE="Team/Segments")
    post_all(server)
    lines = [line for line in read_json(server) if line["logger"] == "service.serving.access"]

    assert [line["errors"] for line in lines] == [0, 0, 0, 1]
    for line in lines:
        assert isinstance(line["_aws"]["Timestamp"], int)
        (directive,) = line["_aws"]["CloudWatchMetrics"]
        assert directive["Namespace"] == "Team/Segments"
        assert directive["Dimensions"] == [["model_version"], []]
        for metric in directive["Metrics"]:
            assert isinstance(line[metric["Name"]], int | float)
            assert metric["Unit"] in {"Milliseconds", "Count", "Bytes"}
        assert isinstance(line["model_version"], str)


def test_a_namespace_needs_lines_in_json(store_path: Path) -> None:
    from tests.serving.conftest import run_serve

    done = run_serve("--store", str(store_path), SERVICE_EMF_NAMESPACE="Team")

    assert done.returncode == 2
    assert "SERVICE_LOG_FORMAT" in done.stderr


def test_a_failure_is_one_line_with_its_trace() -> None:
    import logging

    from service.logs import JsonFormatter

    error = (ValueError, ValueError("line\nbreak"), None)
    line = JsonFormatter().format(logging.LogRecord("a.b", logging.ERROR, "", 0, "Failed n=%d", (3,), error))

    assert "\n" not in line
    assert json.loads(line)["message"] == "Failed n=3"
    assert "ValueError: line\nbreak" in json.loads(line)["exception"]


def test_it_can_be_switched_off(tmp_path: Path, store_path: Path) -> None:
    server = start_server(tmp_path, "--store", str(store_path), SERVICE_ACCESS_LOG="off")
    assert httpx.post(f"{server.url}/invocations", content=SMALL).status_code == 200
    assert server.stop() == 0

    assert "Invocation answered" not in server.log.read_text()


def test_a_quieter_level_leaves_refusals(tmp_path: Path, store_path: Path) -> None:
    server = start_server(tmp_path, "--store", str(store_path), SERVICE_LOG_LEVEL="warning")
    assert httpx.post(f"{server.url}/invocations", content=SMALL).status_code == 200
    assert httpx.post(f"{server.url}/invocations", content=REFUSED).status_code == 400
    assert server.stop() == 0

    assert "Invocation answered" not in server.log.read_text()
    assert "Invocation refused" in server.log.read_text()
