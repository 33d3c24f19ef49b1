"""Log a line for each invocation (C41), at a fraction of what the logging module costs.

Sizes, counts and times, never a payload. Two forms: for people on stderr, and one JSON object on stdout.
"""

import json
import logging
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

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
        self._constant = f'"route":"{INVOCATIONS_PATH}","model_version":{_json(version)}'

    def write(self, entries: Iterable[Entry]) -> None:
        """Log invocations that were answered."""
        line_of = self._json_line if self._is_json else self._text_line
        stamp = timestamp(time.time(), is_json=self._is_json)
        lines = [
            line_of(entry, stamp)
            for entry in entries
            if (self._takes_answers if entry.reply.status < 400 else self._takes_refusals)
        ]
        if not lines:
            return
        stream = sys.stdout if self._is_json else sys.stderr
        for text in _pieces(lines):
            stream.write(text)
            stream.flush()

    def _text_line(self, entry: Entry, stamp: str) -> str:
        reply = entry.reply
        is_refused = reply.status >= 400
        line = (
            f"{stamp} {_REFUSED if is_refused else _ANSWERED} status={reply.status} "
            f"records={len(reply.places)} bytes_in={entry.bytes_in} bytes_out={len(reply.body)} "
            f"ms={entry.seconds * 1e3:.2f} request_id={reply.request_id.decode()}"
        )
        if self._has_many:
            line += f" model_version={_version_of(reply)}"
        if entry.inference_id:
            line += f" inference_id={_text(entry.inference_id)}"
        if is_refused:
            line += f" code={reply.error_code} content_type={_text(entry.content_type)}"
        if entry.trace_id:
            line += f" trace_id={entry.trace_id}"
        return f"{line}\n"

    def _json_line(self, entry: Entry, stamp: str) -> str:
        reply = entry.reply
        is_refused = reply.status >= 400
        constant = self._constant
        if self._has_many:
            constant = f'"route":"{INVOCATIONS_PATH}","model_version":{_json(_version_of(reply))}'
        line = (
            f'{{"time":"{stamp}",{_REFUSED_JSON if is_refused else _ANSWERED_JSON},{constant},'
            f'"status":{reply.status},"records":{len(reply.places)},"duration_ms":{entry.seconds * 1e3:.3f},'
            f'"bytes_in":{entry.bytes_in},"bytes_out":{len(reply.body)},"request_id":"{reply.request_id.decode()}"'
        )
        if entry.inference_id:
            line += f',"inference_id":{_json(_shown(entry.inference_id))}'
        if is_refused:
            line += f',"code":"{reply.error_code}","content_type":{_json(_shown(entry.content_type))}'
        if entry.trace_id:
            line += f',"trace_id":"{entry.trace_id}"'
        if self._embedded:
            line += f',"errors":{int(is_refused)},{self._embedded % int(time.time() * 1e3)}'
        return f"{line}}}\n"


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


def _pieces(lines: Sequence[str]) -> Iterator[str]:
    """Yield whole lines together, as many as surely stay together."""
    text = "".join(lines)
    if len(text) <= _PIPE_BYTES:  # ASCII, so characters are bytes
        yield text
        return
    piece = ""
    for line in lines:
        if len(piece) + len(line) > _PIPE_BYTES and piece:
            yield piece
            piece = ""
        piece += line
    yield piece


def _version_of(reply: Invocation) -> str:
    return dict(reply.headers)[VERSION_HEADER].decode("latin-1")


def _shown(value: bytes) -> str:
    return value[:_MAX_TEXT].decode("latin-1")


def _text(value: bytes) -> str:
    return ascii(_shown(value))


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
