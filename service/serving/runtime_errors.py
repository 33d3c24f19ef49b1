"""Answer as the AWS runtime API does when a call fails (C104, C105)."""

from collections.abc import Mapping
from typing import Final

import orjson

from service.contract import MAX_ERROR_BYTES
from service.serving.invocation import Invocation
from service.serving.runtime_request import RuntimeCall

_JSON: Final = "application/json"
_ACCOUNT: Final = "000000000000"
"""Locally there is none."""
_LOG_GROUP: Final = "/aws/sagemaker/Endpoints/"


def validation_error(message: str) -> Invocation:
    """Return the answer to a call that no container sees."""
    return _error(400, "ValidationError", {"Message": message})


def service_unavailable(message: str) -> Invocation:
    """Return the answer to a call that may succeed later."""
    return _error(503, "ServiceUnavailable", {"Message": message})


def model_error(reply: Invocation, call: RuntimeCall) -> Invocation:
    """Return the answer to a call that the container has refused, with the text that AWS has for it."""
    original = _message_of(reply)
    group = f"{_LOG_GROUP}{call.endpoint}"
    # AWS documents no ErrorCode for server errors.
    code = {"ErrorCode": "CLIENT_ERROR_FROM_MODEL"} if reply.status < 500 else {}
    return _error(
        424,
        "ModelError",
        {
            **code,
            "LogStreamArn": f"arn:aws:logs:{call.region}:{_ACCOUNT}:log-group:{group}",
            "Message": model_error_text(reply, call),
            "OriginalMessage": original,
            "OriginalStatusCode": reply.status,
        },
    )


def model_error_text(reply: Invocation, call: RuntimeCall) -> str:
    """Return what AWS says of a container's refusal, also in the failure of an asynchronous invocation."""
    side = "client" if reply.status < 500 else "server"
    console = (
        f"https://{call.region}.console.aws.amazon.com/cloudwatch/home?region={call.region}"
        f"#logEventViewer:group={_LOG_GROUP}{call.endpoint}"
    )
    return (
        f'Received {side} error ({reply.status}) from primary with message "{_message_of(reply)}". '
        f"See {console} in account {_ACCOUNT} for more information."
    )


def _message_of(reply: Invocation) -> str:
    return reply.body[:MAX_ERROR_BYTES].decode(errors="replace")


def _error(status: int, shape: str, document: Mapping[str, object]) -> Invocation:
    headers = ((b"content-type", _JSON.encode()), (b"x-amzn-errortype", shape.encode()))
    return Invocation(status, orjson.dumps(document), _JSON, headers)
