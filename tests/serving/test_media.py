"""Every content type, Accept and form of record against the running server (C21 to C31, C91 to C95)."""

import json

import httpx
import numpy as np
import pytest

from service.artifact import Artifact
from service.errors import InvalidPayloadError, NotAcceptableError, UnsupportedContentTypeError
from service.serving.media import Media, Plan, Reader, can_produce, make_plan
from service.settings import OnError
from tests.serving.conftest import (
    CSV,
    JSON,
    JSON_LINES,
    NDJSON,
    NPY,
    RECORDS,
    check_refusal,
    npy,
    payloads,
    post,
    raw_payloads,
    single_payloads,
)

FORMS = list(payloads(RECORDS))
SINGLE_FORMS = list(single_payloads(RECORDS[0]))
RAW_FORMS = list(raw_payloads([(1.0, 2.0, 3.0)]))

ACCEPTS = {
    None: JSON,
    "": JSON,
    "*/*": JSON,
    "application/*": JSON,
    "application/json": JSON,
    "APPLICATION/JSON; charset=utf-8": JSON,
    "text/csv": CSV,
    "Text/CSV;charset=utf-8": CSV,
    "text/*": CSV,
    "application/jsonlines": JSON_LINES,
    "application/x-jsonlines": "application/x-jsonlines",
    "application/x-ndjson": NDJSON,
    "application/x-npy": NPY,
    "text/csv, application/json": CSV,
    "text/csv;q=0.4, application/json;q=0.5": JSON,
    "text/html, application/xhtml+xml, text/csv;q=0.9, */*;q=0.8": CSV,
    "text/html, image/avif, */*;q=0.1": JSON,
    "application/json;q=0, application/x-npy; q=0.001": NPY,
    "text/csv;q=0, application/json": JSON,
    "text/csv ; q = 1 , application/json;q=0.9": CSV,
}

NOT_ACCEPTABLE = [
    "text/html",
    "image/*",
    "application/xml, text/plain;q=0.5",
    "application/json;q=0",
    "*/*;q=0",
    "text/csv;q=much",
    "application/x-npz",
    "json",
]


def written(labels: list[int], content_type: str) -> bytes:
    """Return the bytes that an answer must have."""
    if content_type == JSON:
        return json.dumps(labels).encode()
    if content_type == NPY:
        return npy(np.array(labels, dtype=np.int32))
    return "".join(f"{label}\n" for label in labels).encode()


@pytest.fixture(name="labels", scope="module")
def _labels(artifact: Artifact) -> list[int]:
    return [artifact.model.partition.assign_one(*record) for record in RECORDS]


def plan(content_type: str = "", accept: str = "", attributes: str = "", *, default: str = JSON) -> Plan:
    return make_plan(content_type, accept, attributes, default_accept=default, on_error=OnError.REJECT)


def test_the_records_of_these_tests_have_different_labels(labels: list[int]) -> None:
    assert len(set(labels)) >= 3


@pytest.mark.parametrize("accept", ACCEPTS)
@pytest.mark.parametrize("form", FORMS)
def test_invocations_answers_every_form_in_every_format(
    client: httpx.Client, labels: list[int], form: str, accept: str | None
) -> None:
    content_type, body = payloads(RECORDS)[form]

    response = post(client, body, content_type=content_type, accept=accept)

    assert response.content == written(labels, ACCEPTS[accept])
    assert response.status_code == 200
    assert response.headers["content-type"] == ACCEPTS[accept]


@pytest.mark.parametrize("form", SINGLE_FORMS)
def test_invocations_answers_one_record_in_every_form(
    client: httpx.Client, labels: list[int], form: str
) -> None:
    for record, label in zip(RECORDS, labels, strict=True):
        content_type, body = single_payloads(record)[form]

        response = post(client, body, content_type=content_type)

        assert response.content == b"[%d]" % label


@pytest.mark.parametrize("form", RAW_FORMS)
def test_invocations_derives_spending_power(client: httpx.Client, form: str) -> None:
    customers = [(25.0, 5000.0, 4.0), (70.0, 1200.0, 0.0), (33.0, 90000.0, 0.5), (51.0, 1.0, 3.0)]
    powers = [5000.0 / 4.0, 1200.0, 90000.0, 1.0 / 3.0]
    vectors = [[age, power] for (age, _, _), power in zip(customers, powers, strict=True)]
    expected = post(client, json.dumps(vectors).encode(), accept="application/json;detail=full")
    content_type, body = raw_payloads(customers)[form]

    response = post(client, body, content_type=content_type, accept="application/json;detail=full")

    assert response.content == expected.content


def test_invocations_answers_byte_for_byte_as_sagemaker_images_do(
    client: httpx.Client, labels: list[int]
) -> None:
    body = json.dumps(RECORDS[:2]).encode()
    first, second = labels[:2]

    as_json = post(client, body)
    as_csv = post(client, body, accept="text/csv; charset=utf-8")

    assert as_json.content == f"[{first}, {second}]".encode()
    assert as_csv.content == f"{first}\n{second}\n".encode()
    assert as_csv.headers.get_list("content-type") == ["text/csv"]


def test_npy_answers_have_the_dtype_of_scikit_learn_labels(client: httpx.Client) -> None:
    response = post(client, b"[[1, 2], [3, 4]]", accept=NPY)

    assert response.content.startswith(b"\x93NUMPY\x01\x00")
    assert b"'descr': '<i4', 'fortran_order': False, 'shape': (2,)" in response.content


@pytest.mark.parametrize("accept", NOT_ACCEPTABLE)
def test_invocations_refuses_an_accept_that_it_cannot_produce(client: httpx.Client, accept: str) -> None:
    response = post(client, b"[[1, 2]]", accept=accept)

    message = check_refusal(response, status=406, code="NotAcceptable")
    assert "text/csv" in message


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/xml",
        "application/x-npz",
        "application/jsonx",
        "json",
        "application/json; charset=latin-1",
        "text/csv; charset=utf-16",
        "application/x-recordio-protobuf",
        "multipart/form-data; boundary=x",
        "CANARY/7781.5",
    ],
)
def test_invocations_refuses_a_content_type_that_it_cannot_read(
    client: httpx.Client, content_type: str
) -> None:
    response = post(client, b"[[1, 2]]", content_type=content_type)

    message = check_refusal(response, status=415, code="UnsupportedContentType")
    assert "CANARY" not in message


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json;charset=utf-8",
        'application/json ; Charset = "UTF-8" ; x=y',
        "Application/Json;charset=US-ASCII;;",
        "application/x-www-form-urlencoded",
        "",
    ],
)
def test_invocations_reads_mime_parameters_in_any_spelling(client: httpx.Client, content_type: str) -> None:
    assert post(client, b"[[1, 2]]", content_type=content_type).status_code == 200


def test_several_accept_headers_count_as_one_list(client: httpx.Client) -> None:
    request = client.build_request("POST", "/invocations", content=b"[[1, 2]]")
    request.headers = httpx.Headers(
        [
            ("host", request.headers["host"]),
            ("content-length", "8"),
            ("accept", "text/csv"),
            ("accept", "text/html"),
        ]
    )

    assert client.send(request).headers["content-type"] == CSV


def test_a_type_with_quality_zero_is_never_answered_under_a_wildcard() -> None:
    assert plan(accept="application/json;q=0, */*").content_type != JSON
    assert plan(accept="text/csv;q=0, */*", default=CSV).content_type != CSV


def test_the_default_accept_stands_in_for_an_absent_one() -> None:
    assert plan(default=CSV).media is Media.CSV
    assert plan(accept="*/*", default="Text/CSV; charset=utf-8").content_type == CSV
    assert plan(accept="application/*", default=NDJSON).content_type == NDJSON
    assert plan(accept="application/*", default=CSV).media is Media.JSON
    assert plan(accept=JSON, default=CSV).media is Media.JSON


@pytest.mark.parametrize(
    ("content_type", "reader"),
    [
        ("", Reader.SNIFF),
        ("*/*", Reader.SNIFF),
        ("application/octet-stream", Reader.SNIFF),
        ("APPLICATION/JSON", Reader.JSON),
        (NDJSON, Reader.JSON_LINES),
        ("text/csv; header=present", Reader.CSV),
        (NPY, Reader.NPY),
    ],
)
def test_the_content_type_decides_on_the_reader(content_type: str, reader: Reader) -> None:
    assert plan(content_type).reader is reader


@pytest.mark.parametrize("where", ["accept", "attributes"])
def test_options_are_taken_from_accept_and_from_custom_attributes(where: str) -> None:
    prefix = "application/json; " if where == "accept" else "trace=7; "
    detailed = plan(**{where: f"{prefix}detail=full"})
    lenient = plan(**{where: f"{prefix}ON_ERROR=Placeholder"})

    assert (detailed.has_detail, detailed.is_lenient) == (True, False)
    assert (lenient.has_detail, lenient.is_lenient) == (False, True)


def test_an_option_in_accept_beats_one_in_custom_attributes() -> None:
    actual = plan(accept="application/json;detail=labels", attributes="detail=full")

    assert not actual.has_detail


def test_a_request_can_be_strict_where_the_server_is_lenient() -> None:
    actual = make_plan("", "*/*;on_error=reject", "", default_accept=JSON, on_error=OnError.PLACEHOLDER)

    assert not actual.is_lenient


@pytest.mark.parametrize("option", ["detail=everything", "detail=", "on_error=ignore", "on_error=CANARY7781"])
def test_an_option_with_an_unknown_value_is_refused_without_echo(option: str) -> None:
    for where in ("accept", "attributes"):
        text = f"*/*;{option}" if where == "accept" else option

        with pytest.raises(InvalidPayloadError, match="must be one of") as caught:
            plan(**{where: text})

        assert "CANARY" not in str(caught.value)


def test_detail_cannot_be_had_as_npy() -> None:
    with pytest.raises(NotAcceptableError):
        plan(accept=f"{NPY}; detail=full")


def test_labels_as_plain_json_are_the_common_case() -> None:
    assert plan().is_plain_json
    assert plan(JSON, "*/*").is_plain_json
    assert not plan(JSON, CSV).is_plain_json
    assert not plan(CSV).is_plain_json
    assert not plan(JSON_LINES).is_plain_json
    assert not plan(JSON, "*/*;detail=full").is_plain_json
    assert not plan(JSON, "*/*;on_error=placeholder").is_plain_json


def test_can_produce_knows_every_answer_and_nothing_else() -> None:
    assert all(can_produce(name) for name in ("application/json", "Text/CSV; charset=utf-8", NPY, NDJSON))
    assert not any(can_produce(name) for name in ("", "*/*", "text/html", "application/*"))


def test_a_charset_other_than_utf8_is_refused() -> None:
    with pytest.raises(UnsupportedContentTypeError, match="charset"):
        plan("text/csv; charset=iso-8859-1")
