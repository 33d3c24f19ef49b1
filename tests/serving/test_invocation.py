"""One function answers an invocation: the same labels whatever the form, the batch and the path."""

import io
import json
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import (
    InvalidRecordError,
    InvocationError,
    InvocationTimeoutError,
    ModelNotReadyError,
    PayloadTooLargeError,
)
from service.partition import Partition
from service.serving.invocation import Invocation, ServedModel, error_body, refuse
from service.settings import OnError
from service.transform import Transform
from tests.serving.conftest import (
    CSV,
    JSON,
    JSON_LINES,
    NPY,
    RECORDS,
    Customer,
    Record,
    ask,
    check_refusal,
    make_served,
    npy,
    payloads,
    raw_payloads,
    single_payloads,
)

MODELS = [
    make_served(4),
    make_served(4, transform=Transform.LOG1P),
    make_served(1),
    make_served(13, seed=2),
]
DETAIL = "application/json; detail=full"

values = st.one_of(
    st.integers(0, 120).map(float),
    st.floats(0, 1e6),
    st.floats(0, 1e100),
    st.sampled_from([0.0, 5e-324, 1e100, 44.3, 2170.7, 0.1]),
)
records = st.tuples(values, values)
customers = st.tuples(values, values, st.one_of(st.just(0.0), st.floats(0, 2), values)).filter(
    lambda customer: customer[1] / max(customer[2], 1.0) <= 1e100
)


def labels_of(answer: Invocation) -> list[int | None]:
    assert answer.status == 200, answer.body
    labels: list[int | None] = json.loads(answer.body)
    return labels


def assert_same_everywhere(served: ServedModel, batch: Sequence[Record]) -> None:
    """Assert one label for each record, whatever the form; to the byte for labels and for details."""
    partition = served.model.partition
    expected = [partition.assign_one(*record) for record in batch]
    details = ask(served, json.dumps(batch).encode(), accept=DETAIL).body
    for form, (content_type, body) in payloads(batch).items():
        labels = ask(served, body, content_type=content_type)
        detailed = ask(served, body, content_type=content_type, accept=DETAIL)

        assert labels.body == json.dumps(expected).encode(), form
        assert detailed.body == details, form
    for position, detail in enumerate(json.loads(details)["predictions"]):
        assert_detail(detail, partition, batch[position], expected[position])


def assert_detail(detail: dict[str, object], partition: Partition, record: Record, label: int) -> None:
    """Assert that distances are those of Partition.distances_one, to the bit."""
    distances = partition.distances_one(*record)
    assert detail["closest_cluster"] == label
    assert detail["distance_to_cluster"] == distances[label]
    second = detail["second"]
    if isinstance(second, dict):
        runner_up = int(second["closest_cluster"])
        others = [distance for other, distance in enumerate(distances) if other != label]
        assert runner_up != label
        assert second["distance_to_cluster"] == distances[runner_up] == min(others)
    else:
        assert len(distances) == 1


@pytest.mark.parametrize("served", MODELS, ids=["none", "log1p", "one cluster", "many clusters"])
@given(batch=st.lists(records, min_size=1, max_size=6))
def test_a_record_gets_the_same_label_in_every_form(served: ServedModel, batch: list[Record]) -> None:
    assert_same_everywhere(served, batch)


@pytest.mark.parametrize("served", MODELS, ids=["none", "log1p", "one cluster", "many clusters"])
@given(record=records)
def test_a_record_gets_the_same_label_alone_and_in_a_batch(served: ServedModel, record: Record) -> None:
    expected = served.model.partition.assign_one(*record)
    for form, (content_type, body) in single_payloads(record).items():
        assert labels_of(ask(served, body, content_type=content_type)) == [expected], form
    for size in (2, 24, 25, 70):
        body = json.dumps([record] * size).encode()
        assert labels_of(ask(served, body)) == [expected] * size


@pytest.mark.parametrize("served", MODELS, ids=["none", "log1p", "one cluster", "many clusters"])
@given(batch=st.lists(customers, min_size=1, max_size=4))
def test_a_customer_gets_the_label_of_its_spending_power(served: ServedModel, batch: list[Customer]) -> None:
    vectors = [(age, income / max(purchases, 1.0)) for age, income, purchases in batch]
    expected = ask(served, json.dumps(vectors).encode(), accept=DETAIL)
    for form, (content_type, body) in raw_payloads(batch).items():
        actual = ask(served, body, content_type=content_type, accept=DETAIL)

        assert (actual.status, actual.body) == (200, expected.body), form


def hard_records(partition: Partition, *, transform: Transform) -> list[Record]:
    """Return many records, a third of them on the borders between clusters as near as floats allow."""
    random = np.random.default_rng(20261123)
    spread = random.uniform([0, 0], [100, 9000], size=(1500, 2))
    tail = np.column_stack([random.uniform(0, 100, 1000), random.lognormal(7, 3, 1000)])
    found = [(age, power) for age, power in np.concatenate([spread, tail]).tolist()]
    for first, (x1, y1) in enumerate(partition.centroids):
        for x2, y2 in partition.centroids[first + 1 :]:
            for step in random.uniform(-1, 1, 100).tolist():
                x, y = (x1 + x2) / 2 - step * (y2 - y1), (y1 + y2) / 2 + step * (x2 - x1)
                age = x * partition.scale[0] + partition.mean[0]
                power = y * partition.scale[1] + partition.mean[1]
                power = math.expm1(power) if transform is Transform.LOG1P else power
                if age >= 0 and power >= 0:
                    found += [(age, power), (math.nextafter(age, 0), power), (age, math.nextafter(power, 0))]
    return found


@pytest.mark.parametrize("transform", Transform)
def test_thousands_of_records_get_the_same_labels_in_every_form_and_every_cut(transform: Transform) -> None:
    served = make_served(6, transform=transform, seed=5)
    partition = served.model.partition
    batch = hard_records(partition, transform=transform)
    expected = [partition.assign_one(*record) for record in batch]
    assert len(batch) > 5000

    for form, (content_type, body) in payloads(batch).items():
        assert labels_of(ask(served, body, content_type=content_type)) == expected, form
    details = json.loads(ask(served, json.dumps(batch).encode(), accept=DETAIL).body)["predictions"]
    for detail, record, label in zip(details, batch, expected, strict=True):
        assert_detail(detail, partition, record, label)

    random = np.random.default_rng(1)
    start = 0
    alone: list[int | None] = []
    while start < len(batch):
        end = start + int(random.choice([1, 2, 3, 23, 24, 25, 26, 100, 1000]))
        alone += labels_of(ask(served, json.dumps(batch[start:end]).encode()))
        start = end
    assert alone == expected


def test_borders_are_near_enough_to_tell_arithmetics_apart() -> None:
    """The test above would be idle if no record's label hung on the last bits."""
    partition = make_served(6, seed=5).model.partition
    batch = np.array(hard_records(partition, transform=Transform.NONE))
    centroids = np.array(partition.centroids)
    scaled = (batch - partition.mean) / partition.scale
    # As scikit-learn does it: |x|² - 2xc + |c|².
    squared = (scaled**2).sum(axis=1)[:, None] - 2 * scaled @ centroids.T + (centroids**2).sum(axis=1)

    assert (squared.argmin(axis=1) != partition.assign(batch)).sum() > 10


def test_the_lowest_label_wins_a_tie_on_every_path() -> None:
    served = make_served(2)
    model = replace(served.model, mean=(0.0, 0.0), scale=(1.0, 1.0), centroids=((3.0, 0.0), (1.0, 0.0)))
    served = replace(served, model=model)

    for size in (1, 24, 25, 5000):
        assert labels_of(ask(served, json.dumps([[2, 0]] * size).encode())) == [0] * size
    details = json.loads(ask(served, b"[[2, 0]]", accept=DETAIL).body)["predictions"]
    assert (details[0]["closest_cluster"], details[0]["second"]["closest_cluster"]) == (0.0, 1.0)


def test_narrow_npy_numbers_get_the_label_of_their_value(served: ServedModel) -> None:
    whole = np.random.default_rng(5).uniform(0, 200, size=(500, 2))
    for dtype in ("<f4", ">f4", "<f2", "<i4", ">i8", "u1"):
        narrow = whole.astype(dtype)
        expected = ask(served, json.dumps(narrow.astype(np.float64).tolist()).encode())

        actual = ask(served, npy(narrow), content_type=NPY)

        assert (actual.status, actual.body) == (200, expected.body), dtype


@pytest.mark.parametrize("size", [1, 5, 64, 65, 1000])
def test_the_same_labels_are_written_in_every_format(served: ServedModel, size: int) -> None:
    body = json.dumps((list(RECORDS) * 200)[:size]).encode()
    expected = labels_of(ask(served, body))

    as_csv = ask(served, body, accept=CSV).body
    as_lines = ask(served, body, accept=JSON_LINES).body
    as_npy = np.load(io.BytesIO(ask(served, body, accept=NPY).body))

    assert [int(line) for line in as_csv.splitlines()] == expected
    assert as_lines == as_csv
    assert as_npy.tolist() == expected


LENIENT_FORMS = {
    "json": (JSON, b'[[1, 2], ["CANARY", 4], [5, 6], [7], null, {"Age": 1}, [-1, 2], [8, 9]]'),
    "json lines": (JSON_LINES, b'[1, 2]\nCANARY\n[5, 6]\n[7]\nnull\n{"Age": 1}\n[-1, 2]\n[8, 9]\n'),
    "json by line": (JSON, b'[1, 2]\nCANARY\n[5, 6]\n[7]\nnull\n{"Age": 1}\n[-1, 2]\n[8, 9]'),
    "csv": (CSV, b"1,2\nCANARY,4\n5,6\n7\nnan,1\n,\n-1,2\n8,9\n"),
    "csv header": (CSV, b"Spending_Power,Age\r\n2,1\r\n4,CANARY\r\n6,5\r\n7\r\n1,\r\n,\r\n2,-1\r\n9,8\r\n"),
    "npy": (
        NPY,
        npy(np.array([[1, 2], [np.nan, 4], [5, 6], [7, -1], [np.inf, 1], [1, -np.inf], [-1, 2], [8, 9]])),
    ),
}


@pytest.mark.parametrize("form", LENIENT_FORMS)
@pytest.mark.parametrize("way", ["accept", "attributes", "server"])
def test_lenient_mode_answers_one_line_a_record(served: ServedModel, form: str, way: str) -> None:
    content_type, body = LENIENT_FORMS[form]
    option = "on_error=placeholder"
    served = replace(served, on_error=OnError.PLACEHOLDER) if way == "server" else served
    attributes = option if way == "attributes" else ""
    assign = served.model.partition.assign_one
    first, third, last = assign(1, 2), assign(5, 6), assign(8, 9)

    def answer(accept: str) -> bytes:
        accept += f";{option}" if way == "accept" else ""
        actual = ask(served, body, content_type=content_type, accept=accept, attributes=attributes)
        assert actual.status == 200, actual.body
        assert b"CANARY" not in actual.body
        return actual.body

    assert json.loads(answer(JSON)) == [first, None, third, None, None, None, None, last]
    assert answer(CSV).decode().split() == [str(first), "ERROR", str(third), *["ERROR"] * 4, str(last)]
    assert answer(JSON_LINES).decode().split() == [str(first), "null", str(third), *["null"] * 4, str(last)]
    assert np.load(io.BytesIO(answer(NPY))).tolist() == [first, -1, third, -1, -1, -1, -1, last]
    detailed = json.loads(answer("application/json;detail=full"))["predictions"]
    assert [detail and detail["closest_cluster"] for detail in detailed] == json.loads(answer(JSON))


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (CSV, b"bad,2\n3,4\n"),
        (CSV, b"\nbad\n3,4\n"),
        (CSV, b",\n3,4\n"),
        (JSON, b"[[-1, 2], [3, 4]]"),
        (JSON, b"[[], [3, 4]]"),
        (JSON_LINES, b"oops\n[3, 4]\n"),
        (None, b"bad,2\n3,4\n"),
    ],
)
def test_lenient_mode_survives_a_bad_first_record(
    served: ServedModel, content_type: str | None, body: bytes
) -> None:
    answer = ask(served, body, content_type=content_type, attributes="on_error=placeholder")

    assert labels_of(answer) == [None, served.model.partition.assign_one(3, 4)]


def test_lenient_mode_survives_a_bad_first_line_of_json_by_line(served: ServedModel) -> None:
    """C52, C56: Line-split JSON Lines may come under the label application/json."""
    answer = ask(served, b"oops\n[3, 4]\n", attributes="on_error=placeholder")

    assert labels_of(answer) == [None, served.model.partition.assign_one(3, 4)]


@pytest.mark.parametrize(
    ("content_type", "body", "record", "field"),
    [
        (JSON, b'[[1, 2], [3, "7781.55"]]', 1, "Spending_Power"),
        (JSON, b'[[1, 2], {"Age": "7781.55", "Spending_Power": 1}]', 1, "Age"),
        (JSON, b"[[1, 2], [3, 4], [3, -7781.55]]", 2, "Spending_Power"),
        (JSON, b"[-7781.55, 3]", 0, "Age"),
        (JSON, b'{"instances": [{"features": [1, -7781.55]}]}', 0, "Spending_Power"),
        (JSON, b'{"7781.55": 3}', 0, "Age"),
        (JSON, b"[[7781.55]]", 0, None),
        (JSON, b"[1, 2]\n7781.55\n", 1, None),
        (JSON_LINES, b"[1, 2]\n[3, 4]\n7781.55]\n", 2, None),
        (JSON_LINES, b'{"Age": 3, "Income": -7781.55, "Purchases": 0}\n', 0, "Income"),
        (CSV, b"1,2\n3,x7781.55\n", 1, "Spending_Power"),
        (CSV, b"7781.55\n", 0, None),
        (CSV, b"Age,Income,Purchases\n3,4,5\n3,4,-7781.55\n", 1, "Purchases"),
        (CSV, b"7781.55,Power\n3,4\n", 0, "Spending_Power"),
        (NPY, npy(np.array([[1, 2], [-7781.55, 3]])), 1, "Age"),
        (None, b"7781.55;3\n", 0, None),
    ],
)
def test_a_bad_record_is_named_and_never_echoed(
    served: ServedModel, content_type: str | None, body: bytes, record: int, field: str | None
) -> None:
    answer = ask(served, body, content_type=content_type)

    message = check_refusal(answer, status=400, code="InvalidRecord", record=record, field=field)
    assert f"record {record}" in message
    assert b"7781" not in answer.body


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (JSON, b'{"CANARY7781": '),
        (JSON, b"CANARY7781"),
        (CSV, b"CANARY7781,Income,Purchases\n1,25,100\n"),
        (JSON, b'"CANARY7781"'),
        (JSON, b'[["CANARY7781\xff", 1]]'),
        (JSON, b"[[1, 2]] CANARY7781"),
        (JSON, b'{"instances": "CANARY7781"}'),
        (CSV, b"CANARY7781\xff"),
        (CSV, b"Age,CANARY7781\n1,2\n"),
        (CSV, b"Age,CANARY7781,CANARY7781\n1,2,3\n"),
        (NPY, b"CANARY7781"),
        (NPY, b"\x93NUMPY\x01\x00\x0c\x00'CANARY7781'"),
        (JSON, b"[" * 100_000 + b"CANARY7781"),
        (JSON, b"[[" + b"7781" * 20_000 + b", 1]]"),
    ],
)
def test_a_payload_that_cannot_be_read_is_never_echoed(
    served: ServedModel, content_type: str, body: bytes
) -> None:
    answer = ask(served, body, content_type=content_type)

    check_refusal(answer, status=400, code="InvalidPayload")
    assert b"7781" not in answer.body


def test_a_cell_of_a_megabyte_is_never_echoed(served: ServedModel) -> None:
    answer = ask(served, b"1," + b"CANARY7781" * 20_000, content_type=CSV)

    assert answer.status == 400
    assert len(answer.body) < 2048
    assert b"CANARY" not in answer.body


def test_a_million_bytes_of_bad_records_make_a_short_error(served: ServedModel) -> None:
    body = json.dumps([["x" * 1000] * 2] * 500).encode()

    check_refusal(ask(served, body), status=400, code="InvalidRecord", record=0, field="Age")


@pytest.mark.parametrize("message", ["x" * 9999, "é" * 9999, "\U0001f600" * 9999, "\x01" * 9999, '"' * 9999])
def test_an_error_body_stays_under_the_limit_whatever_the_message(message: str) -> None:
    """C28: SageMaker passes on 2048 bytes."""
    body = error_body("InvalidPayload", message, details={"record": 10**12, "field": "Spending_Power"})

    assert len(body) < 2048
    assert json.loads(body)["error"]["message"].strip(message[0]) in {"", "…", "..."}


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ModelNotReadyError("m"), 503, "ModelNotReady"),
        (PayloadTooLargeError("m"), 413, "PayloadTooLarge"),
        (InvocationTimeoutError("m"), 504, "InvocationTimeout"),
        (InvocationError("m"), 500, "InvocationError"),
    ],
)
def test_every_error_has_its_status_and_code(error: InvocationError, status: int, code: str) -> None:
    answer = refuse(error, version="v7")

    assert check_refusal(answer, status=status, code=code) == "m"
    assert (b"x-segserve-model-version", b"v7") in answer.headers


def test_an_error_about_a_record_says_where() -> None:
    answer = refuse(InvalidRecordError("m", position=3, field="Age"), version="v")

    assert json.loads(answer.body) == {
        "error": {"code": "InvalidRecord", "message": "m", "record": 3, "field": "Age"}
    }


def test_a_defect_is_logged_and_answered_without_the_trace(
    served: ServedModel, caplog: pytest.LogCaptureFixture
) -> None:
    broken = replace(served, model=replace(served.model, segments=()))

    answer = ask(broken, b"[[7781, 2]]", accept=DETAIL)

    check_refusal(answer, status=500, code="InvocationError")
    assert "Traceback" in caplog.text
    assert "7781" not in caplog.text
    assert b"7781" not in answer.body


def test_custom_attributes_are_echoed_only_when_sent(served: ServedModel) -> None:
    name = b"x-amzn-sagemaker-custom-attributes"

    plain = dict(ask(served, b"[[1, 2]]").headers)
    echoed = dict(ask(served, b"[[1, 2]]", attributes="trace=7; Detail=FULL, x").headers)

    assert name not in plain
    assert echoed[name] == b"trace=7; Detail=FULL, x"


@pytest.mark.parametrize(
    ("sent", "echoed"),
    [
        ("a\r\nSet-Cookie: b", b"aSet-Cookie: b"),
        ("a\x00b\x7fc\tд", b"abc"),
        ("a" * 5000, b"a" * 1024),
        ("plain ~!", b"plain ~!"),
    ],
)
def test_custom_attributes_cannot_smuggle_headers(served: ServedModel, sent: str, echoed: bytes) -> None:
    headers = dict(ask(served, b"[[1, 2]]", attributes=sent).headers)

    assert headers[b"x-amzn-sagemaker-custom-attributes"] == echoed


def test_every_answer_names_the_model_version(served: ServedModel) -> None:
    answers = [ask(served, b"[[1, 2]]"), ask(served, b"x"), ask(served, b"[[1, 2]]", accept="text/html")]

    for answer in answers:
        assert dict(answer.headers)[b"x-segserve-model-version"] == served.version.encode()


@pytest.mark.parametrize("body", [b"[[true, 1]]", b"[[1, false]]", b"[[null, 1]]", b'[["1", 1]]', b'["12"]'])
def test_what_is_no_number_is_refused_in_small_payloads_too(served: ServedModel, body: bytes) -> None:
    assert ask(served, body).status == 400
    assert ask(served, body, content_type=None).status == 400


@pytest.mark.parametrize("body", [b"{}", b'""', b'{"ab": 1}', b'"abab"', b"0", b"null", b'{"instances": ""}'])
def test_what_python_can_iterate_is_not_yet_a_list_of_records(served: ServedModel, body: bytes) -> None:
    assert ask(served, body).status == 400
    assert ask(served, body, content_type=None).status == 400


def test_an_empty_list_has_an_empty_answer(served: ServedModel) -> None:
    assert ask(served, b"[]").body == b"[]"
    assert ask(served, b"[]", accept=CSV).body == b""
    assert ask(served, b"[]", accept=DETAIL).body == b'{"predictions":[]}'
