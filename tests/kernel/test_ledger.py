"""Requests that the kernel answers whole: the same bytes, counts and lines as Python's, none forgotten."""

import asyncio
import random
import re
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from service.artifact import Artifact
from service.serving.app import SegmentationApp, create_app
from service.serving.ledger import PREFIX_BYTES
from service.serving.signals import journal
from service.serving.signals.access_log import AccessLog
from service.serving.signals.board import Board
from service.serving.signals.journal import Journal
from service.serving.signals.layout import DURATION_SUMS, DURATIONS, DURATIONS_S
from service.serving.signals.meter import Meter
from service.settings import read_settings
from tests.kernel.memory import grown_kb
from tests.kernel.peer import Peer, make_peer, post, set_variables

SMALL = b"[[25, 1250.0]]"
BODIES = [
    SMALL,
    b"[[25, 1250.0], [70, 99999.5], [18, 0]]",
    b"[" + b",".join([b"[%d,%d.5]" % (age, 40 * age) for age in range(18, 78)] * 20) + b"]",
    b"[]",
    b"[[25, -1]]",
    b"[[25, 1250.0, 3]]",
    b"25,1250.0\n70,99999.5\n",
    b"25;1250",
    b"[25, 1250.0]\n[70, 99999.5]\n",
    b'[{"Age": 25, "Spending_Power": 1250.0}]',
    b'{"Age": 25, "Income": 60010, "Purchases": 20, "Name": "Ada"}',
    b'{"instances": [{"features": [25, 1250.0]}]}',
    b'[{"Age": 25, "Spending_Power": -1}]',
    b"Age,Income,Purchases\n25,60010,20\n",
    b"nonsense",
    b"\xef\xbb\xbf[[25, 1250.0]]",
    b"[[true, 1250.0]]",
]
TYPES = ["application/json", "text/csv", "application/jsonlines", ""]
WISHES = [
    "",
    "Accept: text/csv",
    "Accept: application/jsonlines",
    "Accept: application/x-npy",
    "Accept: application/json; detail=full",
    "X-Amzn-SageMaker-Custom-Attributes: on_error=placeholder",
    "Accept: image/png",
]


def without_id(text: bytes) -> bytes:
    return re.sub(rb"x-request-id: [0-9a-f]{16}\r\n", b"x-request-id: \r\n", text)


def ids(text: bytes) -> list[bytes]:
    return re.findall(rb"x-request-id: ([0-9a-f]+)\r\n", text)


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


@pytest.fixture(name="compiled", autouse=True)
def _compiled(extension: Any) -> Any:
    return extension


@pytest.mark.parametrize("logs", ["text", "json"])
def test_every_kind_of_request_is_answered_counted_and_logged_alike(
    artifact: Artifact, logs: str, capfd: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(8)
    requests = [
        post(body, f"Content-Type: {type_}" if type_ else "", wish)
        for body in BODIES
        for type_ in TYPES
        for wish in WISHES
    ]
    requests = chance.sample(requests, len(requests))

    async def test() -> None:
        totals, lines, answers = [], [], []
        taken = 0
        for kernel in ("off", "on"):
            peer = make_peer(artifact, kernel=kernel, SERVICE_LOG_FORMAT=logs)
            capfd.readouterr()
            answers.append([without_id(await peer.ask(one)) for one in requests for _ in range(4)])
            peer.flush()
            counted = peer.app.meter._cells.tolist()
            of_a_kind = slice(DURATIONS.start, DURATIONS.start + len(DURATIONS_S) + 1)
            assert sum(counted[of_a_kind]) == len(requests) * 4
            counted[DURATIONS.start : DURATION_SUMS.stop] = []  # differ from one time to the next
            totals.append(counted)
            said = capfd.readouterr()
            lines.append(sorted(_plain(line) for line in (said.out + said.err).splitlines()))
            taken = peer.taken
        assert answers[0] == answers[1]
        assert totals[0] == totals[1]
        assert lines[0] == lines[1]
        assert len(lines[0]) == len(requests) * 4
        assert (
            taken == 3 * 13 * 5
        )  # all but the first of each plain body in its type, where labels are wanted

    run(test)


def _plain(line: str) -> str:
    """Return a line without what differs from one time to the next."""
    line = re.sub(r"^\S+ \S+ |\"time\":\"[^\"]*\"", "", line)
    line = re.sub(r"(ms=)\d+\.\d\d |(\"duration_ms\":)\d+\.\d{3},", r"\1\2", line)
    return re.sub(r"(request_id=|\"request_id\":\")[0-9a-f]{16}", r"\1", line)


def _mutant(request: bytes, chance: random.Random) -> bytes:
    text = bytearray(request)
    first = chance.choice([0, request.index(b"[")])
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(first, len(text))
        match chance.randrange(5):
            case 0:
                text[at] = chance.choice(b"0123456789")
            case 1:
                text[at] = chance.choice(b"0123456789+-.eE,[]{} \r\n:x\0")
            case 2:
                del text[at : at + chance.randint(1, 4)]
            case 3:
                text[at:at] = text[at : at + chance.randint(1, 4)]
            case _:
                text[at] ^= 1 << chance.randrange(8)
    return bytes(text)


def test_mutants_of_requests_are_answered_alike(artifact: Artifact) -> None:
    """Of the payload, and of what comes around it; each on a connection that knows the head."""
    chance = random.Random(21)
    request = post(b"[[25, 1250.0], [70, 99999.5]]", "Content-Type: application/json")

    async def answered(app: SegmentationApp, text: bytes) -> tuple[bytes, bool, int]:
        peer = Peer(app)
        for _ in range(3):
            assert (await peer.ask(request)).endswith(b"]")
        peer.taken = 0
        answer = await peer.ask(text, is_whole=False)
        peer.protocol.connection_lost(None)
        return without_id(answer), peer.wire.is_closed, peer.taken

    async def test() -> None:
        apps = [make_peer(artifact, kernel=kernel).app for kernel in ("off", "on")]
        taken = 0
        for text in [_mutant(request, chance) for _ in range(2500)]:
            pure, mixed = [await answered(app, text) for app in apps]
            assert pure[:2] == mixed[:2], text
            taken += mixed[2]
        assert taken > 100

    run(test)


def test_more_than_can_be_kept_are_answered_and_counted_all(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "_DELAY_S", 3600)

    async def test() -> None:
        peer = make_peer(artifact, kernel="on", SERVICE_ACCESS_LOG="off")
        answers = [await peer.ask(post(SMALL)) for _ in range(4600)]
        assert 4096 <= peer.taken < 4400  # Python notes the next 256 before it has them all counted
        peer.flush()

        assert {without_id(answer) for answer in answers} == {without_id(answers[0])}
        assert len({found for answer in answers for found in ids(answer)}) == 4600
        assert peer.answered() == 4600
        taken = peer.taken
        await peer.ask(post(SMALL))
        assert peer.taken == taken + 1

    run(test)


def test_what_is_answered_is_counted_and_logged_soon(
    artifact: Artifact, capfd: pytest.CaptureFixture[str]
) -> None:
    async def test() -> None:
        peer = make_peer(artifact, kernel="on", SERVICE_LOG_FORMAT="text")
        for _ in range(2):
            capfd.readouterr()
            before, taken = peer.answered(), peer.taken
            answers = [await peer.ask(post(SMALL)) for _ in range(7)]
            async with asyncio.timeout(10):
                while peer.answered() < before + 7:  # noqa: ASYNC110  # nobody tells
                    await asyncio.sleep(0)
            assert peer.taken > taken
            said = capfd.readouterr().err
            assert [found for answer in answers for found in ids(answer)] == [
                found.encode() for found in sorted(re.findall(r"request_id=(\w+)", said), key=_order(answers))
            ]

    run(test)


def _order(answers: list[bytes]) -> Callable[[str], int]:
    found = [ids(answer)[0].decode() for answer in answers]
    return found.index


@pytest.mark.parametrize(
    ("variables", "is_used"),
    [
        ({}, True),
        ({"SERVICE_ACCESS_LOG": "off"}, True),
        ({"SERVICE_LOG_LEVEL": "error"}, True),
        ({"SERVICE_EMF_NAMESPACE": "segserve", "SERVICE_LOG_FORMAT": "json"}, False),
        ({"SERVICE_KERNEL": "off"}, False),
    ],
    ids=str,
)
def test_it_is_used_where_lines_hold_no_more_than_it_knows(
    artifact: Artifact, variables: dict[str, str], *, is_used: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    async def test() -> None:
        peer = make_peer(artifact, **{"kernel": "on", **_split(variables)})
        capfd.readouterr()
        for _ in range(5):
            assert (await peer.ask(post(SMALL))).endswith(b"]")
        peer.flush()
        assert (peer.taken > 0) == is_used
        assert peer.answered() == 5
        said = capfd.readouterr()
        logged = (said.out + said.err).count("Invocation answered")
        assert logged == (0 if {"SERVICE_ACCESS_LOG", "SERVICE_LOG_LEVEL"} & set(variables) else 5)

    run(test)


def _split(variables: dict[str, str]) -> dict[str, str]:
    return {"kernel" if name == "SERVICE_KERNEL" else name: value for name, value in variables.items()}


def test_a_trace_is_told_of_every_request(artifact: Artifact) -> None:
    """Its id would be missing in the lines."""
    with set_variables({"SERVICE_KERNEL": "on"}):
        settings = read_settings()
        app = create_app(artifact, settings)
    log = AccessLog(settings, version="any")
    meter = Meter(Board())
    ledger = app._journal.ledger

    assert ledger is not None
    assert Journal(meter, log, ledger=ledger).ledger is ledger
    assert Journal(meter, log, ledger=ledger, trace_id=lambda: "1").ledger is None


def test_the_server_s_own_headers_are_those_of_the_second(artifact: Artifact) -> None:
    async def test() -> None:
        peer = make_peer(artifact, kernel="on")
        for _ in range(4):
            await peer.ask(post(SMALL))
        peer.state.default_headers = [(b"date", b"Wed, 25 Nov 2026 00:00:00 GMT")]
        taken = peer.taken
        answer = await peer.ask(post(SMALL))
        assert peer.taken == taken + 1
        assert b"date: Wed, 25 Nov" in answer
        assert b"server: " not in answer

    run(test)


def test_a_server_that_stops_answers_once_more_and_closes(artifact: Artifact) -> None:
    async def test() -> None:
        peer = make_peer(artifact, kernel="on")
        for _ in range(4):
            await peer.ask(post(SMALL))
        peer.protocol.is_stopping = True
        taken = peer.taken
        answer = await peer.ask(post(SMALL))
        assert peer.taken == taken
        assert b"connection: close" in answer
        assert peer.wire.is_closed

    run(test)


def test_a_client_that_does_not_read_waits(artifact: Artifact) -> None:
    async def test() -> None:
        peer = make_peer(artifact, kernel="on")
        for _ in range(4):
            await peer.ask(post(SMALL))
        taken = peer.taken
        peer.protocol.pause_writing()
        peer.wire.written.clear()
        peer.protocol.data_received(post(SMALL))
        await asyncio.sleep(0)
        assert not peer.wire.written
        peer.protocol.resume_writing()
        while peer.protocol.tasks:
            await asyncio.gather(*peer.protocol.tasks)
        assert b"".join(peer.wire.written).endswith(b"]")
        assert peer.taken == taken

    run(test)


def test_payloads_over_the_cap_are_refused_each_time(artifact: Artifact) -> None:
    async def test() -> None:
        peer = make_peer(artifact, kernel="on", SERVICE_MAX_PAYLOAD_MB="1")
        answers = [await peer.ask(post(b"[[25, 1250.0]" + b" " * 2**20 + b"]")) for _ in range(2)]
        assert {answer.split(b" ")[1] for answer in answers} == {b"413"}

    run(test)


def test_larger_payloads_are_left_to_python(artifact: Artifact, compiled: Any) -> None:
    async def test() -> None:
        peer = make_peer(artifact, kernel="on")
        for length, is_taken in ((compiled.MAX_BODY - 256, True), (compiled.MAX_BODY + 1, False)):
            body = SMALL[:-1].ljust(length - 1) + b"]"
            taken = peer.taken
            for _ in range(3):
                assert (await peer.ask(post(body))).endswith(b"]")
            assert (peer.taken > taken) == is_taken

    run(test)


ABOUT = ((0.0, 0.0), (1.0, 1.0), False, ((1.0, 2.0), (5.0, 6.0)), (3, 4), (1.0,), None)
HEAD = b"POST / HTTP/1.1\r\n\r\n"


@pytest.mark.parametrize("arguments", [(), (b"1234567",), ("12345678",), (b"12345678", 1), (None,)])
def test_a_ledger_refuses_what_is_no_prefix(compiled: Any, arguments: tuple[Any, ...]) -> None:
    with pytest.raises((TypeError, ValueError)):
        compiled.Ledger(*arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        (HEAD, HEAD, 0, 0, 0, b""),
        ("x", HEAD, 0, 0, 0, b"", b""),
        (HEAD, "x", 0, 0, 0, b"", b""),
        (HEAD, HEAD, 0, 0, 0, "x", b""),
        (HEAD, HEAD, 0, 0, 0, b"", "x"),
        (HEAD, HEAD, -1, 0, 0, b"", b""),
        (HEAD, HEAD, 0, 3, 0, b"", b""),
        (HEAD, HEAD, 0, -1, 0, b"", b""),
        (HEAD, HEAD, 0, 0, 3, b"", b""),
        (HEAD, HEAD, 0, 0, "x", b"", b""),
    ],
)
def test_a_ledger_refuses_what_is_no_request(compiled: Any, arguments: tuple[Any, ...]) -> None:
    with pytest.raises((TypeError, ValueError)):
        compiled.Ledger(b"12345678").respond(compiled.Labeller(*ABOUT), *arguments)


@pytest.mark.parametrize("labeller", [None, object(), b"", Board])
def test_a_ledger_refuses_what_is_no_labeller(compiled: Any, labeller: object) -> None:
    for other in (labeller, compiled.Ledger(b"12345678"), compiled.Labeller):
        with pytest.raises(TypeError, match="Labeller"):
            compiled.Ledger(b"12345678").respond(other, HEAD + b"[[1,2]]", HEAD, 7, 0, 0, b"", b"")


def test_a_ledger_leaves_other_requests_alone(compiled: Any) -> None:
    labeller, ledger = compiled.Labeller(*ABOUT), compiled.Ledger(b"12345678")
    request = HEAD + b"[[1,2]]"
    for text, head, length in [
        (request[:-1], HEAD, 7),
        (request + b" ", HEAD, 7),
        (request, HEAD, 6),
        (request.replace(b"POST", b"PUSH"), HEAD, 7),
        (b"", HEAD, 0),
        (b"", b"", 0),
        (HEAD, HEAD, 0),
        (request, request, 0),
    ]:
        assert ledger.respond(labeller, text, head, length, 0, 0, b"OK ", b"v1") is None
    assert ledger.respond(labeller, request, HEAD, 7, 0, 0, b"x" * 4097, b"v1") is None
    assert ledger.take((), (), b"x", b"")[:4] == (0, 0.0, 0, 0)
    answer = ledger.respond(labeller, request, HEAD, 7, 0, 0, b"OK ", b"v1")

    assert answer == b"OK 1234567800000001\r\ncontent-length: 3\r\n\r\n[3]"


def test_what_a_ledger_has_counted_is_told_once(compiled: Any) -> None:
    labeller, ledger = compiled.Labeller(*ABOUT), compiled.Ledger(b"12345678")
    for body in (b"[[1,2]]", b"[[5,6],[0,0],[9,9]]"):
        assert ledger.respond(labeller, HEAD + body, HEAD, len(body), 0, 0, b"", b"v1")
    template = b"\1 \2 \3 \4 \7.\n"
    taken = ledger.take((60.0,), (7, 10), template, b"now")

    requests, seconds, bytes_in, bytes_out, durations, sizes, segments, ages, powers, lines = taken
    assert (requests, bytes_in, bytes_out) == (2, 26, 12)
    assert 0 <= seconds < 60
    assert _numbers(durations) == [2, 0]
    assert _numbers(sizes) == [1, 0, 1]
    assert _numbers(segments) == [2, 2]
    assert _numbers(ages) == [1, 3]
    assert powers == b""
    assert lines == b"now 1 7 3 1234567800000001.\nnow 3 19 9 1234567800000002.\n"
    again = ledger.take((60.0,), (7, 10), template, b"now")
    assert again[:4] == (0, 0.0, 0, 0)
    assert [_numbers(part) for part in again[4:9]] == [[0, 0], [0, 0, 0], [], [], []]
    assert again[9] == b""


def _numbers(counts: bytes) -> list[int]:
    return list(memoryview(counts).cast("q"))


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ((1.0,) * 33, (), b"", b""),
        ((), ("x",), b"", b""),
        ((), (), b"\0", b""),
        ((), (), b"\1" * 17, b""),
        ([], (), b"", b""),
        ((), (), "", b""),
    ],
)
def test_nothing_is_lost_by_a_question_that_is_refused(compiled: Any, arguments: tuple[Any, ...]) -> None:
    labeller, ledger = compiled.Labeller(*ABOUT), compiled.Ledger(b"12345678")
    assert ledger.respond(labeller, HEAD + b"[[1,2]]", HEAD, 7, 0, 0, b"", b"v1")
    if arguments != ():
        with pytest.raises((TypeError, ValueError)):
            ledger.take(*arguments)

    assert ledger.take((), (), b"", b"")[0] == 1


def test_each_answer_has_the_tag_of_its_model(compiled: Any) -> None:
    """And counts hold what the model with the most segments and bins needs."""
    ledger, small = compiled.Ledger(b"12345678"), compiled.Labeller(*ABOUT)
    large = compiled.Labeller(*ABOUT[:3], ((1.0, 2.0),) * 5, tuple(range(5)), None, (2.0,))
    for labeller, tag in ((small, b"one"), (large, b"x" * 300), (small, b"")):
        assert ledger.respond(labeller, HEAD + b"[[5,6]]", HEAD, 7, 0, 0, b"", tag)
        del tag
    taken = ledger.take((), (), b"\x08\n", b"")

    assert taken[9] == b"one\n" + b"x" * 256 + b"\n\n"
    assert _numbers(taken[6]) == [1, 2, 0, 0, 0]
    assert _numbers(taken[7]) == [0, 2]
    assert _numbers(taken[8]) == [0, 1]
    assert [_numbers(part) for part in ledger.take((), (), b"", b"")[6:9]] == [[], [], []]


@pytest.mark.parametrize("decimals", [2, 3])
def test_milliseconds_are_written_as_python_writes_them(compiled: Any, decimals: int) -> None:
    labeller, ledger = compiled.Labeller(*ABOUT), compiled.Ledger(b"12345678")
    body = b"[" + b",".join([b"[1,2]"] * 1300) + b"]"
    for _ in range(50):
        assert ledger.respond(labeller, HEAD + body, HEAD, len(body), 0, 0, b"", b"v1")
    field = compiled.FIELD_MS_2 if decimals == 2 else compiled.FIELD_MS_3
    taken = ledger.take((), (), bytes([field]) + b"\n", b"")
    written = taken[9].decode().split()

    assert all(re.fullmatch(rf"\d+\.\d{{{decimals}}}", text) for text in written)
    assert sum(map(float, written)) == pytest.approx(taken[1] * 1e3, abs=50 * 0.5 * 10**-decimals)


def test_a_ledger_holds_no_memory_after_it() -> None:
    grown = grown_kb(
        f"""
        about, head = {ABOUT!r}, {HEAD!r}
        body = b"[" + b",".join([b"[1,2]"] * 1300) + b"]"
        """,
        r"""
        labeller, ledger = kernel.Labeller(*about), kernel.Ledger(b"12345678")
        for _ in range(10):
            assert ledger.respond(labeller, head + body, head, len(body), 0, 0, b"", b"v1")
        assert ledger.take((), (), b"\1\7\n" * 5, b"now")[0] == 10
        assert ledger.respond(labeller, head + body, head, len(body), 0, 0, b"", b"untold" * number)
        """,
    )

    assert grown < 4_000  # a leak of one answer each would be 10 MB


def test_prefixes_of_ids_have_the_length_that_the_kernel_takes(compiled: Any) -> None:
    assert compiled.Ledger(b"1" * PREFIX_BYTES)
