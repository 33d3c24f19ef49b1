"""Provide what tests of every room share: a trained model, a store of it, a running server."""

import os
import re
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Protocol

import httpx
import pytest
from hypothesis import settings

from service.artifact import Artifact, read_artifact
from service.store import Store

DEADLINE_S = 60

# How long an example takes depends on the machine's other work: benchmarks measure time, tests do not.
settings.register_profile("segserve", deadline=None)
settings.load_profile("segserve")

pytest_plugins = ["tests.conformance.table"]


@dataclass
class RunningServer:
    """Hold a `segserve serve` process that has said it is ready."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def stop(self) -> int:
        """Send SIGTERM and return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE_S)


def wait_until(
    condition: Callable[[], object], *, what: str, deadline_s: float = DEADLINE_S, interval_s: float = 0.02
) -> None:
    """Poll until a condition holds; fail the test when it does not in time."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"waited {deadline_s} s in vain for {what}")
        time.sleep(interval_s)


def is_running(pid: int) -> bool:
    """Tell whether a process is there and has not ended; needs /proc."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def do_without(reason: str) -> NoReturn:
    """Skip visibly on a laptop that lacks something; where SEGSERVE_CI is set, nothing may be missing."""
    if os.environ.get("SEGSERVE_CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def clean_environment(**variables: str) -> dict[str, str]:
    """Return this process's environment without settings of the service, and with `variables`.

    Servers do without the compiled kernel, which the image has: so both ways of answering see every test.
    SEGSERVE_KERNEL=on runs them with it.
    """
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("SERVICE_", "SAGEMAKER_"))
    }
    kernel = os.environ.get("SEGSERVE_KERNEL", "off")
    return {**kept, "PYTHONUNBUFFERED": "1", "SERVICE_KERNEL": kernel, **variables}


class Starter(Protocol):
    """Start a server that ends with its test at the latest."""

    def __call__(self, *arguments: str, **variables: str) -> RunningServer: ...


def start_server(folder: Path, *arguments: str, **variables: str) -> RunningServer:
    """Start `segserve serve` on a free port and wait until it is ready."""
    log = folder / f"server-{time.monotonic_ns()}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "service", "serve", "--port", "0", "--host", "127.0.0.1", *arguments],
            env=clean_environment(**variables),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    server = RunningServer(process, "", log)
    wait_until(
        lambda: "Ready on" in log.read_text() or process.poll() is not None, what="the server to be ready"
    )
    ready = re.search(r"Ready on (http[^\s\"]+)", log.read_text())
    assert ready, f"the server did not start:\n{log.read_text()}"
    server.url = ready[1]
    return server


@pytest.fixture(name="sample_path", scope="session")
def _sample_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from service.training.sample import write_sample

    path = tmp_path_factory.mktemp("sample") / "customers.csv"
    write_sample(path)
    return path


@pytest.fixture(name="store_path", scope="session")
def _store_path(tmp_path_factory: pytest.TempPathFactory, sample_path: Path) -> Path:
    """Return a store with one version, of four segments; tests must not write to it."""
    from service.training.dataset import read_dataset
    from service.training.hyperparameters import Hyperparameters
    from service.training.trainer import train

    root = tmp_path_factory.mktemp("store")
    dataset = read_dataset([sample_path], mapping={}, rejects_path=root / "rejects.csv")
    trained = train(dataset, Hyperparameters(k=4), on_progress=lambda *_: None)
    Store(root).add(trained.files, provenance=trained.provenance)
    return root


@pytest.fixture(name="model_dir", scope="session")
def _model_dir(store_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model as SageMaker unpacks it, readable by any user."""
    folder = tmp_path_factory.mktemp("unpacked") / "model"
    folder.mkdir(mode=0o755)
    with tarfile.open(Store(store_path).resolve()) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(name="artifact", scope="session")
def _artifact(store_path: Path) -> Artifact:
    return read_artifact(Store(store_path).resolve())


@pytest.fixture(name="server", scope="session")
def _server(tmp_path_factory: pytest.TempPathFactory, store_path: Path) -> Iterator[RunningServer]:
    """Run one server for all tests that only ask it questions."""
    server = start_server(tmp_path_factory.mktemp("server"), "--store", str(store_path))
    yield server
    assert server.stop() == 0


@pytest.fixture(name="client", scope="session")
def _client(server: RunningServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=DEADLINE_S) as client:
        yield client


@pytest.fixture(name="start")
def _start(tmp_path: Path) -> Iterator[Starter]:
    """Provide what starts servers that end with the test."""
    servers: list[RunningServer] = []

    def start(*arguments: str, **variables: str) -> RunningServer:
        servers.append(start_server(tmp_path, *arguments, **variables))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.stop()
