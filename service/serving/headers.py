"""Find the headers that an invocation depends on."""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from service.contract import CUSTOM_ATTRIBUTES_HEADER, INFERENCE_ID_HEADER
from service.serving.invocation import Header
from service.serving.ledger import Way
from service.serving.media import Plan

_ATTRIBUTES: Final = CUSTOM_ATTRIBUTES_HEADER.lower().encode()
_INFERENCE_ID: Final = INFERENCE_ID_HEADER.lower().encode()
_REQUEST_ID: Final = b"x-request-id"
_ENCODING: Final = b"content-encoding"
_NO_ENCODING: Final = b"identity"
_SAFE_ID: Final = re.compile(rb"[\w.:/+=@-]{1,64}")
"""Of the caller's own; others are replaced, not repeated."""


_MAX_HEADS: Final = 512
_MAX_HEAD_BYTES: Final = 2048


class InvocationHeaders(NamedTuple):
    """Hold the headers that an invocation depends on; empty, or 0, where the client gave none."""

    content_type: bytes
    accept: bytes
    attributes: bytes
    inference_id: bytes
    length: int
    """0 also where the payload comes in chunks."""
    request_id: bytes = b""
    encoding: bytes = b""
    """Content-Encoding, which no payload may have."""


class KnownHead(msgspec.Struct):
    """Hold what the parser found in the head of a request that took the short cut."""

    head: bytes
    """Up to and with the empty line."""
    url: bytes
    headers: InvocationHeaders
    plan: Plan
    """How such a request is answered."""
    way: Way | None = None
    """How the kernel answers it whole; None where it does not."""
    answer_head: bytes = b""
    """Of such an answer, up to the value of x-request-id."""
    answer_default: object = None
    """The server's own headers that are in it."""
    version_header: Header | None = None
    """That in it, of the model that answered."""
    length: int = 0
    """Of the payload."""

    def __post_init__(self) -> None:
        """Keep the length at hand: to ask a named tuple for it takes longer."""
        self.length = self.headers.length


class KnownHeads(dict[bytes, KnownHead]):
    """Hold heads by their bytes, up to and with the empty line.

    What a parser finds in the same bytes is the same, on whatever connection. Only heads of plain requests
    are kept: POST, HTTP/1.1, kept alive, with a Content-Length.
    """

    def keep(self, known: KnownHead) -> None:
        """Keep a head, unless it is long, or one of a kind."""
        if len(known.head) > _MAX_HEAD_BYTES or known.headers.request_id or known.headers.inference_id:
            return
        if len(self) >= _MAX_HEADS:
            self.clear()
        self[known.head] = known


def read_headers(headers: Sequence[Header]) -> InvocationHeaders:
    """Find the headers that an invocation depends on."""
    content_type = accept = attributes = inference_id = request_id = encoding = b""
    length = 0
    for name, value in headers:
        if name == b"content-type":
            content_type = value
        elif name == b"accept":
            accept = accept + b"," + value if accept else value
        elif name == b"content-length":
            length = int(value)
        elif name == _ATTRIBUTES:
            attributes = value
        elif name == _INFERENCE_ID:
            inference_id = value
        elif name == _REQUEST_ID and _SAFE_ID.fullmatch(value):
            request_id = value
        elif name == _ENCODING and value.lower() != _NO_ENCODING:
            encoding = value
    return InvocationHeaders(content_type, accept, attributes, inference_id, length, request_id, encoding)
