"""The contract's routes over real sockets: verbs, headers, sizes, and clients that behave oddly."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from service.artifact import Artifact
from service.contract import BATCH_PAYLOAD_BUDGET_MB
from service.serving.execution_parameters import execution_parameters
from service.settings import read_settings
from tests.conftest import DEADLINE_S, RunningServer, start_server, wait_until
from tests.serving.conftest import CSV, DEFAULT_BODY, JSON_LINES, check_refusal, post

MIB = 2**20
HEADERS = "POST /invocations HTTP/1.1\r\nHost: model.aws.local:8080\r\nContent-Type: application/json\r\n"


@contextmanager
def connected(server: RunningServer) -> Iterator[socket.socket]:
    address = urlsplit(server.url)
    assert address.hostname
    assert address.port
    with socket.create_connection((address.hostname, address.port), timeout=DEADLINE_S) as connection:
        yield connection


def receive_until(connection: socket.socket, end: bytes) -> bytes:
    """Return what the server sends, up to and with `end`, or up to where it closes."""
    received = b""
    while not received.endswith(end):
        chunk = connection.recv(65536)
        if not chunk:
            return received
        received += chunk
    return received


@pytest.fixture(name="answer", scope="module")
def _answer(client: httpx.Client) -> bytes:
    """Return what the server answers to DEFAULT_BODY."""
    return post(client, DEFAULT_BODY).content


@pytest.fixture(name="capped", scope="module")
def _capped(tmp_path_factory: pytest.TempPathFactory, store_path: Path) -> Iterator[RunningServer]:
    """Run a server that takes one MiB."""
    folder = tmp_path_factory.mktemp("capped")
    server = start_server(folder, "--store", str(store_path), SAGEMAKER_MAX_PAYLOAD_IN_MB="1")
    yield server
    assert server.stop() == 0


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
def test_ping_answers_every_verb_with_nothing(client: httpx.Client, method: str) -> None:
    response = client.request(method, "/ping")

    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-length"] == "0"


def test_ping_takes_a_body_and_a_query(client: httpx.Client) -> None:
    assert client.post("/ping?x=1", content=b"anything").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/invocations", "POST"),
        ("PUT", "/invocations", "POST"),
        ("OPTIONS", "/invocations", "POST"),
        ("DELETE", "/ping", "GET, POST, HEAD"),
        ("POST", "/execution-parameters", "GET, HEAD"),
        ("PATCH", "/execution-parameters", "GET, HEAD"),
    ],
)
def test_another_verb_is_refused_and_the_right_ones_named(
    client: httpx.Client, method: str, path: str, allowed: str
) -> None:
    response = client.request(method, path)

    message = check_refusal(response, status=405, code="MethodNotAllowed")
    assert response.headers["allow"] == allowed
    assert allowed in message


def test_every_answer_names_the_model_version(client: httpx.Client, artifact: Artifact) -> None:
    answers = [
        client.get("/ping"),
        client.get("/execution-parameters"),
        client.get("/invocations"),
        post(client, DEFAULT_BODY),
        post(client, b"x"),
    ]

    for response in answers:
        assert response.headers["x-segserve-model-version"] == artifact.manifest.model_version


def test_execution_parameters_propose_what_sagemaker_allows(client: httpx.Client) -> None:
    response = client.get("/execution-parameters")

    assert response.headers["content-type"] == "application/json"
    assert response.json() == {
        "MaxConcurrentTransforms": 1,
        "BatchStrategy": "MULTI_RECORD",
        "MaxPayloadInMB": 6,
    }


@pytest.mark.parametrize("batch", ["true", "False"])
@pytest.mark.parametrize("payload_mb", ["0", "1", "6", "100", "9999"])
@pytest.mark.parametrize("transforms", ["", "0", "1", "7", "100", "1000"])
def test_proposed_concurrency_times_payload_stays_in_the_budget(
    monkeypatch: pytest.MonkeyPatch, batch: str, payload_mb: str, transforms: str
) -> None:
    monkeypatch.setenv("SAGEMAKER_BATCH", batch)
    monkeypatch.setenv("SAGEMAKER_MAX_PAYLOAD_IN_MB", payload_mb)
    monkeypatch.setenv("SAGEMAKER_MAX_CONCURRENT_TRANSFORMS", transforms)

    actual = execution_parameters(read_settings())

    concurrency, size = actual["MaxConcurrentTransforms"], actual["MaxPayloadInMB"]
    assert isinstance(concurrency, int)
    assert isinstance(size, int)
    assert concurrency >= 1
    assert 1 <= size <= int(payload_mb) or payload_mb == "0"
    assert concurrency * size <= BATCH_PAYLOAD_BUDGET_MB


def test_custom_attributes_are_echoed_only_when_sent(client: httpx.Client) -> None:
    name = "X-Amzn-SageMaker-Custom-Attributes"

    plain = post(client, DEFAULT_BODY)
    echoed = post(client, DEFAULT_BODY, headers={name: "c000b4f9-df62-4c85; a b"})

    assert name not in plain.headers
    assert echoed.headers[name] == "c000b4f9-df62-4c85; a b"


def test_custom_attributes_can_ask_for_detail(client: httpx.Client) -> None:
    response = post(client, DEFAULT_BODY, headers={"X-Amzn-SageMaker-Custom-Attributes": "detail=full"})

    assert [sorted(detail) for detail in response.json()["predictions"]] == [
        [
            "border",
            "closest_cluster",
            "confidence",
            "distance_to_cluster",
            "distances",
            "outlier",
            "rule",
            "second",
            "segment",
            "why",
        ]
    ] * 2


def test_unknown_headers_and_any_host_change_nothing(client: httpx.Client, answer: bytes) -> None:
    headers = {
        "Host": "model.aws.local:8080",
        "User-Agent": "AHC/2.0",
        "X-Amzn-SageMaker-Forwarded-Api": "1",
        "X-Amzn-SageMaker-Target-Variant": "AllTraffic",
        "X-Amzn-SageMaker-Target-Model": "x" * 1024,
        "X-Amzn-SageMaker-Target-Container-Hostname": "c1",
        "X-Amzn-SageMaker-Inference-Id": "i" * 64,
        "X-Amzn-SageMaker-Enable-Explanations": "`true`",
        "X-Amzn-SageMaker-Inference-Component": "ic",
        "X-Amzn-SageMaker-Session-Id": "NEW_SESSION",
        "X-Amzn-SageMaker-Prefix-Aware-Id": "p",
        **{f"X-Unknown-{number}": "ü" for number in range(20)},
    }

    encoded = {name: value.encode() for name, value in headers.items()}
    response = client.post("/invocations", content=DEFAULT_BODY, headers=encoded)  # type: ignore[arg-type]  # bytes do

    assert (response.status_code, response.content) == (200, answer)
    assert client.get("/ping", headers={"Host": "model.aws.local:8080"}).status_code == 200


@pytest.mark.timing
def test_a_payload_over_the_cap_is_refused_before_it_is_sent(capped: RunningServer) -> None:
    start = time.monotonic()
    with connected(capped) as connection:
        connection.sendall(f"{HEADERS}Content-Length: {10**12}\r\n\r\n".encode())
        received = receive_until(connection, b"}}")

    assert received.startswith(b"HTTP/1.1 413 ")
    assert time.monotonic() - start < 2
    error = json.loads(received.partition(b"\r\n\r\n")[2])["error"]
    assert error["code"] == "PayloadTooLarge"
    assert "1048576" in error["message"]


def test_a_chunked_payload_over_the_cap_is_refused_while_it_is_sent(capped: RunningServer) -> None:
    with connected(capped) as connection:
        connection.sendall(f"{HEADERS}Transfer-Encoding: chunked\r\n\r\n".encode())
        for _ in range(17):
            connection.sendall(b"10000\r\n" + b" " * 65536 + b"\r\n")
        received = receive_until(connection, b"}}")

    assert received.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize("excess", [0, 1])
def test_the_cap_is_exact(capped: RunningServer, *, is_chunked: bool, excess: int) -> None:
    body = DEFAULT_BODY + b" " * (MIB + excess - len(DEFAULT_BODY))
    content = (body[start : start + 100_000] for start in range(0, len(body), 100_000))
    with httpx.Client(base_url=capped.url, timeout=DEADLINE_S) as client:
        response = client.post("/invocations", content=content if is_chunked else body)

        assert response.status_code == (413 if excess else 200)
        assert client.get("/ping").status_code == 200
    if excess:
        check_refusal(response, status=413, code="PayloadTooLarge")


@pytest.mark.parametrize("size_mib", [6, 25])
def test_payloads_up_to_the_documented_limits_are_accepted(client: httpx.Client, size_mib: int) -> None:
    row = b"25.25,1250.125\n"
    n_records = size_mib * MIB // len(row)

    response = post(client, row * n_records, content_type=CSV, accept=CSV)

    assert response.status_code == 200
    assert response.content.count(b"\n") == n_records
    assert len(set(response.content.split())) == 1


def test_a_payload_over_the_default_cap_is_refused(client: httpx.Client) -> None:
    check_refusal(post(client, b" " * (25 * MIB + 1)), status=413, code="PayloadTooLarge")


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_chunked_payloads_are_answered_whatever_the_chunks(
    client: httpx.Client, answer: bytes, size: int
) -> None:
    chunks = (DEFAULT_BODY[start : start + size] for start in range(0, len(DEFAULT_BODY), size))

    response = client.post("/invocations", content=chunks)

    assert (response.status_code, response.content) == (200, answer)


def test_an_empty_payload_is_refused(client: httpx.Client) -> None:
    check_refusal(post(client, b""), status=400, code="InvalidPayload")
    check_refusal(client.post("/invocations", content=iter([])), status=400, code="InvalidPayload")


def test_one_connection_serves_many_requests(server: RunningServer, answer: bytes) -> None:
    request = f"{HEADERS}Content-Length: {len(DEFAULT_BODY)}\r\n\r\n".encode() + DEFAULT_BODY
    with connected(server) as connection:
        for _ in range(50):
            connection.sendall(request)

            assert receive_until(connection, answer).startswith(b"HTTP/1.1 200 ")


def test_an_error_does_not_end_the_connection(server: RunningServer, answer: bytes) -> None:
    with connected(server) as connection:
        connection.sendall(f"{HEADERS}Content-Length: 1\r\n\r\nx".encode())
        assert receive_until(connection, b"}}").startswith(b"HTTP/1.1 400 ")

        connection.sendall(f"{HEADERS}Content-Length: {len(DEFAULT_BODY)}\r\n\r\n".encode() + DEFAULT_BODY)

        assert receive_until(connection, answer).startswith(b"HTTP/1.1 200 ")


def test_pipelined_requests_are_answered_in_order(server: RunningServer, answer: bytes) -> None:
    good = f"{HEADERS}Content-Length: {len(DEFAULT_BODY)}\r\n\r\n".encode() + DEFAULT_BODY
    bad = f"{HEADERS}Content-Length: 1\r\n\r\nx".encode()
    ping = b"GET /ping HTTP/1.1\r\nHost: a\r\n\r\n"
    last = good.replace(b"Host: model", b"Connection: close\r\nHost: model")
    with connected(server) as connection:
        connection.sendall(ping + good + bad + ping + last)
        received = receive_until(connection, b"(until it closes)")

    statuses = [part[:3] for part in received.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [b"200", b"200", b"400", b"200", b"200"]
    assert received.count(answer) == 2


def test_a_client_that_asks_is_told_to_continue(server: RunningServer, answer: bytes) -> None:
    with connected(server) as connection:
        length = len(DEFAULT_BODY)
        connection.sendall(f"{HEADERS}Expect: 100-continue\r\nContent-Length: {length}\r\n\r\n".encode())
        assert receive_until(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        connection.sendall(DEFAULT_BODY)

        assert receive_until(connection, answer).startswith(b"HTTP/1.1 200 ")


def test_a_client_that_asks_with_too_large_a_payload_is_told_at_once(capped: RunningServer) -> None:
    with connected(capped) as connection:
        connection.sendall(f"{HEADERS}Expect: 100-continue\r\nContent-Length: {2 * MIB}\r\n\r\n".encode())

        assert receive_until(connection, b"}}").startswith(b"HTTP/1.1 413 ")


def test_clients_that_leave_in_mid_body_do_no_harm(server: RunningServer, answer: bytes) -> None:
    def log() -> str:
        return server.log.read_text().rpartition("before-those-who-left")[2]

    def mark(name: str) -> None:
        with httpx.Client(base_url=server.url) as client:
            assert post(client, DEFAULT_BODY).content == answer
            post(client, b"x", headers={"X-Amzn-SageMaker-Inference-Id": name})
        wait_until(lambda: name in server.log.read_text(), what="the refusal to be logged", deadline_s=5)

    mark("before-those-who-left")
    for begun in (b"", DEFAULT_BODY[:5], b"[" + b"[1,2]," * 50_000):
        for _ in range(5):
            with connected(server) as connection:
                connection.sendall(f"{HEADERS}Content-Length: 20000000\r\n\r\n".encode() + begun)
    mark("after-those-who-left")
    assert log().count("Invocation refused") == 1
    assert "Traceback" not in log()


def test_clients_that_leave_before_the_answer_do_no_harm(server: RunningServer, answer: bytes) -> None:
    body = b"[1,2]\n" * 100_000
    for _ in range(3):
        with connected(server) as connection:
            headers = HEADERS.replace("application/json", JSON_LINES)
            connection.sendall(f"{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    with httpx.Client(base_url=server.url) as client:
        assert post(client, DEFAULT_BODY).content == answer
    assert b"Traceback" not in server.log.read_bytes()


@pytest.mark.parametrize(
    "request_head",
    [
        "POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
        "POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        "POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST /invocations HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "POST /invocations HTTP/1.1\r\nHost : a\r\n\r\n",
        "NONSENSE\r\n\r\n",
        "\x16\x03\x01\x02",
    ],
)
def test_what_is_not_http_gets_no_answer_of_ours(server: RunningServer, request_head: str) -> None:
    with connected(server) as connection:
        connection.sendall(request_head.encode("latin-1"))
        received = receive_until(connection, b"(until it closes)")

    assert received.startswith(b"HTTP/1.1 400 ")
    assert b"x-segserve-model-version" not in received


def test_a_refusal_is_logged_without_the_payload(server: RunningServer) -> None:
    with httpx.Client(base_url=server.url) as client:
        post(
            client,
            b'[["CANARY5519", 1]]',
            headers={"X-Amzn-SageMaker-Inference-Id": "my-id-42\t\\" + "x" * 900},
        )

    wait_until(lambda: "my-id-42" in server.log.read_text(), what="the refusal to be logged", deadline_s=5)
    line = next(line for line in server.log.read_text().splitlines() if "my-id-42" in line)
    assert "WARNING" in line
    assert "status=400" in line
    assert len(line) < 400
    assert "\t" not in line
    assert "CANARY5519" not in server.log.read_text()
