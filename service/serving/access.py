"""Guard what is for people: a token where there is one, and a limit to how fast one client may ask.

SageMaker's own routes are open: it sends no token, and is not to be slowed down. All others are guarded,
also those that are not there.
"""

import hashlib
import hmac
import ipaddress
import math
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from service import contract
from service.errors import ConfigurationError
from service.serving.asgi import Endpoint, Receive, Scope, Send, send_answer
from service.serving.invocation import Header, error_body
from service.serving.signals.routes import METRICS_PATH
from service.settings import Settings, TokenScope

DOCS_HEADERS: Final = {
    # Swagger UI's page has an inline script, and its bundle writes styles.
    "content-security-policy": "default-src 'none'; script-src 'self' 'unsafe-inline'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
"""Of the page at /docs."""

MIN_TOKEN: Final = 16
"""Characters: fewer could be guessed."""
BURST_S: Final = 10
"""A client may ask at once what it may ask in so many seconds; opening the console takes 30 requests."""
MAX_CLIENTS: Final = 4096
"""Remembered at a time, about 1 MB; whoever has not asked for longest is forgotten first."""

_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/=-]+")
"""Source: RFC 6750, section 2.1."""
_STATIC: Final = "/console/static/"
_INVOKE: Final = "/invoke"
_IPV6_NETWORK: Final = 64
"""Bits: what one household or machine is given."""


class Access:
    """Decide who may ask what."""

    def __init__(self, settings: Settings, *, now: Callable[[], float] = time.monotonic) -> None:
        """Keep a digest of the token, and the limit.

        Raises:
            ConfigurationError: The token is too short, or cannot stand in a header.
        """
        token = settings.token
        if token is not None and not (len(token) >= MIN_TOKEN and _TOKEN.fullmatch(token)):
            raise ConfigurationError(  # which never repeats it
                f"SERVICE_TOKEN must have {MIN_TOKEN} or more letters, digits or any of -._~+/=: "
                "'openssl rand -hex 24' makes one"
            )
        self._digest = _digest(token.encode()) if token is not None else None
        self._is_for_admin = settings.token_scope is TokenScope.ADMIN
        self._limit = RateLimit(settings.console_rate, now=now) if settings.console_rate else None

    def guard(self, endpoint: Endpoint) -> Endpoint:
        """Return an endpoint that answers those who may ask it, and 401 or 429 to others."""

        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            path, method = scope["path"], scope["method"]
            limit = self._limit if _is_limited(path) else None
            wait_s = limit.take(_client(scope)) if limit is not None else 0.0
            if wait_s:
                seconds = b"%d" % math.ceil(wait_s)
                message = f"too many requests from one client: try again in {seconds.decode()} s"
                await _refuse(send, 429, "TooManyRequests", message, (b"retry-after", seconds))
            elif self._needs_token(path, method) and not self._has_token(scope):
                message = "this needs the server's token: Authorization: Bearer TOKEN (SERVICE_TOKEN)"
                challenge = (b"www-authenticate", b'Bearer realm="segserve"')
                await _refuse(send, 401, "Unauthorized", message, challenge)
            else:
                await endpoint(scope, receive, send)

        return guarded

    def _needs_token(self, path: str, method: str) -> bool:
        if self._digest is None:
            return False
        if path == "/" or path.startswith(_STATIC):
            return False  # the page itself, which holds no data and asks for the token
        top = _top(path)
        if top == contract.ENDPOINTS_PATH:
            return False  # invocations, as AWS's clients call them: their Authorization is a signature
        if top == contract.MODELS_PATH:
            is_invocation = method == "POST" and path.endswith(_INVOKE)
            return self._is_for_admin and not is_invocation
        return path != METRICS_PATH or self._is_for_admin

    def _has_token(self, scope: Scope) -> bool:
        """Compare digests, in a time that tells nothing of the token."""
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        scheme, _, token = given.partition(b" ")
        is_bearer: bool = scheme.lower() == b"bearer"
        return is_bearer and hmac.compare_digest(_digest(token.strip()), self._digest or b"")


class RateLimit:
    """Hold a bucket of tokens for each client, as the time at which it will be full again."""

    def __init__(self, per_second: float, *, now: Callable[[], float]) -> None:
        """Begin with full buckets."""
        self._interval_s = 1 / per_second
        self._now = now
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        """Return how many clients are remembered."""
        return len(self._full_at)

    def take(self, client: str) -> float:
        """Take a token and return 0, or return the seconds until there is one."""
        now_s = self._now()
        full_at = max(self._full_at.pop(client, now_s), now_s)
        wait_s = full_at + self._interval_s - now_s - BURST_S
        if wait_s <= 0:
            full_at += self._interval_s
        self._full_at[client] = full_at
        if len(self._full_at) > MAX_CLIENTS:
            self._full_at.popitem(last=False)
        return max(wait_s, 0.0)


def _is_limited(path: str) -> bool:
    return _top(path) not in {contract.MODELS_PATH, contract.ENDPOINTS_PATH}


def _top(path: str) -> str:
    return "/" + path[1:].partition("/")[0]


def _client(scope: Scope) -> str:
    """Return what is one client: an IPv4 address, or an IPv6 network."""
    host: str = (scope.get("client") or ("",))[0]
    if ":" not in host:
        return host
    try:
        address = ipaddress.IPv6Address(host)
    except ValueError:
        return host
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address), _IPV6_NETWORK), strict=False))


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()


async def _refuse(send: Send, status: int, code: str, message: str, header: Header) -> None:
    headers = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"), header)
    await send_answer(send, status, headers, error_body(code, message))
