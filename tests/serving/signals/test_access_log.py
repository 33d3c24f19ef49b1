"""One line an invocation: sizes and time, never a customer."""

import re
from pathlib import Path

import httpx
import pytest

from tests.conftest import start_server, wait_until

LINE = re.compile(
    r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO service\.serving\.access Invocation answered "
    r"bytes_in=(\d+) bytes_out=(\d+) ms=[0-9.]+(?: inference_id='(.*)')?$",
    re.MULTILINE,
)
SMALL, LARGE = b"[[77, 4321.5]]", b"[" + b",".join([b"[77, 4321.5]"] * 20_000) + b"]"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_each_invocation_is_one_line_without_a_customer_in_it(
    tmp_path: Path, store_path: Path, workers: str
) -> None:
    server = start_server(tmp_path, "--store", str(store_path), "--workers", workers)
    for body in (SMALL, LARGE, SMALL):
        headers = {b"X-Amzn-SageMaker-Inference-Id": b"id\xe9-1"}
        assert httpx.post(f"{server.url}/invocations", content=body, headers=headers).status_code == 200
    assert httpx.post(f"{server.url}/invocations", content=b'[[77, "4321.5"]]').status_code == 400
    assert httpx.get(f"{server.url}/ping").status_code == 200
    wait_until(lambda: "status=400" in server.log.read_text(), what="the refusal to be logged")
    assert server.stop() == 0
    log = server.log.read_text()

    assert [(int(line[0]), line[1], line[2]) for line in LINE.findall(log)] == [
        (len(SMALL), "3", r"id\xe9-1"),
        (len(LARGE), "60000", r"id\xe9-1"),
        (len(SMALL), "3", r"id\xe9-1"),
    ]
    assert log.count("Invocation refused") == 1
    assert "4321" not in log
    assert "ping" not in log


def test_it_can_be_switched_off(tmp_path: Path, store_path: Path) -> None:
    server = start_server(tmp_path, "--store", str(store_path), SERVICE_ACCESS_LOG="off")
    assert httpx.post(f"{server.url}/invocations", content=SMALL).status_code == 200
    assert server.stop() == 0

    assert "Invocation answered" not in server.log.read_text()
