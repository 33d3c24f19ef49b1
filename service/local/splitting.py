"""Split objects into payloads and put answers together, as batch transform does (C51 to C54)."""

from collections.abc import Iterator, Sequence

from service.local.faults import StorageError


def split(content: bytes, *, by_line: bool, is_multi_record: bool, max_bytes: int) -> Iterator[bytes]:
    """Yield the payloads of an object.

    Args:
        content: Of the object.
        by_line: Whether each line is a record; else the object is one payload.
        is_multi_record: Whether a payload takes as many records as fit.
        max_bytes: Of a payload; 0 is no limit.

    Raises:
        StorageError: A record, or an object that is not split, is too large.
    """
    records = _lines(content) if by_line else iter([content] if content else [])
    payload = bytearray()
    for position, record in enumerate(records):
        if max_bytes and len(record) > max_bytes:
            what = f"record {position}" if by_line else "the object"
            raise StorageError(
                f"{what} has {len(record)} bytes, more than MaxPayloadInMB allows ({max_bytes} bytes)"
            )
        if payload and (not is_multi_record or (max_bytes and len(payload) + len(record) > max_bytes)):
            yield bytes(payload)
            payload.clear()
        payload += record
    if payload:
        yield bytes(payload)


def assemble(answers: Sequence[bytes], *, by_line: bool) -> bytes:
    """Put the answers of one object together; `by_line` sees to a newline after each."""
    if not by_line:
        return b"".join(answers)
    return b"".join(answer if answer.endswith(b"\n") else answer + b"\n" for answer in answers)


def _lines(content: bytes) -> Iterator[bytes]:
    """Yield the lines with their newlines, leaving out empty ones."""
    for line in content.splitlines(keepends=True):
        if line.strip():
            yield line
