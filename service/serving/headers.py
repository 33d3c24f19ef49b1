"""Find the headers that an invocation depends on."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from service.contract import CUSTOM_ATTRIBUTES_HEADER, INFERENCE_ID_HEADER
from service.serving.invocation import Header

_ATTRIBUTES: Final = CUSTOM_ATTRIBUTES_HEADER.lower().encode()
_INFERENCE_ID: Final = INFERENCE_ID_HEADER.lower().encode()


class InvocationHeaders(NamedTuple):
    """Hold the headers that an invocation depends on; empty, or 0, where the client gave none."""

    content_type: bytes
    accept: bytes
    attributes: bytes
    inference_id: bytes
    length: int
    """0 also where the payload comes in chunks."""


def read_headers(headers: Sequence[Header]) -> InvocationHeaders:
    """Find the headers that an invocation depends on."""
    content_type = accept = attributes = inference_id = b""
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
    return InvocationHeaders(content_type, accept, attributes, inference_id, length)
