"""Check what batch transform asks of a server: C48 to C57."""

import json
from collections.abc import Iterator
from typing import Any, Final

from service.conformance.routes import UNKNOWN_PATH
from service.conformance.samples import CSV, JSON, LINE_TYPES, Sample
from service.conformance.server import OK, SERVER_ERROR, Server
from service.conformance.verdict import NotApplicable, expect
from service.conformance.wire import Answer
from service.contract import BATCH_PAYLOAD_BUDGET_MB, BATCH_STRATEGIES, EXECUTION_PARAMETERS_PATH

NOT_FOUND: Final = 404
NOT_ALLOWED: Final = 405
RECORD_COUNTS: Final = (1, 2, 1000)
CHUNK_BYTES: Final = 7
KEYS: Final = {"MaxConcurrentTransforms": int, "BatchStrategy": str, "MaxPayloadInMB": int}


def execution_parameters_are_typed(server: Server) -> None:
    """C48."""
    proposal = _execution_parameters(server)
    expect(isinstance(proposal, dict), "the answer is no JSON object")
    for name, kind in KEYS.items():
        expect(name in proposal, f"{name} is missing")
        is_right = isinstance(proposal[name], kind) and not isinstance(proposal[name], bool)
        expect(is_right, f"{name} is {proposal[name]!r}; accepted: {kind.__name__}")
    product = proposal["MaxConcurrentTransforms"] * proposal["MaxPayloadInMB"]
    expect(
        0 <= product <= BATCH_PAYLOAD_BUDGET_MB,
        f"MaxConcurrentTransforms x MaxPayloadInMB is {product}, more than {BATCH_PAYLOAD_BUDGET_MB}",
    )


def strategy_is_spelled_right(server: Server) -> None:
    """C49."""
    proposal = _execution_parameters(server)
    strategy = proposal.get("BatchStrategy") if isinstance(proposal, dict) else None
    if not isinstance(strategy, str):
        raise NotApplicable("no BatchStrategy (C48)")
    expect(strategy in BATCH_STRATEGIES, f"BatchStrategy is {strategy!r}")


def line_ends_do_not_matter(server: Server) -> None:
    """C51."""
    sample, _ = server.accepted_of(CSV)
    head, lines = sample.lines()
    plain = b"".join([*head, *lines])
    expected = _count(server.invoke(plain, sample.content_type))
    for name, body in (
        ("without the last newline", plain.rstrip(b"\n")),
        ("with CRLF", plain.replace(b"\n", b"\r\n")),
    ):
        answer = server.invoke(body, sample.content_type)
        expect(answer.status == OK, f"CSV {name} is answered with {answer.status}")
        expect(_count(answer) == expected, f"CSV {name} gives {_count(answer)} records instead of {expected}")


def json_is_read_line_by_line(server: Server) -> None:
    """C52."""
    sample, _ = server.accepted_of(JSON)
    document = json.loads(sample.body) if _is_json(sample.body) else None
    if (
        not isinstance(document, list)
        or not document
        or not all(isinstance(item, list | dict) for item in document)
    ):
        raise NotApplicable("the JSON request is no list of records")
    answer = server.invoke(b"".join(json.dumps(item).encode() + b"\n" for item in document), JSON)
    expect(answer.status == OK, f"one record a line under {JSON} is answered with {answer.status}")


def each_record_has_its_output(server: Server) -> None:
    """C53."""
    seen = []
    for sample, _ in server.accepted():
        if sample.with_records(1) is None:
            continue
        counts = [(count, _records_for(server, sample, count), server.exchange) for count in RECORD_COUNTS]
        # With a single record even a whole that is no list of them looks like one.
        if any(found is None for _, found, _ in counts):
            continue
        seen.append(sample.content_type)
        for count, found, exchange in counts:
            server.note(*exchange)
            expect(found == count, f"{count} records of {sample.content_type} give {found} of output")
    if not seen:
        raise NotApplicable("no answer whose records could be counted")


def lines_end_with_a_newline(server: Server) -> None:
    """C54."""
    seen = []
    for sample, _ in server.accepted():
        answer = server.invoke(sample.body, sample.content_type, accept=sample.media_type)
        if answer.status == OK and answer.media_type in LINE_TYPES:
            seen.append(answer.media_type)
            expect(answer.body.endswith(b"\n"), f"{answer.media_type} does not end with a newline")
    if not seen:
        raise NotApplicable("answers neither CSV nor JSON Lines")


def answer_can_have_the_type_of_the_request(server: Server) -> None:
    """C55."""
    pairs = [
        (sample, answer) for sample, answer in server.accepted() if sample.media_type in {*LINE_TYPES, JSON}
    ]
    if not pairs:
        raise NotApplicable("no request of CSV, JSON or JSON Lines")
    for sample, _ in pairs:
        answer = server.invoke(sample.body, sample.content_type, accept=sample.media_type)
        expect(
            answer.status == OK,
            f"{sample.media_type} with Accept of the same is answered with {answer.status}",
        )
        if not answer.content_type:
            server.need_content_type()
        expect(
            answer.media_type == sample.media_type,
            f"{sample.media_type} with Accept of the same is answered as {answer.media_type or 'nothing'}",
        )


def bad_records_are_told(server: Server) -> None:
    """C56."""
    sample, first = server.accepted_of(CSV)
    head, lines = sample.lines()
    cells = lines[0].count(b",") + 1
    bad = b",".join([b"not-a-value"] * (cells + 1)) + b"\n"
    answer = server.invoke(b"".join([*head, *lines, bad]), sample.content_type)
    if answer.status != OK:
        expect(answer.status < SERVER_ERROR, f"a bad record is answered with {answer.status}")
        return
    if _count(first) != len(lines):
        raise NotApplicable("an answer whose records cannot be counted (C53)")
    found = _count(answer) or 0
    expect(found == len(lines) + 1, f"a bad record vanishes: {found} of output for {len(lines) + 1}")


def chunks_are_read(server: Server) -> None:
    """C57."""
    sample, first = server.accepted()[0]

    def chunks() -> Iterator[bytes]:
        for begin in range(0, len(sample.body), CHUNK_BYTES):
            yield sample.body[begin : begin + CHUNK_BYTES]

    answer = server.invoke(chunks(), sample.content_type)
    expect(answer.status == OK, f"a chunked body is answered with {answer.status}")
    found, expected = _count(answer), _count(first)
    expect(found == expected, f"a chunked body gives {found} records instead of {expected}")


def _execution_parameters(server: Server) -> Any:
    answer = server.ask("GET", EXECUTION_PARAMETERS_PATH)
    if answer.status in {NOT_FOUND, NOT_ALLOWED}:
        raise NotApplicable(f"not offered ({answer.status}), which is allowed")
    proposal = answer.json()
    has_keys = isinstance(proposal, dict) and not KEYS.keys().isdisjoint(proposal)
    shown = server.exchange
    if not has_keys and server.ask("GET", UNKNOWN_PATH).status == answer.status:
        raise NotApplicable(f"not offered: any path is answered with {answer.status} (C43)")
    server.note(*shown)
    expect(answer.status == OK, f"answered with {answer.status}")
    return proposal


def _records_for(server: Server, sample: Sample, count: int) -> int | None:
    body = sample.with_records(count)
    accept = sample.media_type if sample.media_type in LINE_TYPES else None
    answer = server.invoke(body, sample.content_type, accept=accept)
    if accept is not None and answer.status != OK:
        answer = server.invoke(body, sample.content_type)
    expect(answer.status == OK, f"{count} records of {sample.content_type} are answered with {answer.status}")
    return _count(answer)


def _count(answer: Answer) -> int | None:
    """Return how many records an answer holds, None where that cannot be told."""
    if answer.media_type in LINE_TYPES:
        return len([line for line in answer.body.splitlines() if line.strip()])
    document = answer.json()
    if isinstance(document, dict):
        lists = [value for value in document.values() if isinstance(value, list)]
        document = lists[0] if len(lists) == 1 else None
    return len(document) if isinstance(document, list) else None


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except ValueError:
        return False
    return True


CHECKS: Final = (
    ("C48", execution_parameters_are_typed),
    ("C49", strategy_is_spelled_right),
    ("C51", line_ends_do_not_matter),
    ("C52", json_is_read_line_by_line),
    ("C53", each_record_has_its_output),
    ("C54", lines_end_with_a_newline),
    ("C55", answer_can_have_the_type_of_the_request),
    ("C56", bad_records_are_told),
    ("C57", chunks_are_read),
)
