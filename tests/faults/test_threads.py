"""Many threads and Python's own checks: every answer is the one that a single caller gets."""

import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from service.serving.invocation import ServedModel, invoke
from tests.conftest import DEADLINE_S, Starter
from tests.serving.conftest import RECORDS, make_served, payloads, single_payloads

THREADS = 8
ROUNDS = 40


@pytest.fixture(name="many_switches")
def _many_switches() -> Iterator[None]:
    """Let threads take turns a thousand times as often as usual."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("many_switches")
def test_answers_do_not_depend_on_other_threads() -> None:
    models = [make_served(k, seed=k) for k in (2, 4, 8)]
    bodies = [*payloads([*RECORDS] * 50).values(), *single_payloads(RECORDS[0]).values(), ("text/csv", b"x")]
    asks = [
        (model, content_type or "", body, accept)
        for model in models
        for content_type, body in bodies
        for accept in ("application/json", "text/csv; detail=full")
    ]

    def ask(model: ServedModel, content_type: str, body: bytes, accept: str) -> tuple[int, bytes]:
        reply = invoke(body, content_type=content_type, accept=accept, attributes="", model=model)
        return reply.status, reply.body

    expected = [ask(*each) for each in asks]
    barrier = threading.Barrier(THREADS)

    def ask_all(seed: int) -> list[int]:
        barrier.wait()
        order = [(place * 31 + seed * 17) % len(asks) for place in range(len(asks))]
        return [place for place in order if ask(*asks[place]) != expected[place]]

    with ThreadPoolExecutor(THREADS) as pool:
        wrong = list(pool.map(ask_all, range(THREADS)))

    assert wrong == [[]] * THREADS


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_name_that_is_swapped_under_load_is_one_model_or_the_other(
    start: Starter, store_path: Path, workers: str
) -> None:
    """Callers in threads, while the name is unloaded and loaded: 200, or 404 in between; nothing else."""
    archive = next(store_path.glob("*/model.tar.gz"))
    server = start("--workers", workers, SAGEMAKER_MULTI_MODEL="true")
    url = f"{server.url}/models/swapped/invoke"
    stopping = threading.Event()
    seen: list[set[tuple[int, str]]] = [set() for _ in range(THREADS)]

    def ask(number: int) -> None:
        with httpx.Client(timeout=DEADLINE_S) as client:
            while not stopping.is_set():
                answer = client.post(url, content=b"[[25, 1250.0]]")
                text = answer.text if answer.status_code == 200 else answer.json()["error"]["code"]
                seen[number].add((answer.status_code, text))

    with httpx.Client(base_url=server.url, timeout=DEADLINE_S) as client, ThreadPoolExecutor(THREADS) as pool:
        load = {"model_name": "swapped", "url": str(archive)}
        assert client.post("/models", json=load).status_code == 200
        expected = client.post("/models/swapped/invoke", content=b"[[25, 1250.0]]").text
        asking = [pool.submit(ask, number) for number in range(THREADS)]
        for _ in range(ROUNDS):
            assert client.delete("/models/swapped").status_code == 200
            assert client.post("/models", json=load).status_code == 200
        stopping.set()
        for future in asking:
            future.result(DEADLINE_S)

    assert set().union(*seen) <= {(200, expected), (404, "ModelNotLoaded")}
    assert (200, expected) in set().union(*seen)
    assert server.stop() == 0
    assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_python_in_development_mode_finds_nothing(start: Starter, store_path: Path, workers: str) -> None:
    """-X dev: unclosed files and sockets, calls of the loop from other threads, misused memory."""
    variables = {"PYTHONDEVMODE": "1", "PYTHONWARNINGS": "default", "SERVICE_LOG_LEVEL": "warning"}
    server = start("--store", str(store_path), "--workers", workers, **variables)
    large = b"25,1250\n" * 20_000
    with httpx.Client(base_url=server.url, timeout=DEADLINE_S) as client:
        for content_type, body in payloads(RECORDS).values():
            headers = {"Content-Type": content_type} if content_type else {}
            assert client.post("/invocations", content=body, headers=headers).status_code == 200
        for _ in range(4):
            answer = client.post("/invocations", content=large, headers={"Content-Type": "text/csv"})
            assert answer.status_code == 200
        for path in ("/ping", "/metrics", "/live", "/model", "/", "/docs", "/nowhere"):
            client.get(path)
    assert server.stop() == 0

    log = server.log.read_text()
    assert "Warning" not in log, log
    assert "Traceback" not in log, log
    assert "took" not in log, log  # asyncio, of a callback that held up the loop
