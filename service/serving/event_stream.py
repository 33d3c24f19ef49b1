"""Write frames of Amazon's event stream: what a streamed answer is made of (C109).

All numbers are big-endian. A frame is its length (4 bytes), the length of its headers (4), the CRC-32 of
these eight bytes (4), the headers, the payload, and the CRC-32 of all before (4). A header is the length of
its name (1 byte), its name, its type (7: text), the length of its value (2) and its value.

Source: Smithy, "Amazon Event Stream specification".
"""

import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Final

CONTENT_TYPE: Final = "application/vnd.amazon.eventstream"
MAX_PART_BYTES: Final = 64 * 1024
"""Of an answer in one frame; clients take up to 24 MiB."""

_TEXT: Final = 7
_PRELUDE: Final = struct.Struct(">II")
_CRC: Final = struct.Struct(">I")
_PART: Final = {
    ":message-type": "event",
    ":event-type": "PayloadPart",
    ":content-type": "application/octet-stream",
}


def encode_frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Return one frame.

    Args:
        headers: Names of at most 255 bytes, values of at most 65,535.
        payload: Of at most 24 MiB.
    """
    fields = b"".join(_header(name.encode(), value.encode()) for name, value in headers.items())
    length = _PRELUDE.size + _CRC.size + len(fields) + len(payload) + _CRC.size
    prelude = _PRELUDE.pack(length, len(fields))
    message = b"".join((prelude, _CRC.pack(zlib.crc32(prelude)), fields, payload))
    return message + _CRC.pack(zlib.crc32(message))


def payload_parts(body: bytes) -> Iterator[bytes]:
    """Yield an answer as `PayloadPart` frames, at least one."""
    for start in range(0, max(len(body), 1), MAX_PART_BYTES):
        yield encode_frame(_PART, body[start : start + MAX_PART_BYTES])


def _header(name: bytes, value: bytes) -> bytes:
    return b"".join((bytes([len(name)]), name, struct.pack(">BH", _TEXT, len(value)), value))
