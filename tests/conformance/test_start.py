"""C1 to C12: start, signals and ports."""

import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conformance.conftest import only_in_a_container
from tests.conformance.containers import ContainerRun, ContainerTarget
from tests.conformance.load import Latencies
from tests.conformance.targets import PORT, Launch, Server, Target, run, serve
from tests.conformance.trees import RECORDS
from tests.conformance.wire import ask, ask_on, connect, free_port, is_refused, status_of, wait_until

STOP_S = 30
"""C4: SIGKILL comes this long after SIGTERM."""


@pytest.mark.clause("C1", "C114")
def test_c1_serve_starts_a_server_and_other_words_do_not(
    target: Target, server: Server, tmp_path: Path
) -> None:
    outcome = run(target, Launch(tmp_path, ("sing",), {}))

    assert status_of(server.address) == 200
    assert outcome.exit_code != 0
    assert "sing" in outcome.output
    assert "Traceback" not in outcome.output


@pytest.mark.clause("C1")
def test_c1_the_image_serves_when_nothing_is_asked(container: ContainerTarget, prefix_path: Path) -> None:
    server = serve(container, Launch(prefix_path, ()))
    server.running.remove()


@pytest.mark.clause("C2")
@only_in_a_container
def test_c2_the_entry_point_is_a_program_and_no_shell(
    container: ContainerTarget, contained: ContainerRun
) -> None:
    entry_point = container.inspect()["Config"]["Entrypoint"]

    assert isinstance(entry_point, list)
    assert entry_point[:2] != ["/bin/sh", "-c"]
    assert contained.inside("cat", "/proc/1/comm").strip() not in {"sh", "bash", "dash"}


@pytest.mark.clause("C3")
def test_c3_no_init_program_stands_before_the_server(container: ContainerTarget) -> None:
    entry_point = container.inspect()["Config"]["Entrypoint"]

    assert Path(entry_point[0]).name not in {"tini", "dumb-init", "init", "catatonit"}


@pytest.mark.timing
@pytest.mark.clause("C4", "C141")
def test_c4_sigterm_lets_requests_in_flight_end_and_refuses_new_ones(
    target: Target, prefix_path: Path, record_property: Callable[[str, object], None]
) -> None:
    server = serve(target, Launch(prefix_path))
    running = server.running
    head = f"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Length: {len(RECORDS)}\r\n"
    try:
        with socket.create_connection(server.address, timeout=STOP_S) as connection:
            # An answer to Expect proves that the request is in flight.
            connection.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
            assert connection.recv(4096).startswith(b"HTTP/1.1 100 ")
            connection.sendall(RECORDS[:10])
            since = time.monotonic()
            running.terminate()
            wait_until(lambda: is_refused(server.address), what="refusal", deadline_s=STOP_S)
            was_running = running.exit_code() is None
            connection.sendall(RECORDS[10:])
            answer = connection.recv(4096)
        code = running.wait(deadline_s=STOP_S)
        took_s = time.monotonic() - since
    finally:
        running.remove()

    record_property("drain_s", round(took_s, 2))
    assert was_running
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert code in {0, 143, -15}
    assert took_s < STOP_S


@pytest.mark.clause("C5")
def test_c5_the_image_starts_as_root(container: ContainerTarget) -> None:
    assert container.inspect()["Config"]["User"] in {"", "root", "0", "0:0"}


@pytest.mark.clause("C6", "C117")
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reaches the other address")
def test_c6_the_server_listens_on_all_interfaces(server: Server) -> None:
    assert status_of(server.running.other_address()) == 200


@pytest.mark.clause("C6")
@only_in_a_container
def test_c6_the_image_listens_on_port_8080(contained: ContainerRun) -> None:
    assert contained.listening_ports() == {8080}


@pytest.mark.clause("C7", "C8")
def test_c7_the_server_listens_only_where_sagemaker_says(target: Target, prefix_path: Path) -> None:
    port = free_port()
    server = serve(target, Launch(prefix_path, environment={PORT: str(port)}))
    try:
        ports = server.running.listening_ports()
        status = status_of(server.address)
    finally:
        server.running.remove()

    assert status == 200
    assert ports == {port}


@pytest.mark.clause("C7")
def test_c7_the_image_says_that_its_port_can_be_chosen(container: ContainerTarget) -> None:
    labels = container.inspect()["Config"]["Labels"]

    assert labels["com.amazonaws.sagemaker.capabilities.accept-bind-to-port"] == "true"


@pytest.mark.clause("C8")
def test_c8_one_port_listens_even_with_several_workers(tuned_server: Server) -> None:
    assert len(tuned_server.running.listening_ports()) == 1


@pytest.mark.clause("C9")
def test_c9_connections_are_taken_within_250_ms_under_load(latencies: Latencies) -> None:
    assert latencies.connects_s
    assert max(latencies.connects_s) < 0.25


@pytest.mark.clause("C10")
@pytest.mark.parametrize("host", ["model.aws.local:8080", "10.32.0.2", "a"])
def test_c10_any_host_header_is_taken(server: Server, host: str) -> None:
    answer = ask(server.address, "GET", "/ping", headers={"Host": host, "User-Agent": "AHC/2.0"})

    assert answer.status == 200


@pytest.mark.clause("C11")
@only_in_a_container
def test_c11_the_host_name_of_the_container_does_not_matter(contained: ContainerRun) -> None:
    assert contained.inside("hostname").strip() == "algo-1-Odd.example"
    assert status_of(contained.address) == 200


@pytest.mark.clause("C12")
def test_c12_one_connection_takes_several_requests(server: Server) -> None:
    with connect(server.address) as connection:
        statuses = [ask_on(connection, "GET", "/ping").status]
        first_socket = connection.sock
        statuses += [ask_on(connection, "POST", "/invocations", RECORDS).status for _ in range(3)]

        assert connection.sock is first_socket
    assert statuses == [200] * 4


@pytest.mark.clause("C12")
def test_c12_a_client_that_closes_each_connection_is_served(server: Server) -> None:
    answers = [ask(server.address, "GET", "/ping", headers={"Connection": "close"}) for _ in range(3)]

    assert [answer.status for answer in answers] == [200] * 3
