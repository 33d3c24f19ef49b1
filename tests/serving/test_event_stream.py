"""Frames of the event stream are those that botocore reads."""

import random
from collections.abc import Iterable

import pytest
from botocore.eventstream import EventStreamBuffer, EventStreamMessage

from service.serving.event_stream import MAX_PART_BYTES, encode_frame, payload_parts


def read(chunks: Iterable[bytes]) -> list[EventStreamMessage]:
    buffer = EventStreamBuffer()
    for chunk in chunks:
        buffer.add_data(chunk)
    return list(buffer)


def test_frames_are_read_by_botocore_however_they_are_cut() -> None:
    chance = random.Random(20261123)
    for _ in range(200):
        headers = {f"n{number}": "ü" * chance.randint(0, 300) for number in range(chance.randint(0, 5))}
        payload = chance.randbytes(chance.randint(0, 3000))
        stream = encode_frame(headers, payload) * 3
        cuts = sorted(chance.choices(range(len(stream)), k=5))

        messages = read(stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True))

        assert [message.payload for message in messages] == [payload] * 3
        assert [message.headers for message in messages] == [headers] * 3


@pytest.mark.parametrize("size", [0, 1, MAX_PART_BYTES, MAX_PART_BYTES + 1, 3 * MAX_PART_BYTES])
def test_an_answer_comes_back_whole_in_parts_of_limited_size(size: int) -> None:
    body = random.Random(size).randbytes(size)

    messages = read(payload_parts(body))

    assert b"".join(message.payload for message in messages) == body
    assert len(messages) == max(1, -(-size // MAX_PART_BYTES))
    assert {message.headers[":event-type"] for message in messages} == {"PayloadPart"}
    assert {message.headers[":message-type"] for message in messages} == {"event"}
