"""Hold what is noted of an answered invocation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from service.serving.invocation import Invocation


class Digest(NamedTuple):
    """Hold the counts of one answer's many records."""

    segments: Sequence[int]
    """By where they stand in the model's."""
    bins: tuple[Sequence[int], ...]
    """Of Age and of Spending_Power; empty where features are not counted."""


class Entry(msgspec.Struct, frozen=True):
    """Hold an invocation that was answered; a Struct, since one is made for each."""

    reply: Invocation
    inference_id: bytes
    """The caller's own, b"" where it gave none."""
    content_type: bytes
    """Of the payload, b"" where the caller gave none."""
    bytes_in: int
    """Size of the payload."""
    seconds: float
    """From the complete payload to the answer."""
    trace_id: str
    """Of the request's trace, "" without one."""
    digest: Digest | None = None
    """Of many records; None where they are few, or not counted yet."""
