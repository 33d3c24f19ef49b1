"""Provide the two targets and a few shared servers."""

import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from tests.conformance.batch import Strategy, Transform
from tests.conformance.containers import IMAGE, ContainerRun, ContainerTarget, why_not
from tests.conformance.load import Latencies, csv_body, measure_under_load
from tests.conformance.targets import (
    TRAINING,
    Launch,
    Outcome,
    ProcessTarget,
    Running,
    Server,
    Target,
    run,
    serve,
)
from tests.conformance.trees import JobTree, job_tree
from tests.conformance.wire import CSV, JSON_LINES, Answer, invoke

READ_ONLY: Final = ("--read-only", "--tmpfs", "/tmp")
ODD_HOST: Final = ("--hostname", "algo-1-Odd.example")
ISOLATED: Final = ("--network", "none", "--tty")
HUNDRED_MB: Final = 100 * 2**20

Starter = Callable[[Launch], Running]

only_in_a_container = pytest.mark.parametrize("target", ["container"], indirect=True, scope="session")
"""For what a process does not have."""


@pytest.fixture(name="process", scope="session")
def _process() -> Target:
    return ProcessTarget()


@pytest.fixture(name="container", scope="session")
def _container() -> ContainerTarget:
    """Return the image as a target; on a laptop without one, skip visibly."""
    reason = why_not()
    if reason and os.environ.get("SEGSERVE_CI"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    return ContainerTarget(os.environ[IMAGE])


@pytest.fixture(name="target", scope="session", params=["process", "container"])
def _target(request: pytest.FixtureRequest) -> Target:
    target: Target = request.getfixturevalue(request.param)
    return target


@pytest.fixture(name="model_path", scope="session")
def _model_path(tmp_path_factory: pytest.TempPathFactory, process: Target) -> Path:
    """Train once, by the training job, as a process; tests must not write to it."""
    tree = job_tree(tmp_path_factory.mktemp("model") / "ml")
    outcome = run(process, Launch(tree.prefix, ("train",), TRAINING))
    assert outcome.exit_code == 0, outcome.output
    return tree.model


@pytest.fixture(name="prefix_path")
def _prefix_path(tmp_path: Path, model_path: Path) -> Path:
    """Return a fresh tree with a model in it."""
    prefix = tmp_path / "ml"
    shutil.copytree(model_path, prefix / "model")
    return prefix


@pytest.fixture(name="start")
def _start(target: Target) -> Iterator[Starter]:
    """Start services that are gone after the test."""
    started: list[Running] = []

    def start(launch: Launch) -> Running:
        started.append(target.start(launch))
        return started[-1]

    yield start
    for running in started:
        running.remove()


def _shared(
    target: Target, factory: pytest.TempPathFactory, model_path: Path, **launch: object
) -> Iterator[Server]:
    prefix = factory.mktemp("shared") / "ml"
    shutil.copytree(model_path, prefix / "model")
    server = serve(target, Launch(prefix, **launch))  # type: ignore[arg-type]  # its own keywords
    yield server
    server.running.remove()


@pytest.fixture(name="unending", scope="session")
def _unending(
    target: Target, tmp_path_factory: pytest.TempPathFactory, model_path: Path
) -> Iterator[Future[tuple[int, float]]]:
    """Stop a server amid a request that never ends; return the exit code and the seconds until it came.

    This takes as long as the server's grace, so it happens beside the other tests.
    """
    for server in _shared(target, tmp_path_factory, model_path):
        with ThreadPoolExecutor(1) as pool, socket.create_connection(server.address) as connection:
            connection.sendall(b"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n[[1")
            since = time.monotonic()
            server.running.terminate()
            yield pool.submit(_time_exit, server.running, since)


def _time_exit(running: Running, since: float) -> tuple[int, float]:
    return running.wait(), time.monotonic() - since


@pytest.fixture(name="server", scope="session")
def _server(
    target: Target,
    tmp_path_factory: pytest.TempPathFactory,
    model_path: Path,
    unending: Future[tuple[int, float]],  # noqa: ARG001  # begins here
) -> Iterator[Server]:
    """Serve with nothing in the environment, nothing writable but /tmp, in 1 GB."""
    flags = (*READ_ONLY, *ODD_HOST, "--memory", "1g", "--memory-swap", "1g")
    yield from _shared(target, tmp_path_factory, model_path, flags=flags)


@pytest.fixture(name="contained")
def _contained(server: Server) -> ContainerRun:
    """Return the shared server as a container; for tests that are `only_in_a_container`."""
    assert isinstance(server.running, ContainerRun)
    return server.running


@pytest.fixture(name="batch_server", scope="session")
def _batch_server(
    target: Target, tmp_path_factory: pytest.TempPathFactory, model_path: Path
) -> Iterator[Server]:
    """Serve a batch job as an unprivileged user, on one CPU, in 512 MB."""
    environment = {
        "SAGEMAKER_BATCH": "True",
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": "100",
        "SAGEMAKER_BATCH_STRATEGY": "MultiRecord",
        "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": "1",
    }
    limits = ("--memory", "512m", "--memory-swap", "512m", "--cpus", "1", "--shm-size", "64k")
    flags = (*READ_ONLY, *limits, "--user", "1000:1000")
    yield from _shared(target, tmp_path_factory, model_path, environment=environment, flags=flags)


@pytest.fixture(name="tuned_server", scope="session")
def _tuned_server(
    target: Target, tmp_path_factory: pytest.TempPathFactory, model_path: Path
) -> Iterator[Server]:
    """Serve with as many and as long variables as SageMaker allows, on a writable file system."""
    environment = {
        "SAGEMAKER_MODEL_SERVER_WORKERS": "2",
        "SAGEMAKER_MODEL_SERVER_TIMEOUT": "1",
        "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": "text/csv",
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": "12",
        "SAGEMAKER_CONTAINER_LOG_LEVEL": "20",
        "SAGEMAKER_SAFE_PORT_RANGE": "20000-20100",
        "LONG_ONE": "x" * 1024,
        **{f"user_variable_{number}": "x" * 250 for number in range(93)},
    }
    yield from _shared(target, tmp_path_factory, model_path, environment=environment)


@pytest.fixture(name="latencies", scope="session")
def _latencies(server: Server) -> Latencies:
    return measure_under_load(server.address, server.running.other_address())


@pytest.fixture(name="hundred_mb", scope="session")
def _hundred_mb(batch_server: Server) -> tuple[Answer, int]:
    """Send 100 MB of CSV in chunks; return the answer and how many records there were."""
    body = csv_body(HUNDRED_MB)
    chunks = (body[begin : begin + 2**20] for begin in range(0, len(body), 2**20))
    return invoke(batch_server.address, chunks, CSV, CSV), body.count(b"\n")


@pytest.fixture(name="line_job")
def _line_job() -> Transform:
    return Transform(JSON_LINES, JSON_LINES, Strategy.MULTI_RECORD, max_payload_bytes=2**16)


@pytest.fixture(name="job", scope="session")
def _job(target: Target, tmp_path_factory: pytest.TempPathFactory) -> tuple[JobTree, Outcome]:
    """Train once with all that SageMaker provides: no network, a tty, nothing else writable."""
    tree = job_tree(tmp_path_factory.mktemp("job") / "ml")
    (tree.output / "data").mkdir()
    return tree, run(target, Launch(tree.prefix, ("train",), TRAINING, flags=(*READ_ONLY, *ISOLATED)))
