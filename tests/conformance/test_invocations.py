"""C21 to C33: POST /invocations."""

import io
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.conformance.load import LARGE, Latencies, csv_body, json_body
from tests.conformance.targets import Server
from tests.conformance.trees import CSV_RECORDS, GROUPS, JSON_LINE_RECORDS, RECORDS
from tests.conformance.wire import (
    ATTRIBUTES,
    CSV,
    JSON,
    JSON_LINES,
    NPY,
    OCTETS,
    Answer,
    ask,
    ask_on,
    connect,
    invoke,
    status_of,
    wait_until,
)

ERROR_STATUSES = {400, 404, 405, 406, 413, 415, 500, 503, 504}
MAX_ERROR_BYTES = 2048


def npy_body(kind: str = "<f8") -> bytes:
    file = io.BytesIO()
    np.save(file, np.array(GROUPS, dtype=kind), allow_pickle=False)
    return file.getvalue()


def labels(answer: Answer) -> list[int]:
    assert answer.status == 200, answer.body[:300]
    found = answer.json()
    assert isinstance(found, list)
    return found


def all_labels() -> set[int]:
    return set(range(len(GROUPS)))


@pytest.mark.clause("C21")
def test_c21_records_come_back_as_labels_in_their_order(server: Server) -> None:
    forward = labels(invoke(server.address, RECORDS))
    backward = labels(invoke(server.address, json.dumps(GROUPS[::-1]).encode()))

    assert set(forward) == all_labels()
    assert backward == forward[::-1]


@pytest.mark.clause("C22")
def test_c22_headers_that_nobody_knows_change_nothing(server: Server) -> None:
    plain = invoke(server.address, RECORDS)
    headers = {f"X_Amzn_SageMaker_Unknown_{number}": "x" * 200 for number in range(20)}

    answer = invoke(server.address, RECORDS, X_Amzn_SageMaker_Forwarded_Api="InvokeEndpoint", **headers)

    assert (answer.status, answer.body) == (200, plain.body)


@pytest.mark.clause("C23", "C131")
@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        (None, RECORDS, 200),
        (None, CSV_RECORDS, 200),
        ("application/json", RECORDS, 200),
        ("application/json; charset=utf-8", RECORDS, 200),
        ("application/json;charset=UTF-8", RECORDS, 200),
        ("APPLICATION/JSON", RECORDS, 200),
        ("text/csv", CSV_RECORDS, 200),
        ("text/csv; charset=utf-8", CSV_RECORDS, 200),
        ("Text/CSV; header=absent", CSV_RECORDS, 200),
        ("application/jsonlines", JSON_LINE_RECORDS, 200),
        ("application/x-npy", npy_body(), 200),
        ("text/plain", CSV_RECORDS, 415),
        ("image/png", RECORDS, 415),
        ("x" * 1024, RECORDS, 415),
    ],
)
def test_c23_a_payload_is_read_by_its_content_type(
    server: Server, content_type: str | None, body: bytes, status: int
) -> None:
    answer = invoke(server.address, body, content_type)

    assert answer.status == status
    if status == 200:
        assert set(answer.json()) == all_labels()


@pytest.mark.clause("C24")
@pytest.mark.parametrize("body", [RECORDS, CSV_RECORDS, JSON_LINE_RECORDS])
def test_c24_the_default_content_type_of_the_sdk_is_read(server: Server, body: bytes) -> None:
    answer = invoke(server.address, body, OCTETS, "*/*")

    assert set(labels(answer)) == all_labels()
    assert answer.content_type == JSON


@pytest.mark.clause("C25", "C127")
@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, JSON),
        ("*/*", JSON),
        ("application/json", JSON),
        ("text/csv", CSV),
        ("text/*", CSV),
        ("application/*", JSON),
        ("text/csv, application/json", CSV),
        ("text/csv;q=0.5, application/json", JSON),
        ("application/x-custom, text/csv;q=0.1", CSV),
        ("application/x-custom, */*;q=0.1", JSON),
        ("Application/JSONLines", JSON_LINES),
        ("application/x-npy", NPY),
        ("text/html", None),
        ("application/json;q=0, text/html", None),
    ],
)
def test_c25_accept_decides_the_form_of_the_answer(
    server: Server, accept: str | None, expected: str | None
) -> None:
    answer = invoke(server.address, RECORDS, JSON, accept)

    assert (answer.status, answer.content_type) == ((200, expected) if expected else (406, JSON))


@pytest.mark.clause("C25", "C89")
def test_c25_the_default_answer_can_be_set(tuned_server: Server) -> None:
    for accept in (None, "*/*"):
        answer = invoke(tuned_server.address, RECORDS, JSON, accept)

        assert (answer.status, answer.content_type) == (200, CSV)


@pytest.mark.clause("C26", "C121")
def test_c26_the_largest_payload_is_answered_within_a_minute(latencies: Latencies) -> None:
    assert latencies.slowest_invocation_s < 60


@pytest.mark.clause("C26", "C89")
def test_c26_an_answer_that_takes_too_long_is_given_up_with_504(tuned_server: Server) -> None:
    """The server has one second; full detail of a million records takes more."""
    answer = invoke(
        tuned_server.address, csv_body(12 * 2**20), CSV, CSV, X_Amzn_SageMaker_Custom_Attributes="detail=full"
    )

    assert answer.status == 504
    assert status_of(tuned_server.address) == 200


@pytest.mark.clause("C27", "C120")
@pytest.mark.parametrize("size_bytes", [6 * 2**20, LARGE])
@pytest.mark.parametrize("content_type", [JSON, CSV])
def test_c27_payloads_of_both_documented_limits_are_taken(
    server: Server, content_type: str, size_bytes: int
) -> None:
    body = json_body(size_bytes) if content_type == JSON else csv_body(size_bytes)

    answer = invoke(server.address, body, content_type, CSV)

    assert answer.status == 200
    assert answer.body.count(b"\n") == body.count(b"25,")


@pytest.mark.clause("C27", "C136")
@pytest.mark.parametrize("is_chunked", [False, True])
def test_c27_a_larger_payload_is_refused_with_413(server: Server, *, is_chunked: bool) -> None:
    body = json_body(LARGE + 1)
    chunks = (body[begin : begin + 2**20] for begin in range(0, len(body), 2**20))

    answer = invoke(server.address, chunks if is_chunked else body)

    assert answer.status == 413
    assert status_of(server.address) == 200


@pytest.mark.clause("C27")
def test_c27_a_refusal_comes_before_the_payload(server: Server) -> None:
    with connect(server.address) as connection:
        connection.putrequest("POST", "/invocations")
        connection.putheader("Content-Length", str(10 * LARGE))
        connection.endheaders()

        assert connection.getresponse().status == 413


@pytest.mark.clause("C28", "C93", "C132")
@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("POST", "/invocations", {"Content-Type": JSON}, 400),
        ("POST", "/invocations", {"Content-Type": CSV}, 400),
        ("POST", "/invocations", {"Content-Type": JSON_LINES}, 400),
        ("POST", "/invocations", {"Content-Type": NPY}, 400),
        ("POST", "/invocations", {"Content-Type": "text/html"}, 415),
        ("POST", "/invocations", {"Content-Type": JSON, "Accept": "text/html"}, 406),
        ("POST", "/nowhere", {"Content-Type": JSON}, 404),
        ("DELETE", "/invocations", {}, 405),
        ("PUT", "/ping", {}, 405),
    ],
)
def test_c28_every_error_is_small_json_without_trace_or_data(
    server: Server, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    body = b'[["CANARY-' + b"<&>" * 3000 + b'", 1]]'

    answer = ask(server.address, method, path, body, headers)

    assert answer.status == status
    assert status in ERROR_STATUSES
    assert answer.content_type == JSON
    assert len(answer.body) < MAX_ERROR_BYTES
    assert isinstance(answer.json(), dict)
    assert b"Traceback" not in answer.body
    assert b"CANARY" not in answer.body


@pytest.mark.clause("C29")
def test_c29_custom_attributes_come_back_only_where_they_were_sent(server: Server) -> None:
    trace = "trace=4711/b; c09:" + "x" * 1000
    name = ATTRIBUTES.replace("-", "_")

    assert invoke(server.address, RECORDS, **{name: trace}).headers[ATTRIBUTES.lower()] == trace
    assert ATTRIBUTES.lower() not in invoke(server.address, RECORDS).headers


@pytest.mark.clause("C29")
def test_c29_invisible_characters_never_come_back(server: Server) -> None:
    with connect(server.address) as connection:
        connection.putrequest("POST", "/invocations")
        connection.putheader(ATTRIBUTES, b"a\xc3\xa9\x09b")
        connection.putheader("Content-Length", str(len(RECORDS)))
        connection.endheaders(RECORDS)
        response = connection.getresponse()
        echoed = response.getheader(ATTRIBUTES) or ""

    assert response.status in {200, 400}
    assert all(" " <= character <= "~" for character in echoed)


@pytest.mark.clause("C30")
def test_c30_all_headers_of_the_api_are_taken_and_the_inference_id_is_logged(server: Server) -> None:
    headers = {
        "X_Amzn_SageMaker_Inference_Id": "conformance-c30-" + "x" * 40,
        "X_Amzn_SageMaker_Target_Variant": "AllTraffic",
        "X_Amzn_SageMaker_Target_Model": "m" * 1024,
        "X_Amzn_SageMaker_Target_Container_Hostname": "segments",
        "X_Amzn_SageMaker_Enable_Explanations": "`false`",
        "X_Amzn_SageMaker_Inference_Component": "component",
        "X_Amzn_SageMaker_Session_Id": "s" * 256,
        "X_Amzn_SageMaker_Prefix_Aware_Id": "p" * 64,
    }

    assert invoke(server.address, RECORDS, **headers).status == 200
    assert invoke(server.address, b"[", **headers).status == 400
    wait_until(lambda: "conformance-c30" in server.running.output(), what="the log line", deadline_s=10)


@pytest.mark.clause("C31", "C137")
def test_c31_csv_comes_without_a_charset(server: Server) -> None:
    assert invoke(server.address, RECORDS, JSON, "text/csv; charset=utf-8").content_type == CSV
    assert invoke(server.address, CSV_RECORDS, CSV, CSV).content_type == CSV


@pytest.mark.clause("C32")
def test_c32_fifty_clients_at_once_are_all_answered(server: Server) -> None:
    expected = labels(invoke(server.address, RECORDS))
    barrier = threading.Barrier(50)

    def send(_: int) -> list[list[int]]:
        with connect(server.address) as connection:
            barrier.wait()
            return [labels(ask_on(connection, "POST", "/invocations", RECORDS)) for _ in range(10)]

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(send, range(50)))

    assert answers == [[expected] * 10] * 50


@pytest.mark.clause("C33")
@pytest.mark.parametrize(("content_type", "body"), [(CSV, CSV_RECORDS), (JSON_LINES, JSON_LINE_RECORDS)])
def test_c33_large_mini_batches_of_clarify_are_answered(
    server: Server, content_type: str, body: bytes
) -> None:
    answer = invoke(server.address, body * 250, content_type, content_type)

    assert answer.status == 200
    assert len(answer.lines) == 1000
