"""C46 to C59: batch transform, by a splitter and an assembler of our own."""

import json
from collections.abc import Callable, Iterator

import pytest

from tests.conformance.batch import Strategy, Transform, TransformError, split, transform
from tests.conformance.targets import Server
from tests.conformance.trees import CSV_RECORDS, GROUPS, JSON_LINE_RECORDS, RECORDS
from tests.conformance.wire import CSV, JSON, JSON_LINES, Answer, ask, invoke, status_of

LIMIT = 512 * 2**20
OBJECT_RECORDS = "".join(
    json.dumps({"Age": age, "Spending_Power": power}) + "\n" for age, power in GROUPS
).encode()


def lines_of(content_type: str, count: int) -> bytes:
    """Return records of all groups, one a line."""
    records = CSV_RECORDS if content_type == CSV else JSON_LINE_RECORDS
    return b"".join((records * (count // len(GROUPS) + 1)).splitlines(keepends=True)[:count])


@pytest.mark.clause("C46")
def test_c46_a_batch_container_pings_and_answers_like_any_other(batch_server: Server, server: Server) -> None:
    assert status_of(batch_server.address) == 200
    assert invoke(batch_server.address, RECORDS).body == invoke(server.address, RECORDS).body


@pytest.mark.clause("C47")
def test_c47_the_batch_variables_are_heeded(batch_server: Server) -> None:
    proposal = ask(batch_server.address, "GET", "/execution-parameters").json()

    assert proposal == {"MaxConcurrentTransforms": 1, "BatchStrategy": "MultiRecord", "MaxPayloadInMB": 100}
    assert invoke(batch_server.address, b" " * (100 * 2**20 + 1)).status == 413


@pytest.mark.clause("C48", "C50")
def test_c48_execution_parameters_have_the_documented_keys(server: Server) -> None:
    answer = ask(server.address, "GET", "/execution-parameters")
    proposal = answer.json()

    assert (answer.status, answer.content_type) == (200, JSON)
    assert {name: type(value) for name, value in proposal.items()} == {
        "MaxConcurrentTransforms": int,
        "BatchStrategy": str,
        "MaxPayloadInMB": int,
    }
    assert 1 <= proposal["MaxConcurrentTransforms"] * proposal["MaxPayloadInMB"] <= 100


@pytest.mark.clause("C49")
def test_c49_the_strategy_is_spelled_as_documented_unless_it_is_set(
    server: Server, batch_server: Server
) -> None:
    default = ask(server.address, "GET", "/execution-parameters").json()["BatchStrategy"]
    chosen = ask(batch_server.address, "GET", "/execution-parameters").json()["BatchStrategy"]

    assert default == "MULTI_RECORD"
    assert chosen == "MultiRecord"


@pytest.mark.clause("C50", "C57", "C63")
def test_c50_a_hundred_megabytes_are_answered_within_512_mb_of_memory(
    hundred_mb: tuple[Answer, int],
    batch_server: Server,
    record_property: Callable[[str, object], None],
) -> None:
    """In chunks; the container has --memory 512m, a process is looked at by its high-water mark."""
    answer, count = hundred_mb
    peak_bytes = batch_server.running.peak_memory_bytes()
    record_property("peak_memory_mib_of_100_mb", peak_bytes // 2**20)

    assert answer.status == 200
    assert answer.body.count(b"\n") == count
    assert batch_server.running.exit_code() is None
    assert peak_bytes < LIMIT


@pytest.mark.clause("C51", "C125")
@pytest.mark.parametrize(
    ("body", "count"),
    [
        pytest.param(CSV_RECORDS, 4, id="final newline"),
        pytest.param(CSV_RECORDS.rstrip(), 4, id="no final newline"),
        pytest.param(CSV_RECORDS.replace(b"\n", b"\r\n"), 4, id="CRLF"),
        pytest.param(b"25,1000", 1, id="one row"),
        pytest.param(CSV_RECORDS * 25_000, 100_000, id="100 k rows"),
        pytest.param(CSV_RECORDS + b"\n\n", 4, id="empty lines"),
        pytest.param(b"Age,Spending_Power\n" + CSV_RECORDS, 4, id="header"),
    ],
)
def test_c51_csv_lines_are_read_as_they_come(batch_server: Server, body: bytes, count: int) -> None:
    answer = invoke(batch_server.address, body, CSV, CSV)

    assert answer.status == 200
    assert len(answer.lines) == count


@pytest.mark.clause("C52")
def test_c52_json_may_be_one_document_or_a_value_a_line(batch_server: Server) -> None:
    answers = [
        invoke(batch_server.address, body, JSON).json()
        for body in (RECORDS, JSON_LINE_RECORDS, JSON_LINE_RECORDS.rstrip(), OBJECT_RECORDS)
    ]
    single = invoke(batch_server.address, JSON_LINE_RECORDS.splitlines()[0], JSON)

    assert answers == [answers[0]] * 4
    assert single.json() == answers[0][:1]


@pytest.mark.clause("C53")
@pytest.mark.parametrize("strategy", Strategy)
@pytest.mark.parametrize("count", [1, 2, 1000])
@pytest.mark.parametrize("content_type", [CSV, JSON_LINES])
@pytest.mark.parametrize("accept", ["", "*/*", "like the input"])
def test_c53_every_input_line_has_its_output_line(
    batch_server: Server, accept: str, content_type: str, count: int, strategy: Strategy
) -> None:
    """A job need not say what it accepts."""
    accept = content_type if accept == "like the input" else accept
    job = Transform(content_type, accept, strategy, max_payload_bytes=300)
    expected = invoke(batch_server.address, RECORDS).json()

    output = transform(batch_server.address, lines_of(content_type, count), job)

    assert output.endswith(b"\n")
    assert [int(line) for line in output.splitlines()] == [expected[n % len(GROUPS)] for n in range(count)]


@pytest.mark.clause("C54")
@pytest.mark.parametrize("is_assembled_by_line", [False, True])
@pytest.mark.parametrize("content_type", [CSV, JSON_LINES])
def test_c54_rows_do_not_fuse_however_they_are_assembled(
    batch_server: Server, content_type: str, *, is_assembled_by_line: bool
) -> None:
    job = Transform(
        content_type,
        "",
        max_payload_bytes=20,
        is_assembled_by_line=is_assembled_by_line,
    )

    output = transform(batch_server.address, lines_of(content_type, 10), job)

    assert len([line for line in output.splitlines() if line]) == 10


@pytest.mark.clause("C55")
@pytest.mark.parametrize(
    ("content_type", "data"),
    [(CSV, CSV_RECORDS), (JSON_LINES, OBJECT_RECORDS), (JSON, OBJECT_RECORDS), (JSON, JSON_LINE_RECORDS)],
)
def test_c55_output_of_the_input_s_type_can_be_joined_to_it(
    batch_server: Server, content_type: str, data: bytes
) -> None:
    job = Transform(content_type, content_type, Strategy.SINGLE_RECORD, is_assembled_by_line=True)

    output = transform(batch_server.address, data, job)

    rows = [line for line in output.splitlines() if line]
    assert len(rows) == len(data.splitlines())
    assert all(isinstance(json.loads(row), int | list) for row in rows)


@pytest.mark.clause("C56")
@pytest.mark.parametrize(("content_type", "placeholder"), [(CSV, b"ERROR"), (JSON_LINES, b"null")])
def test_c56_a_bad_record_fails_the_object_or_keeps_its_place(
    batch_server: Server, content_type: str, placeholder: bytes
) -> None:
    rows = lines_of(content_type, 4).splitlines(keepends=True)
    rows[2] = b"25,much\n" if content_type == CSV else b'[25, "much"]\n'
    job = Transform(content_type, content_type, attributes="on_error=placeholder")

    with pytest.raises(TransformError) as error:
        transform(batch_server.address, b"".join(rows), Transform(content_type, content_type))
    output = transform(batch_server.address, b"".join(rows), job)

    assert error.value.answer.status == 400
    assert error.value.answer.json()["error"]["record"] == 2
    assert [line == placeholder for line in output.splitlines()] == [False, False, True, False]


@pytest.mark.clause("C57")
@pytest.mark.parametrize("content_type", [CSV, JSON_LINES])
def test_c57_no_content_length_is_needed(batch_server: Server, content_type: str) -> None:
    body = lines_of(content_type, 1000)

    def chunks() -> Iterator[bytes]:
        for begin in range(0, len(body), 7):  # a record lies across chunks
            yield body[begin : begin + 7]

    answer = invoke(batch_server.address, chunks(), content_type, content_type)

    assert (answer.status, len(answer.lines)) == (200, 1000)


def test_the_splitter_loses_no_line() -> None:
    data = lines_of(CSV, 101).rstrip()
    for strategy in Strategy:
        batches = list(split(data, strategy=strategy, max_payload_bytes=64))

        assert b"".join(batches) == data
        assert all(batch.endswith(b"\n") for batch in batches[:-1])
        assert strategy is Strategy.MULTI_RECORD or len(batches) == 101
        assert max(map(len, batches)) <= 64
