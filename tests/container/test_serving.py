"""What `docker run IMAGE serve` does, however it is run (C1 to C8, C13 to C19, C34 to C45, C66, C129)."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import wait_until
from tests.container.engine import BODY, Container, container, run_to_end

READ_ONLY = ("--read-only", "--tmpfs", "/tmp")
USER = ("--user", "1000:1000")
HARDENED = (*READ_ONLY, *USER, "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
WAYS = {
    "as root": (),
    "read-only": READ_ONLY,
    "as user 1000": USER,
    "hardened": HARDENED,
    "in 512 MB": ("--memory", "512m"),
    "on one processor": ("--cpus", "1"),
    "without environment": ("--env-file", "/dev/null"),
    "on a terminal": ("--tty", "--interactive"),
    "with an odd hostname": ("--hostname", "model.aws.local-1_x"),
    "with little shared memory": ("--shm-size", "64k"),
    "with two workers": ("--env", "SAGEMAKER_MODEL_SERVER_WORKERS=2"),
    "as root without capabilities": ("--cap-drop", "ALL"),
}
PING_INSIDE = "import urllib.request as u; print(u.urlopen('http://localhost:8080/ping').status)"
HEALTHCHECK = ("python", "-B", "-I", "-S", "/opt/segserve/healthcheck.py")


@pytest.fixture(name="running")
def _running(image: str, mount: tuple[str, ...]) -> Iterator[Container]:
    with container(image, "serve", options=mount) as running:
        running.wait_until_ready()
        yield running


def labels(running: Container) -> list[int]:
    answer = httpx.post(
        f"{running.url()}/invocations", content=BODY, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 200, answer.text
    found: list[int] = answer.json()
    return found


@pytest.mark.parametrize("options", WAYS.values(), ids=WAYS.keys())
def test_serve_answers_however_it_is_run(
    image: str, mount: tuple[str, ...], options: tuple[str, ...], client: httpx.Client
) -> None:
    with container(image, "serve", options=(*mount, *options)) as running:
        running.wait_until_ready()
        ping = httpx.get(f"{running.url()}/ping")

        assert (ping.status_code, ping.content) == (200, b"")
        assert labels(running) == client.post("/invocations", content=BODY).json()
        assert running.listening_ports() == {8080}
        assert not [path for path in running.changes() if not path.startswith("/tmp")]
        assert running.stop() == 0


def test_serve_needs_no_network(image: str, model_dir: Path) -> None:
    options = ("--volume", f"{model_dir}:/opt/ml/model:ro", "--network", "none")
    with container(image, "serve", options=options) as running:
        running.wait_until_ready()

        assert running.run_inside("python", "-c", PING_INSIDE).strip() == "200"


def test_serve_listens_where_sagemaker_says(image: str, mount: tuple[str, ...]) -> None:
    options = (*mount, "--publish", "127.0.0.1::9090", "--env", "SAGEMAKER_BIND_TO_PORT=9090")
    with container(image, "serve", options=options) as running:
        running.wait_until_ready()

        assert running.answers(9090)
        assert not running.answers(8080)
        assert running.listening_ports() == {9090}
        assert running.run_inside(*HEALTHCHECK) == ""


def test_no_argument_serves(image: str, mount: tuple[str, ...]) -> None:
    with container(image, options=mount) as running:
        running.wait_until_ready()

        assert running.answers()


def test_the_command_may_be_the_entry_point(image: str, mount: tuple[str, ...]) -> None:
    with container(image, "serve", options=(*mount, "--entrypoint", "segserve")) as running:
        running.wait_until_ready()

        assert running.answers()
        assert running.stop() == 0


def test_demo_needs_nothing(image: str) -> None:
    with container(image, "demo", options=("--publish", "127.0.0.1::8080", *HARDENED)) as running:
        running.wait_until_ready()

        assert len(labels(running)) == 2


def test_an_unknown_argument_is_refused_with_usage(image: str) -> None:
    code, output = run_to_end(image, "srve")

    assert code == 2
    assert "Usage: segserve" in output
    assert "srve" in output


def test_serve_without_a_model_says_so(image: str) -> None:
    code, output = run_to_end(image, "serve")

    assert code == 3
    assert "/opt/ml/model holds no model" in output


def test_serve_refuses_a_model_that_is_corrupt(image: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir(mode=0o755)
    (folder / "manifest.json").write_text("{}")
    code, output = run_to_end(image, "serve", options=("--volume", f"{folder}:/opt/ml/model:ro"))

    assert code == 3
    assert "Traceback" not in output


def test_serve_refuses_a_setting_it_does_not_know(image: str, mount: tuple[str, ...]) -> None:
    code, output = run_to_end(image, "serve", options=(*mount, "--env", "SERVICE_PORT=eighty"))

    assert code == 2
    assert "SERVICE_PORT" in output


def test_root_is_dropped_before_the_first_request(running: Container) -> None:
    status = dict(line.split(":\t", 1) for line in running.read("/proc/1/status").splitlines())

    assert status["Uid"].split() == ["65534"] * 4
    assert status["Gid"].split() == ["65534"] * 4
    assert int(status["CapEff"], 16) == 0
    assert running.output().count("Privileges dropped uid=65534") == 1


def test_nothing_is_dropped_where_there_is_no_root(image: str, mount: tuple[str, ...]) -> None:
    with container(image, "serve", options=(*mount, *USER)) as running:
        running.wait_until_ready()

        assert "Privileges" not in running.output()


def test_the_server_is_process_one(running: Container) -> None:
    assert running.read("/proc/1/cmdline").split("\0")[:4] == ["python", "-m", "service", "serve"]


def test_nothing_is_written_below_the_model(running: Container) -> None:
    labels(running)

    assert not [path for path in running.changes() if path.startswith("/opt")]


@pytest.mark.timing
def test_an_idle_server_stops_at_once(running: Container) -> None:
    began = time.monotonic()

    assert running.stop(grace_s=30) == 0
    assert time.monotonic() - began < 10


def test_stop_lets_a_request_in_flight_finish(running: Container) -> None:
    """C4: the answer comes, new connections are refused meanwhile, and nothing has to be killed."""
    host, _, port = running.url().removeprefix("http://").rpartition(":")
    codes: list[int] = []
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        head = f"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BODY)}\r\n\r\n"
        connection.sendall(head.encode() + BODY[:5])
        stopping = threading.Thread(target=lambda: codes.append(running.stop(grace_s=30)))
        stopping.start()
        wait_until(lambda: running.listening_ports() == set(), what="the port to be closed")
        connection.sendall(BODY[5:])
        answer = connection.recv(4096)
        stopping.join(60)

    assert answer.startswith(b"HTTP/1.1 200")
    assert codes == [0]


def test_health_check_turns_healthy(image: str, mount: tuple[str, ...]) -> None:
    with container(image, "serve", options=(*mount, "--health-interval", "1s")) as running:
        wait_until(
            lambda: running.inspect()["State"]["Health"]["Status"] == "healthy", what="the health check"
        )


def test_health_check_fails_without_a_server(image: str) -> None:
    code, _ = run_to_end(image, *HEALTHCHECK[1:], options=("--entrypoint", "python"))

    assert code == 1


@pytest.mark.timing
def test_start_is_quick(image: str, mount: tuple[str, ...]) -> None:
    """C16: SageMaker waits minutes; a test machine may be busy, so this only catches the absurd."""
    began = time.monotonic()
    with container(image, "serve", options=mount) as running:
        wait_until(running.answers, what="the first ping")

        assert time.monotonic() - began < 30
