"""Find the headers that an invocation depends on."""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from service.contract import CUSTOM_ATTRIBUTES_HEADER, INFERENCE_ID_HEADER
from service.serving.invocation import Header

_ATTRIBUTES: Final = CUSTOM_ATTRIBUTES_HEADER.lower().encode()
_INFERENCE_ID: Final = INFERENCE_ID_HEADER.lower().encode()
_REQUEST_ID: Final = b"x-request-id"
_SAFE_ID: Final = re.compile(rb"[\w.:/+=@-]{1,64}")
"""Of the caller's own; others are replaced, not repeated."""


class InvocationHeaders(NamedTuple):
    """Hold the headers that an invocation depends on; empty, or 0, where the client gave none."""

    content_type: bytes
    accept: bytes
    attributes: bytes
    inference_id: bytes
    length: int
    """0 also where the payload comes in chunks."""
    request_id: bytes = b""


def read_headers(headers: Sequence[Header]) -> InvocationHeaders:
    """Find the headers that an invocation depends on."""
    content_type = accept = attributes = inference_id = request_id = b""
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
    return InvocationHeaders(content_type, accept, attributes, inference_id, length, request_id)
