"""Split, send and assemble as a batch transform job does (C51, C53, C54)."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from tests.conformance.wire import Address, Answer, invoke


class Strategy(Enum):
    """Name how many lines a request holds."""

    SINGLE_RECORD = auto()
    MULTI_RECORD = auto()


@dataclass(frozen=True, slots=True)
class Transform:
    """Hold the settings of a job whose SplitType is Line."""

    content_type: str
    accept: str
    strategy: Strategy = Strategy.MULTI_RECORD
    max_payload_bytes: int = 6 * 2**20
    is_assembled_by_line: bool = False
    """AssembleWith=Line rather than None."""
    attributes: str = ""


class TransformError(Exception):
    """One mini-batch failed, so there is no output file for the object."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"{answer.status} {answer.body[:200]!r}")
        self.answer = answer


def split(data: bytes, *, strategy: Strategy, max_payload_bytes: int) -> Iterator[bytes]:
    """Yield mini-batches of whole lines, newlines kept; nothing is known of headers."""
    batch: list[bytes] = []
    size = 0
    for line in data.splitlines(keepends=True):
        if batch and (strategy is Strategy.SINGLE_RECORD or size + len(line) > max_payload_bytes):
            yield b"".join(batch)
            batch, size = [], 0
        batch.append(line)
        size += len(line)
    if batch:
        yield b"".join(batch)


def transform(address: Address, data: bytes, job: Transform) -> bytes:
    """Return the content of the object's .out file.

    Raises:
        TransformError: A mini-batch was refused.
    """
    headers = {"X_Amzn_SageMaker_Custom_Attributes": job.attributes} if job.attributes else {}
    parts = []
    for body in split(data, strategy=job.strategy, max_payload_bytes=job.max_payload_bytes):
        answer = invoke(address, body, job.content_type, job.accept or None, **headers)
        if answer.status != 200:
            raise TransformError(answer)
        parts.append(answer.body + (b"\n" if job.is_assembled_by_line else b""))
    return b"".join(parts)
