"""Name what passes between a server and a plain ASGI endpoint, and send whole answers.

Source: ASGI specification, "HTTP & WebSocket ASGI Message Format".
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from service.serving.invocation import Header, Invocation

Scope = Any
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Endpoint = Callable[[Scope, Receive, Send], Awaitable[None]]

_REQUEST_ID: Final = b"x-request-id"
_GONE: Final = "the handler is closed"
"""What uvloop says of a connection aborted in this turn of the loop: uvicorn learns it with the next."""


async def send_reply(send: Send, reply: Invocation) -> None:
    """Send the answer to an invocation."""
    await send_answer(send, reply.status, (*reply.headers, (_REQUEST_ID, reply.request_id)), reply.body)


async def send_answer(send: Send, status: int, headers: Sequence[Header], body: bytes) -> None:
    """Send a whole answer, unless the client has just been cut off."""
    start = {
        "type": "http.response.start",
        "status": status,
        "headers": [*headers, (b"content-length", b"%d" % len(body))],
    }
    try:
        await send(start)
        await send({"type": "http.response.body", "body": body})
    except RuntimeError as exc:
        if _GONE not in str(exc):
            raise
