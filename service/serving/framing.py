"""Tell requests that have one meaning from those that two readers could take for different ones."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from service.serving.invocation import Header

_HOST: Final = re.compile(
    rb"(?:\[[0-9A-Fa-f:.]+(?:%25[\w.~-]+)?\]|(?:[\w.~!$&'()*+;=-]|%[0-9A-Fa-f]{2})*)(?::\d*)?"
)
"""Source: RFC 3986, 3.2.2, and RFC 6874; empty where the target has no authority (RFC 9112, 3.2)."""

_OTHERS: Final = (b" RTSP/", b" ICE/")
"""Protocols whose requests httptools takes for HTTP's."""
_OTHER: Final = rb"%b %b +(?:RTSP|ICE)/"


@lru_cache(maxsize=64)
def is_host(value: bytes) -> bool:
    """Tell whether a Host header names a host, and maybe a port."""
    return _HOST.fullmatch(value) is not None


def is_framed_plainly(headers: Sequence[Header], *, version: str) -> bool:
    """Tell whether the payload is only cut into chunks, if it is encoded, and by whoever may do that.

    Source: RFC 9112, 6.1: HTTP/1.0 has no Transfer-Encoding, and a coding that is not known is refused.
    """
    codings = [value for name, value in headers if name == b"transfer-encoding"]
    return not codings or (version == "1.1" and [coding.lower() for coding in codings] == [b"chunked"])


def is_of_another_protocol(text: bytes, *, method: bytes, url: bytes) -> bool:
    """Tell whether this request line names another protocol than HTTP, in the bytes that it came with."""
    return any(other in text for other in _OTHERS) and (
        re.search(_OTHER % (re.escape(method), re.escape(url)), text) is not None
    )
