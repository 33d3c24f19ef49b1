"""What Prometheus reads: the right totals, whichever worker is asked, and cheaply."""

import os
import signal
import socket
import time
from collections.abc import Mapping
from pathlib import Path

import httpx
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.artifact import Artifact
from service.model import MAX_CLUSTERS
from service.serving.signals.board import Board
from service.serving.signals.exposition import Exposition
from service.serving.signals.layout import REQUESTS, SEGMENTS
from service.serving.signals.metrics import render_metrics
from service.serving.signals.source import ModelFacts, Source
from tests.conftest import DEADLINE_S, RunningServer, Starter, wait_until
from tests.serving.conftest import CSV

Metrics = Mapping[tuple[str, frozenset[tuple[str, str]]], float]

BODY = b"[[25, 1250.0], [70, 99999.5], [25, 1250.0]]"
TARGET_A = {"X-Amzn-SageMaker-Target-Model": "a"}
CLAIM = b"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (2**64 - 2)
LARGE_N = 9_000
LARGE = b"[" + b",".join([b"[25, 1250.0]"] * LARGE_N) + b"]"


def parse(text: str) -> Metrics:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scrape(server: RunningServer) -> Metrics:
    return parse(httpx.get(f"{server.url}/metrics", timeout=DEADLINE_S).text)


def value(metrics: Metrics, metric: str, **labels: str) -> float:
    return metrics[f"segserve_{metric}", frozenset(labels.items())]


def post(server: RunningServer, body: bytes, **headers: str) -> int:
    """Post on a connection of its own, so that every worker gets its share."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return httpx.post(
        f"{server.url}/invocations", content=body, headers=named, timeout=DEADLINE_S
    ).status_code


@pytest.mark.parametrize("workers", ["1", "2"])
def test_totals_are_right_over_workers_that_die(
    start: Starter, store_path: Path, artifact: Artifact, workers: str
) -> None:
    server = start("--store", str(store_path), "--workers", workers)
    n = 12
    statuses = [post(server, BODY) for _ in range(n)]
    statuses += [post(server, LARGE), post(server, b'[{"features": [25, 1250.0]}]')]
    if workers == "2":
        metrics = scrape(server)
        assert value(metrics, "workers") == 2
        victim = max(pid for pid in children(server.process.pid))
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: value(scrape(server), "worker_starts_total") >= 3, what="a new worker")
        wait_until(lambda: value(scrape(server), "workers") == 2, what="the new worker to run")
    statuses += [post(server, BODY) for _ in range(n)]
    metrics = scrape(server)

    assert statuses == [200] * (2 * n + 2)
    assert value(metrics, "requests_total", route="/invocations", status="200") == 2 * n + 2
    assert value(metrics, "request_duration_seconds_count", route="/invocations") == 2 * n + 2
    labels = artifact.model.partition.assign(np.array([[25, 1250.0], [70, 99999.5]])).tolist()
    expected = np.bincount([labels[0]] * (4 * n + LARGE_N + 1) + [labels[1]] * (2 * n), minlength=4)
    for segment in artifact.model.segments:
        found = value(metrics, "records_total", segment=str(segment.id), name=segment.name)
        assert found == expected[segment.id]
    assert value(metrics, "payload_bytes_count") == 2 * n + 2
    assert value(metrics, "payload_bytes_sum") == 2 * n * len(BODY) + len(LARGE) + 28
    assert server.stop() == 0


def children(pid: int) -> list[int]:
    """Return the server processes of a master; one more is multiprocessing's own."""
    paths = Path("/proc").glob("[0-9]*/stat")
    found = []
    for path in paths:
        try:
            fields = path.read_text().rpartition(")")[2].split()
            command = (path.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if int(fields[1]) == pid and b"spawn_main" in command:
            found.append(int(path.parent.name))
    return found


@pytest.fixture(name="counted", scope="module")
def _counted(tmp_path_factory: pytest.TempPathFactory, store_path: Path) -> Metrics:
    """Return the metrics of a server of which this was asked."""
    from tests.conftest import start_server

    folder = tmp_path_factory.mktemp("counted")
    server = start_server(folder, "--store", str(store_path), SAGEMAKER_MAX_PAYLOAD_IN_MB="1")
    lenient = {"X_Amzn_SageMaker_Custom_Attributes": "on_error=placeholder"}
    mixed = b'[[25, 1250.0], [-1, 5], ["x", 5], [null, 5], [1e400, 5], [1e200, 5], 7, {"Age": 3}]'
    asked = [
        (mixed.replace(b"1e400", b"NaN"), {}, 400),
        (b"25,1250\n-1,5\nx,5\n1e400,5\n7\n", {"Content_Type": CSV, **lenient}, 200),
        (b'[{"Age": 3}]', {}, 400),
        (b"[[25, -1]]", {}, 400),
        (b"x" * (2**20 + 1), {}, 413),
        (b"[]", {"Content_Type": "image/png"}, 415),
        (b"[]", {"Accept": "image/png"}, 406),
        (b"Age,Spending_Power\n25,1250\n", {"Content_Type": CSV}, 200),
    ]
    for body, headers, status in asked:
        assert post(server, body, **headers) == status, body[:40]
    with httpx.Client(base_url=server.url) as client:
        for path in ("/ping", "/ping", "/nowhere", "/also/nowhere", "/docs/static/swagger-ui.css", "/model"):
            client.get(path)
        client.get("/invocations")
        client.get("/metrics")
        metrics = parse(client.get("/metrics").text)
    assert server.stop() == 0
    return metrics


def test_requests_are_counted_by_route_and_status(counted: Metrics) -> None:
    routes = {
        (dict(labels)["route"], dict(labels)["status"]): count
        for (name, labels), count in counted.items()
        if name == "segserve_requests_total"
    }

    assert routes == {
        ("/invocations", "200"): 2,
        ("/invocations", "400"): 3,
        ("/invocations", "405"): 1,
        ("/invocations", "406"): 1,
        ("/invocations", "413"): 1,
        ("/invocations", "415"): 1,
        ("/ping", "200"): 2,
        ("/docs", "200"): 1,
        ("/model", "200"): 1,
        ("/metrics", "200"): 1,
        ("other", "404"): 2,
    }


def test_refusals_are_counted_by_code(counted: Metrics) -> None:
    codes = {
        dict(labels)["code"]: count
        for (name, labels), count in counted.items()
        if name == "segserve_refused_invocations_total" and count
    }

    assert codes == {
        "InvalidPayload": 1,
        "InvalidRecord": 2,
        "PayloadTooLarge": 1,
        "UnsupportedContentType": 1,
        "NotAcceptable": 1,
    }


def test_rejected_records_are_counted_by_reason(counted: Metrics) -> None:
    """Of the lenient CSV payload all of them, of the refused ones the first; the first body is no JSON."""
    reasons = {
        dict(labels)["reason"]: count
        for (name, labels), count in counted.items()
        if name == "segserve_rejected_records_total"
    }

    assert reasons == {
        "negative": 2,
        "not_a_number": 1,
        "too_large": 1,
        "unreadable": 1,
        "missing": 1,
        "not_finite": 0,
    }
    scored = sum(count for (name, _), count in counted.items() if name == "segserve_records_total")
    assert scored == 2


def test_the_model_and_the_process_are_described(counted: Metrics, artifact: Artifact) -> None:
    labels = {
        "version": artifact.manifest.model_version,
        "digest": artifact.model.digest,
        "segserve": "0.1.0",
    }

    assert value(counted, "model_info", **labels) == 1
    created_s = value(counted, "model_created_timestamp_seconds")
    assert abs(time.time() - created_s - value(counted, "model_age_seconds")) < 600
    assert 20e6 < value(counted, "worker_resident_memory_bytes", worker="0") < 500e6
    assert value(counted, "worker_cpu_seconds", worker="0") > 0
    assert value(counted, "worker_start_time_seconds", worker="0") > created_s
    assert value(counted, "drift_records") > 0


def test_buckets_add_up(counted: Metrics) -> None:
    buckets = {
        dict(labels)["le"]: count
        for (name, labels), count in counted.items()
        if name == "segserve_payload_bytes_bucket"
    }

    counts = list(buckets.values())
    assert counts == sorted(counts)
    assert buckets["+Inf"] == value(counted, "payload_bytes_count") == 8
    assert buckets["16"] == 4
    assert buckets["1048576"] == 7


def test_other_methods_are_refused(client: httpx.Client) -> None:
    response = client.post("/metrics")

    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")
    assert client.head("/metrics").status_code == 200


def test_metrics_are_there_without_the_console(start: Starter, store_path: Path) -> None:
    server = start("--store", str(store_path), SERVICE_CONSOLE="off")

    assert httpx.get(f"{server.url}/metrics").headers["content-type"].startswith("text/plain; version=0.0.4")
    assert httpx.get(f"{server.url}/live").status_code == 404


@pytest.mark.timing
def test_a_scrape_takes_less_than_5_ms(artifact: Artifact) -> None:
    """The best of many, for the machine may be busy; with every cell in use but 1000 segments."""
    board = Board()
    cells = np.frombuffer(board.claim(), dtype=np.uint64)
    cells[REQUESTS] = 123_456_789
    cells[SEGMENTS] = 987_654_321
    source = Source(board, ModelFacts.of(artifact))
    render_metrics(source)
    took_s = []
    for _ in range(50):
        since = time.perf_counter()
        render_metrics(source)
        took_s.append(time.perf_counter() - since)

    assert min(took_s) < 5e-3
    assert len(cells[SEGMENTS]) == MAX_CLUSTERS


def test_labels_are_escaped() -> None:
    text = Exposition()
    text.add("a", "gauge", "A.", [({"name": 'quo"te\\back\nslash'}, 1)])
    (family,) = text_string_to_metric_families(text.text().decode())

    assert family.samples[0].labels == {"name": 'quo"te\\back\nslash'}


def test_many_models_are_counted_together_and_their_management_apart(
    start: Starter, store_path: Path, artifact: Artifact
) -> None:
    server = start(SAGEMAKER_MULTI_MODEL="true", SERVICE_MAX_MODELS="1")
    url = str(next(store_path.glob("*/model.tar.gz")))
    with httpx.Client(base_url=server.url, timeout=DEADLINE_S) as client:
        codes = [
            client.post("/models", json={"model_name": name, "url": url}).status_code for name in ("a", "b")
        ]
        codes += [client.post(f"/models/{name}/invoke", content=BODY).status_code for name in ("a", "c", "a")]
        codes += [client.post("/endpoints/e/invocations", content=BODY, headers=TARGET_A).status_code]
        metrics = parse(client.get("/metrics").text)
        model = client.get("/model")

    assert codes == [200, 507, 200, 404, 200, 200]
    requests = {
        (dict(labels)["route"], dict(labels)["status"]): count
        for (name, labels), count in metrics.items()
        if name == "segserve_requests_total"
    }
    assert requests == {
        ("/models", "200"): 1,
        ("/models", "507"): 1,
        ("/invocations", "200"): 3,
        ("/invocations", "404"): 1,
    }
    assert value(metrics, "records_total") == 9
    assert "GET /models lists them" in model.json()["error"]["message"]
    lines = [line for line in server.log.read_text().splitlines() if "Invocation answered" in line]
    assert len(lines) == 3
    assert all(f"model_version={artifact.manifest.model_version}" in line for line in lines)


def test_a_payload_that_is_only_claimed_does_not_fill_the_sum(start: Starter, store_path: Path) -> None:
    """A sum that one header can fill would end all counting."""
    server = start("--store", str(store_path), SAGEMAKER_MAX_PAYLOAD_IN_MB="1")
    url = httpx.URL(server.url)
    for _ in range(2):
        with socket.create_connection((url.host, url.port or 0), DEADLINE_S) as connection:
            connection.sendall(
                b"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (2**64 - 2)
            )
            assert connection.recv(100).startswith(b"HTTP/1.1 413 ")
    assert post(server, BODY) == 200

    metrics = scrape(server)

    assert value(metrics, "payload_bytes_sum") == len(BODY) + 2 * (2**20 + 1)
    assert value(metrics, "requests_total", route="/invocations", status="413") == 2
    assert "Traceback" not in server.log.read_text()
