"""C13 to C20: GET /ping."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conformance.conftest import Starter, only_in_a_container
from tests.conformance.containers import ContainerRun
from tests.conformance.load import CLIENTS, Latencies
from tests.conformance.targets import Launch, Server
from tests.conformance.wire import ask, status_of, wait_until

PING_S = 2
"""C14: the longest that a ping may take."""


@pytest.mark.clause("C13")
def test_c13_ping_answers_200_with_an_empty_body(server: Server) -> None:
    answer = ask(server.address, "GET", "/ping")

    assert answer.status == 200
    assert answer.body == b""
    assert answer.headers["content-length"] == "0"


@pytest.mark.timing
@pytest.mark.clause("C14", "C32", "C139")
def test_c14_ping_answers_within_two_seconds_while_large_payloads_are_scored(
    latencies: Latencies, record_property: Callable[[str, object], None]
) -> None:
    record_property("ping_p999_ms", round(1000 * latencies.ping_quantile_s(0.999), 1))
    record_property("ping_p50_ms", round(1000 * latencies.ping_quantile_s(0.5), 1))
    record_property("slowest_25_mb_s", round(latencies.slowest_invocation_s, 2))

    assert latencies.invocations >= CLIENTS
    assert latencies.refusals == frozenset()
    assert latencies.ping_statuses == {200}
    assert len(latencies.pings_s) >= 1000
    assert latencies.ping_quantile_s(0.999) < PING_S


@pytest.mark.timing
@pytest.mark.clause("C14")
def test_c14_ping_answers_within_two_seconds_when_nothing_happens(tuned_server: Server) -> None:
    statuses = {status_of(tuned_server.address) for _ in range(50)}

    assert statuses == {200}


@pytest.mark.clause("C15")
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
def test_c15_ping_takes_the_methods_that_the_pages_name(server: Server, method: str) -> None:
    answer = ask(server.address, method, "/ping")

    assert (answer.status, answer.body) == (200, b"")


@pytest.mark.clause("C16", "C117")
def test_c16_the_first_healthy_ping_comes_within_the_start_up_window(
    server: Server, record_property: Callable[[str, object], None]
) -> None:
    record_property("start_s", round(server.start_s, 2))

    assert server.start_s < 60


@pytest.mark.clause("C17", "C118")
@pytest.mark.parametrize("damage", ["truncated", "foreign"])
def test_c17_a_model_that_cannot_be_used_is_never_healthy(
    start: Starter, prefix_path: Path, damage: str
) -> None:
    for path in (prefix_path / "model").iterdir():
        path.write_bytes(path.read_bytes()[:-20] if damage == "truncated" else b"no model")

    running = start(Launch(prefix_path))
    wait_until(
        lambda: running.exit_code() is not None or status_of(running.address) is not None,
        what="an exit or an answer",
    )

    assert running.exit_code() not in {None, 0} or status_of(running.address) == 503
    assert "Traceback" not in running.output()


@pytest.mark.clause("C18")
def test_c18_pings_are_not_logged(server: Server) -> None:
    before = server.running.output()
    for _ in range(20):
        ask(server.address, "GET", "/ping")

    assert "/ping" not in server.running.output().removeprefix(before)


@pytest.mark.clause("C19")
@only_in_a_container
def test_c19_the_health_check_of_the_image_does_no_harm(contained: ContainerRun) -> None:
    health = contained.inspect()["State"].get("Health", {"Status": "none"})

    assert health["Status"] in {"none", "starting", "healthy"}


@pytest.mark.clause("C20")
def test_c20_the_model_is_loaded_before_the_first_ping(batch_server: Server) -> None:
    assert batch_server.first_statuses == {200}
