"""Log a line for each invocation (C41), at a fraction of what the logging module costs.

Sizes, counts and times, never a payload. Two forms: for people on stderr, and one JSON object on stdout.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from service.contract import INVOCATIONS_PATH
from service.logs import timestamp
from service.serving.invocation import VERSION_HEADER, Invocation
from service.serving.signals.entry import Entry
from service.settings import Settings, Switch

_ANSWERED: Final = "INFO service.serving.access Invocation answered"
_REFUSED: Final = "WARNING service.serving.access Invocation refused"
_ANSWERED_JSON: Final = '"level":"INFO","logger":"service.serving.access","message":"Invocation answered"'
_REFUSED_JSON: Final = '"level":"WARNING","logger":"service.serving.access","message":"Invocation refused"'
_MAX_TEXT: Final = 64
_PIPE_BYTES: Final = 4096
"""Several processes may write this much to one pipe without mixing. Source: POSIX, write(), PIPE_BUF."""

_METRICS: Final = (
    ("duration_ms", "Milliseconds"),
    ("records", "Count"),
    ("bytes_in", "Bytes"),
    ("bytes_out", "Bytes"),
    ("errors", "Count"),
)


_ENDS: Final = {False: "\n", True: "}\n"}
"""Of a line: of text, and of JSON."""


class _Facts(NamedTuple):
    """Hold what every line tells, or the fields that stand for it in a template."""

    status: int
    records: object
    bytes_in: object
    bytes_out: object
    ms: str
    request_id: str

    @classmethod
    def of(cls, entry: Entry, *, ms: str) -> _Facts:
        reply = entry.reply
        body_bytes = len(reply.body)
        return cls(reply.status, len(reply.places), entry.bytes_in, body_bytes, ms, reply.request_id.decode())


class AccessLog:
    """Write lines about invocations."""

    def __init__(
        self,
        settings: Settings,
        *,
        version: str,
    ) -> None:
        """Read the settings.

        Args:
            settings: What is logged, and in which form.
            version: Of the model.
        """
        level = logging.getLevelNamesMapping()[settings.log_level.upper()]
        self._takes_answers = settings.access_log is Switch.ON and level <= logging.INFO
        self._takes_refusals = level <= logging.WARNING
        self._is_json = settings.logs_json
        self._embedded = embedded_metrics(settings.emf_namespace) if settings.emf_namespace else ""
        self._has_many = settings.multi_model
        # What every JSON line has in common.
        self._constant = _constant_of(version)

    def stamp(self) -> str:
        """Return the time as lines have it."""
        return timestamp(time.time(), is_json=self._is_json)

    def template(self, fields: Mapping[str, str]) -> str | None:
        """Return the line of an answer with a field for each thing that differs; "" where none is written.

        None where lines may have more than these: the time, records, milliseconds with two or three decimals,
        bytes in and out, the request's id, and the tag, which is the model's version where there are many.
        """
        if not self._takes_answers:
            return ""
        if self._embedded:
            return None
        ms = fields["ms_3" if self._is_json else "ms_2"]
        facts = _Facts(
            200, fields["records"], fields["bytes_in"], fields["bytes_out"], ms, fields["request_id"]
        )
        if self._is_json:
            constant = _constant_of(fields["tag"]) if self._has_many else None
            line = self._json_facts(fields["time"], facts, constant=constant)
        else:
            line = self._text_facts(fields["time"], facts)
            line += f" model_version={fields['tag']}" if self._has_many else ""
        return line + _ENDS[self._is_json]

    def write(self, entries: Iterable[Entry]) -> None:
        """Log invocations that were answered."""
        line_of = self._json_line if self._is_json else self._text_line
        stamp = self.stamp()
        lines = [
            line_of(entry, stamp)
            for entry in entries
            if (self._takes_answers if entry.reply.status < 400 else self._takes_refusals)
        ]
        self.write_lines("".join(lines))

    def write_lines(self, lines: str) -> None:
        """Write lines that are whole."""
        stream = sys.stdout if self._is_json else sys.stderr
        for text in _pieces(lines):
            stream.write(text)
            stream.flush()

    def _text_facts(self, stamp: str, facts: _Facts) -> str:
        status, records, bytes_in, bytes_out, ms, request_id = facts
        return (
            f"{stamp} {_REFUSED if status >= 400 else _ANSWERED} status={status} records={records} "
            f"bytes_in={bytes_in} bytes_out={bytes_out} ms={ms} request_id={request_id}"
        )

    def _json_facts(self, stamp: str, facts: _Facts, *, constant: str | None = None) -> str:
        status, records, bytes_in, bytes_out, ms, request_id = facts
        return (
            f'{{"time":"{stamp}",{_REFUSED_JSON if status >= 400 else _ANSWERED_JSON},'
            f'{constant or self._constant},"status":{status},"records":{records},"duration_ms":{ms},'
            f'"bytes_in":{bytes_in},"bytes_out":{bytes_out},"request_id":"{request_id}"'
        )

    def _text_line(self, entry: Entry, stamp: str) -> str:
        reply = entry.reply
        is_refused = reply.status >= 400
        line = self._text_facts(stamp, _Facts.of(entry, ms=f"{entry.seconds * 1e3:.2f}"))
        if self._has_many:
            line += f" model_version={_version_of(reply)}"
        if entry.inference_id:
            line += f" inference_id={_text(entry.inference_id)}"
        if is_refused:
            line += f" code={reply.error_code} content_type={_text(entry.content_type)}"
        if entry.trace_id:
            line += f" trace_id={entry.trace_id}"
        return line + _ENDS[False]

    def _json_line(self, entry: Entry, stamp: str) -> str:
        reply = entry.reply
        is_refused = reply.status >= 400
        constant = _constant_of(_version_of(reply)) if self._has_many else None
        facts = _Facts.of(entry, ms=f"{entry.seconds * 1e3:.3f}")
        line = self._json_facts(stamp, facts, constant=constant)
        if entry.inference_id:
            line += f',"inference_id":{_json(_shown(entry.inference_id))}'
        if is_refused:
            line += f',"code":"{reply.error_code}","content_type":{_json(_shown(entry.content_type))}'
        if entry.trace_id:
            line += f',"trace_id":"{entry.trace_id}"'
        if self._embedded:
            line += f',"errors":{int(is_refused)},{self._embedded % int(time.time() * 1e3)}'
        return line + _ENDS[True]


def embedded_metrics(namespace: str) -> str:
    """Return the member that makes a line's numbers CloudWatch metrics, but for the time in milliseconds.

    Each counts by model version and over all versions.
    Source: Amazon CloudWatch, "Specification: Embedded metric format".
    """
    directive = {
        "Namespace": namespace,
        "Dimensions": [["model_version"], []],
        "Metrics": [{"Name": name, "Unit": unit} for name, unit in _METRICS],
    }
    return f'"_aws":{{"Timestamp":%d,"CloudWatchMetrics":{_json([directive])}}}'


def _pieces(lines: str) -> Iterator[str]:
    """Yield whole lines together, as many as surely stay together."""
    start = 0
    while start < len(lines):  # ASCII, so characters are bytes
        end = lines.rfind("\n", start, start + _PIPE_BYTES) + 1 or lines.find("\n", start) + 1
        yield lines[start:end]
        start = end


def _constant_of(version: str) -> str:
    # Nothing in a version needs to be escaped, nor in the field that stands for it.
    return f'"route":"{INVOCATIONS_PATH}","model_version":"{version}"'


def _version_of(reply: Invocation) -> str:
    return dict(reply.headers)[VERSION_HEADER].decode("latin-1")


def _shown(value: bytes) -> str:
    return value[:_MAX_TEXT].decode("latin-1")


def _text(value: bytes) -> str:
    return ascii(_shown(value))


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
