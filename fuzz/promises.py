"""Say what must hold of every answer, whatever was asked."""

import json
import re
from typing import Final

from service.contract import MAX_ERROR_BYTES

STATUSES: Final = frozenset({200, 202, 400, 404, 405, 406, 408, 409, 410, 413, 415, 424})
"""All that a healthy server may answer to what somebody sends."""

_TRACE: Final = re.compile(rb"Traceback|File \"/|\.py\"?,? line ")
_VOLATILE: Final = re.compile(
    rb"^(?:date|x-request-id|x-amzn-requestid): [^\r]*\r\n", re.MULTILINE | re.IGNORECASE
)


class BrokenPromiseError(Exception):
    """Raised when an answer is not what every caller may rely on."""


def check(condition: bool, promise: str) -> None:  # noqa: FBT001  # reads as an assertion
    """Raise BrokenPromiseError unless a condition holds."""
    if not condition:
        raise BrokenPromiseError(promise)


def check_answer(status: int, body: bytes, *, content_type: str = "application/json") -> bool:
    """Check an answer of ours; return whether the input was accepted."""
    check(status in STATUSES, f"status {status}")
    check(not _TRACE.search(body) or status == 200, "a trace in the answer")
    if status < 400:
        return True
    check(len(body) < MAX_ERROR_BYTES, f"{len(body)} bytes in an error")
    check(content_type.startswith("application/json"), f"an error as {content_type}")
    document = json.loads(body)
    if isinstance(document, dict) and "error" in document:
        error = document["error"]
        check(bool(error["code"]) and bool(error["message"]), "an error without words")
    else:
        check("Message" in document, "an error of another form")
    return False


def without_volatile(answer: bytes) -> bytes:
    """Return an answer without the headers that differ between equal ones."""
    return _VOLATILE.sub(b"", answer)
