"""Answer whole requests in one call of the compiled kernel: a known head and a payload in, an answer out.

What it does not take, `ShortcutProtocol` answers in Python, with the same bytes (tests/kernel).
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from service.serving.media import Media, Plan, Reader

PREFIX_BYTES: Final = 8
"""Of request ids."""


class Way(NamedTuple):
    """Say how the payloads of one kind of request are read, and their labels written."""

    reader: int
    writer: int


class Answered(NamedTuple):
    """Hold what is counted and logged of requests that were answered."""

    requests: int
    seconds: float
    """From each complete payload to its answer, in all."""
    bytes_in: int
    """Of payloads, without heads."""
    bytes_out: int
    durations: Sequence[int]
    """How many took up to each of the bounds, and longer than the last."""
    sizes: Sequence[int]
    """How many payloads had up to each of the bounds, and more than the last."""
    segments: Sequence[int]
    """Records, by where the segment stands in the model's."""
    bins: tuple[Sequence[int], ...]
    """Of Age and of Spending_Power; those of each payload that are looked at stand for all."""
    lines: bytes
    """For the log."""


class Ledger:
    """Answer requests, and keep what is counted and logged of them; use it in the event loop alone."""

    def __init__(
        self, extension: Any, *, readers: Mapping[Reader, int], writers: Mapping[Media, int]
    ) -> None:
        """Begin one that is empty.

        Args:
            extension: The compiled one.
            readers: What the extension calls them, those that it has.
            writers: The same.
        """
        ledger = extension.Ledger(os.urandom(PREFIX_BYTES // 2).hex().encode())
        self.respond = ledger.respond
        """(labeller, request, head, length, reader, writer, answer's head, version) -> answer, or None"""
        self.fields = {
            name.removeprefix("FIELD_").lower(): chr(getattr(extension, name))
            for name in dir(extension)
            if name.startswith("FIELD_")
        }
        """What stands in a log line's template for what each has of its own; the tag is the version."""
        self._max_bytes: int = extension.MAX_BODY
        self._take = ledger.take
        self._readers = readers
        self._writers = writers

    def way_of(self, plan: Plan, *, length: int) -> Way | None:
        """Return the way of requests with this plan and length, None where Python answers them."""
        reader = self._readers.get(plan.reader)
        if reader is None or plan.has_detail or length > self._max_bytes:
            return None
        return Way(reader, self._writers[plan.media])

    def take(
        self, *, durations_s: tuple[float, ...], sizes: tuple[int, ...], template: bytes, stamp: str
    ) -> Answered:
        """Return what was answered since the last time.

        Args:
            durations_s: Bounds of the durations' buckets, ascending.
            sizes: Bounds of the buckets of the payloads' sizes, ascending.
            template: Of a log line, with `fields` in it.
            stamp: The time in each line.
        """
        requests, seconds, bytes_in, bytes_out, *parts, lines = self._take(
            durations_s, sizes, template, stamp.encode()
        )
        durations, payloads, segments, *bins = [memoryview(part).cast("q") for part in parts]
        return Answered(
            requests, seconds, bytes_in, bytes_out, durations, payloads, segments, tuple(bins), lines
        )
