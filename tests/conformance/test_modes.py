"""C60 to C72: streaming, async, serverless, pipelines, capture."""

import csv
import io

import pytest

from tests.conformance.containers import ContainerTarget
from tests.conformance.targets import Server
from tests.conformance.trees import CSV_RECORDS, GROUPS, JSON_LINE_RECORDS, RECORDS
from tests.conformance.wire import ATTRIBUTES, CSV, JSON, JSON_LINES, NPY, Answer, ask, invoke, status_of

LABELS = "com.amazonaws.sagemaker.capabilities."


@pytest.mark.clause("C60")
def test_c60_a_streaming_call_gets_a_whole_answer(server: Server) -> None:
    answer = invoke(server.address, RECORDS, X_Amzn_SageMaker_Accept=JSON)

    assert answer.status == 200
    assert len(answer.json()) == len(GROUPS)


@pytest.mark.clause("C61")
def test_c61_there_is_no_bidirectional_stream(server: Server) -> None:
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}

    assert ask(server.address, "GET", "/invocations-bidirectional-stream", headers=headers).status == 404
    assert status_of(server.address) == 200


@pytest.mark.clause("C68", "C61")
def test_c68_the_image_promises_nothing_that_it_was_not_built_for(container: ContainerTarget) -> None:
    labels = container.inspect()["Config"]["Labels"]

    assert labels.get(f"{LABELS}bidirectional-streaming") != "true"
    assert labels.get(f"{LABELS}multi-models") in {"true", "false"}


@pytest.mark.clause("C62")
@pytest.mark.parametrize("session", ["NEW_SESSION", "0b6f1a2c-session"])
def test_c62_sessions_are_ignored(server: Server, session: str) -> None:
    answer = invoke(server.address, RECORDS, X_Amzn_SageMaker_Session_Id=session)

    assert answer.status == 200
    assert [name for name in answer.headers if "session" in name] == []


@pytest.mark.clause("C63")
def test_c63_a_large_async_payload_takes_less_than_a_gigabyte(
    hundred_mb: tuple[Answer, int], batch_server: Server
) -> None:
    assert hundred_mb[0].status == 200
    assert batch_server.running.peak_memory_bytes() < 2**30


@pytest.mark.clause("C64")
def test_c64_the_image_is_small_enough_for_serverless(container: ContainerTarget) -> None:
    assert container.inspect()["Size"] <= 10 * 10**9


@pytest.mark.clause("C66")
def test_c66_an_unprivileged_user_with_nothing_but_tmp_can_serve(batch_server: Server) -> None:
    """The container runs with --user 1000:1000 --read-only --tmpfs /tmp --shm-size 64k."""
    assert invoke(batch_server.address, RECORDS).status == 200


@pytest.mark.clause("C67")
def test_c67_one_cpu_gets_one_worker(batch_server: Server) -> None:
    """The container runs with --cpus 1."""
    assert batch_server.running.process_count() == 1


@pytest.mark.clause("C69")
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/models"), ("GET", "/models"), ("DELETE", "/models/a")]
)
def test_c69_a_server_of_one_model_has_no_multi_model_routes(server: Server, method: str, path: str) -> None:
    answer = ask(server.address, method, path)

    assert answer.status == 404
    assert answer.content_type == JSON


@pytest.mark.clause("C70", "C126")
def test_c70_what_the_container_before_sends_is_read_and_the_one_after_can_read_on(server: Server) -> None:
    answer = invoke(server.address, CSV_RECORDS, "text/csv; charset=utf-8", CSV)

    assert answer.status == 200
    assert answer.content_type == CSV
    rows = list(csv.reader(io.StringIO(answer.body.decode())))
    assert [len(row) for row in rows] == [1] * len(GROUPS)
    assert {int(row[0]) for row in rows} == set(range(len(GROUPS)))


@pytest.mark.clause("C71")
@pytest.mark.parametrize("accept", [JSON, CSV, JSON_LINES, NPY])
def test_c71_data_capture_sees_an_exact_content_type(server: Server, accept: str) -> None:
    bodies = {JSON: RECORDS, CSV: CSV_RECORDS, JSON_LINES: JSON_LINE_RECORDS}

    types = {invoke(server.address, body, kind, accept).content_type for kind, body in bodies.items()}

    assert types == {accept}


@pytest.mark.clause("C72", "C50")
def test_c72_the_same_request_gets_the_same_answer_again(server: Server) -> None:
    headers = {"Content-Type": JSON, ATTRIBUTES: "detail=full"}
    answers = [ask(server.address, "POST", "/invocations", RECORDS, headers) for _ in range(3)]

    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1
