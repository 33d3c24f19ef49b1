"""Note each answered invocation at once, then count and log those of a few milliseconds together."""

import asyncio
import itertools
import os
from collections.abc import Callable
from typing import Final

from service.serving.invocation import Invocation
from service.serving.ledger import Ledger
from service.serving.signals.access_log import AccessLog
from service.serving.signals.entry import Digest, Entry
from service.serving.signals.layout import DURATIONS_S, SIZES_BYTES
from service.serving.signals.meter import Meter

_DELAY_S: Final = 0.01
"""What is counted and logged together costs half as much, and a log is not read faster than that."""
_MOST: Final = 256


class Journal:
    """Keep what was answered until nobody waits for an answer; use it in the event loop alone."""

    def __init__(
        self,
        meter: Meter,
        access_log: AccessLog,
        *,
        trace_id: Callable[[], str] | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        """Take where invocations are counted and logged.

        Args:
            meter: Counts.
            access_log: Logs.
            trace_id: Tells the trace that an invocation belongs to.
            ledger: Answers some by itself, and keeps them. It is not used where its answers could not be
                noted as all others are.
        """
        template = access_log.template(ledger.fields) if ledger and not trace_id else None
        self.ledger = None if template is None else ledger
        self._template = (template or "").encode()
        self.is_awaited = False
        """Whether a flush is going to come."""
        self._trace_id = trace_id
        self._meter = meter
        self._access_log = access_log
        self._entries: list[Entry] = []
        self._request_ids = map((os.urandom(4).hex().encode() + b"%08x").__mod__, itertools.count(1))

    def note(  # keywords cost time, and this is in the way of every invocation
        self,
        reply: Invocation,
        request_id: bytes,
        inference_id: bytes,
        content_type: bytes,
        bytes_in: int,
        seconds: float,
        digest: Digest | None = None,
    ) -> None:
        """Name the invocation, and remember it; see Entry for the arguments."""
        reply.request_id = request_id or next(self._request_ids)
        trace_id = self._trace_id() if self._trace_id else ""
        entries = self._entries
        entries.append(Entry(reply, inference_id, content_type, bytes_in, seconds, trace_id, digest))
        if not self.is_awaited:
            self.await_flush()
        elif len(entries) >= _MOST:
            self.flush()

    def await_flush(self) -> None:
        """See to it that what was answered is counted and logged soon."""
        self.is_awaited = True
        asyncio.get_running_loop().call_later(_DELAY_S, self.flush)

    def flush(self) -> None:
        """Count and log what was noted, and what the ledger has answered."""
        self.is_awaited = False
        if self.ledger:
            answered = self.ledger.take(
                durations_s=DURATIONS_S,
                sizes=SIZES_BYTES,
                template=self._template,
                stamp=self._access_log.stamp(),
            )
            if answered.requests:
                self._meter.count_answered(answered)
                self._access_log.write_lines(answered.lines.decode())
        if self._entries:
            entries, self._entries = self._entries, []
            self._meter.count_invocations(entries)
            self._access_log.write(entries)
