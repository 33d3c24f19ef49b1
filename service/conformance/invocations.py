"""Check POST /invocations: C21 to C31, and C71."""

from collections.abc import Mapping
from typing import Final

from service.conformance.samples import CSV, JSON, Sample
from service.conformance.server import OK, SERVER_ERROR, Server
from service.conformance.verdict import Advice, NotApplicable, Violation, advise, expect
from service.conformance.wire import Answer, NoAnswerError, TimedOutError, describe
from service.contract import (
    CUSTOM_ATTRIBUTES_HEADER,
    INVOCATION_TIMEOUT_S,
    INVOCATIONS_PATH,
    MAX_CUSTOM_ATTRIBUTES,
    MAX_ERROR_BYTES,
)

UNSUPPORTED: Final = 415
NOT_ACCEPTABLE: Final = 406
TOO_LARGE: Final = 413
TIMES_REPEATED: Final = 3
WRONG_RECORDS: Final = 300
MIB: Final = 1024 * 1024
PROMISED_BYTES: Final = 6 * MIB
"""C27. Source: botocore's model of InvokeEndpoint, max 6291456."""
WIDEST_BYTES: Final = 25 * MIB
"""C27. Source: AWS guide, "Model Hosting FAQs"."""
OCTETS: Final = "application/octet-stream"
TRACES: Final = (b"Traceback (most recent call last)", b'File "', b"stack-trace", b"\n\tat ")
"""How stack traces of Python and Java begin or look."""
NOBODYS_TYPE: Final = "application/vnd.conformance.unknown"
API_HEADERS: Final = {
    "X-Amzn-SageMaker-Inference-Id": "conformance-1",
    "X-Amzn-SageMaker-Target-Variant": "AllTraffic",
    "X-Amzn-SageMaker-Target-Model": "model.tar.gz",
    "X-Amzn-SageMaker-Target-Container-Hostname": "container-1",
    "X-Amzn-SageMaker-Enable-Explanations": "`true`",
    "X-Amzn-SageMaker-Inference-Component": "component-1",
    "X-Amzn-SageMaker-Session-Id": "0b6f1a2c",
    "X-Amzn-SageMaker-Prefix-Aware-Id": "prefix-1",
}
"""C30. Source: botocore's model of InvokeEndpoint."""


def sample_is_answered(server: Server) -> None:
    """C21."""
    bad = []
    for sample in server.samples:
        answer = server.first_answer(sample)
        server.note(_shown(sample), str(answer))
        if not (isinstance(answer, Answer) and answer.status == OK):
            bad.append((sample, answer))
    if bad and (not server.is_default or len(bad) == len(server.samples)):
        sample, answer = bad[0]
        server.note(_shown(sample), str(answer))
        what = f"answered with {answer.status}" if isinstance(answer, Answer) else str(answer)
        raise Violation(f"the request of {sample.content_type} is {what}")
    if bad:
        types = ", ".join(sample.content_type for sample, _ in bad)
        server.received += f" (of the default requests, {types} not answered with 200)"


def unknown_headers_are_ignored(server: Server) -> None:
    """C22."""
    sample, first = server.accepted()[0]
    unknown = {"X-Amzn-SageMaker-Forwarded-Api": "InvokeEndpoint"}
    unknown |= {f"X-Conformance-{number}": f"value {number}" for number in range(20)}
    is_repeatable = server.invoke(sample.body, sample.content_type).body == first.body
    answer = server.invoke(sample.body, sample.content_type, headers=unknown)
    expect(answer.status == OK, f"with unknown headers the request is answered with {answer.status}")
    if is_repeatable:
        expect(answer.body == first.body, "with unknown headers the answer is another")


def content_type_is_read_with_care(server: Server) -> None:
    """C23."""
    sample, _ = server.accepted()[0]
    absent = server.invoke(sample.body, None)
    expect(
        absent.status < SERVER_ERROR,
        f"a request without Content-Type, as boto3 sends it, is answered with {absent.status}",
    )
    refused = {}
    for content_type in _variants(sample):
        answer = server.invoke(sample.body, content_type)
        expect(
            answer.status < SERVER_ERROR, f"Content-Type {content_type!r} is answered with {answer.status}"
        )
        if answer.status != OK:
            refused[f"{content_type!r} with {answer.status}"] = server.exchange
    _show_first(server, refused)
    advise(not refused, f"refused: {', '.join(refused)}")


def octets_are_read_or_refused(server: Server) -> None:
    """C24."""
    sample, _ = server.accepted()[0]
    answer = server.invoke(sample.body, OCTETS)
    expect(answer.status < SERVER_ERROR, f"{OCTETS} is answered with {answer.status}")


def accept_is_negotiated(server: Server) -> None:
    """C25."""
    sample, first = server.accepted()[0]
    own = first.media_type
    wanted = ["*/*", *([own, f"{NOBODYS_TYPE}, {own};q=0.9, */*;q=0.1"] if own else [])]
    for accept in wanted:
        answer = server.invoke(sample.body, sample.content_type, accept=accept)
        expect(answer.status == OK, f"Accept: {accept} is answered with {answer.status}")
    answer = server.invoke(sample.body, sample.content_type, accept=NOBODYS_TYPE)
    expect(answer.status < SERVER_ERROR, f"an unknown type in Accept is answered with {answer.status}")
    advise(
        answer.status == NOT_ACCEPTABLE,
        f"Accept is not looked at: a type that does not exist is answered with {answer.status}, "
        f"{answer.content_type or 'without a type'}",
    )


def large_payloads_are_taken(server: Server) -> None:
    """C27; the answer is kept for C26."""
    for size, is_promised in ((PROMISED_BYTES, True), (WIDEST_BYTES, False)):
        answer = _send_large(server, size)
        what = f"a payload of {size // MIB} MiB is answered with"
        if isinstance(answer, TimedOutError):
            raise NotApplicable(f"a payload of {size // MIB} MiB is not answered in time (C26)")
        if answer.status == OK:
            continue
        problem = f"{what} {answer.status}"
        raise Violation(problem) if is_promised else Advice(problem)


def answers_come_in_time(server: Server) -> None:
    """C26."""
    _, first = server.accepted()[0]
    slowest_s, payload = first.took_s, "the given request"
    if isinstance(server.large, TimedOutError):
        server.note(f"POST {INVOCATIONS_PATH} with the largest payload", str(server.large))
        raise Violation(f"a large payload is not answered within {server.timeout_s:g} s")
    if server.large is not None and server.large.took_s > slowest_s:
        slowest_s, payload = server.large.took_s, "the largest payload"
    server.note(f"POST {INVOCATIONS_PATH} with {payload}", f"slowest answer {slowest_s:.2f} s")
    expect(slowest_s < INVOCATION_TIMEOUT_S, f"an answer took {slowest_s:.0f} s")


def errors_are_clean(server: Server) -> None:
    """C28."""
    sample, _ = server.accepted()[0]
    bad_status = {}
    _half_a_document_is_refused(server)
    attempts = (
        ("half a body", _half(sample), sample.content_type),
        ("no body", b"", sample.content_type),
        ("many wrong records", _many_wrong(sample), sample.content_type),
        ("random bytes", bytes(range(256)), sample.content_type),
        ("an unknown content type", sample.body, NOBODYS_TYPE),
    )
    for name, body, content_type in attempts:
        answer = server.invoke(body, content_type)
        if answer.status < 400:  # it takes what it gets, which is no error
            continue
        size = len(answer.body)
        expect(not _has_trace(answer.body), f"the error for {name} holds a stack trace")
        expect(
            size <= MAX_ERROR_BYTES, f"the error for {name} has {size:,} bytes, more than {MAX_ERROR_BYTES:,}"
        )
        if answer.status >= SERVER_ERROR:
            bad_status[f"{name} with {answer.status}"] = server.exchange
    _show_first(server, bad_status)
    advise(
        not bad_status,
        f"mistakes of the client are answered as the server's, which boto3 repeats: {', '.join(bad_status)}",
    )


def attributes_are_taken(server: Server) -> None:
    """C29."""
    sample, _ = server.accepted()[0]
    name = CUSTOM_ATTRIBUTES_HEADER
    for value in ("a" * MAX_CUSTOM_ATTRIBUTES, "trace=1;caf\xe9\tb"):
        answer = server.invoke(sample.body, sample.content_type, headers={name: value})
        is_plain = value.isascii()
        expect(
            answer.status == OK or (not is_plain and answer.status < SERVER_ERROR),
            f"a request with {name} is answered with {answer.status}",
        )
        back = answer.headers.get(name.lower(), "")
        expect(len(back) <= MAX_CUSTOM_ATTRIBUTES, f"{name} comes back with {len(back):,} characters")
        expect(all(" " <= sign <= "~" for sign in back), f"{name} comes back with other than visible ASCII")


def api_headers_are_tolerated(server: Server) -> None:
    """C30."""
    sample, _ = server.accepted()[0]
    answer = server.invoke(sample.body, sample.content_type, headers=API_HEADERS)
    expect(answer.status == OK, f"with all headers of the API the request is answered with {answer.status}")


def csv_has_no_charset(server: Server) -> None:
    """C31."""
    samples = server.accepted()
    sample = next((sample for sample, _ in samples if sample.media_type == CSV), samples[0][0])
    answer = server.invoke(sample.body, sample.content_type, accept=CSV)
    if answer.status != OK or answer.media_type != CSV:
        raise NotApplicable(f"does not answer {CSV}")
    expect(answer.content_type == CSV, f"the content type is {answer.content_type!r}")


def content_type_is_stable(server: Server) -> None:
    """C71."""
    sample, _ = server.accepted()[0]
    first = server.invoke(sample.body, sample.content_type).content_type
    expect(first, "the answer has no Content-Type")
    for _ in range(TIMES_REPEATED - 1):
        other = server.invoke(sample.body, sample.content_type).content_type
        expect(other == first, f"the same request is answered as {first} and as {other or 'nothing'}")


def _send_large(server: Server, size: int) -> Answer | TimedOutError:
    for sample, _ in server.accepted():
        body = sample.of_size(size)
        if body is not None:
            try:
                server.large = server.invoke(body, sample.content_type)
            except TimedOutError as exc:
                server.large = exc
            except NoAnswerError as exc:
                raise Violation(f"a payload of {size // MIB} MiB gets {exc}") from exc
            return server.large
    raise NotApplicable("no request of JSON, CSV or JSON Lines that could be made longer")


def _variants(sample: Sample) -> list[str]:
    plain = sample.media_type
    charset = [f"{plain}; charset=utf-8"] if plain == JSON or plain.startswith("text/") else []
    return [sample.content_type.upper(), *charset]


def _half_a_document_is_refused(server: Server) -> None:
    """Expect an error where nothing else is right: a list or object that is cut off cannot be valid."""
    for sample, _ in server.accepted():
        if sample.is_document():
            answer = server.invoke(_half(sample), sample.content_type)
            expect(answer.status >= 400, f"half a JSON document is answered with {answer.status}")


def _half(sample: Sample) -> bytes:
    body = sample.body.strip()
    return body[: len(body) // 2]


def _many_wrong(sample: Sample) -> bytes:
    """Return a long body of records that are wrong; an error that repeats them is too long."""
    record = b'{"conformance": "not a value"}'
    if sample.media_type == JSON:
        return b"[" + b", ".join([record] * WRONG_RECORDS) + b"]"
    return b"\n".join([record] * WRONG_RECORDS)


def _shown(sample: Sample) -> str:
    return describe("POST", INVOCATIONS_PATH, sample.body, {"Content-Type": sample.content_type})


def _show_first(server: Server, bad: Mapping[str, tuple[str, str]]) -> None:
    """Show the first of the exchanges that were bad, if any was, instead of the last of all."""
    if bad:
        server.note(*next(iter(bad.values())))


def _has_trace(body: bytes) -> bool:
    plain = body.replace(b"\\n", b"\n").replace(b"\\t", b"\t").replace(b'\\"', b'"')
    return any(mark in plain for mark in TRACES)


CHECKS: Final = (
    ("C21", sample_is_answered),
    ("C22", unknown_headers_are_ignored),
    ("C23", content_type_is_read_with_care),
    ("C24", octets_are_read_or_refused),
    ("C25", accept_is_negotiated),
    ("C27", large_payloads_are_taken),
    ("C26", answers_come_in_time),
    ("C28", errors_are_clean),
    ("C29", attributes_are_taken),
    ("C30", api_headers_are_tolerated),
    ("C31", csv_has_no_charset),
    ("C71", content_type_is_stable),
)
