"""Define what the API answers when it refuses a request, in AWS's words where those are known."""

from collections.abc import Mapping
from typing import Any

from service.errors import ServiceError


class ApiError(ServiceError):
    """Raised when a request is refused; holds the error's name and HTTP status as a client sees them."""

    def __init__(
        self,
        message: str,
        *,
        code: str = "ValidationException",
        status: int = 400,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        """Keep the error's name, its status and further members of its body."""
        super().__init__(message)
        self.code = code
        self.status = status
        self.members = dict(members or {})


class LaunchError(ServiceError):
    """Raised when a model cannot be brought into service; the message is the FailureReason."""


class StorageError(ServiceError):
    """Raised when an object cannot be read or written."""


def not_emulated(what: str, where: str, *, code: str = "ValidationException") -> ApiError:
    """Return the refusal of something that AWS has and this service has not."""
    return ApiError(
        f"{what} of {where} is not emulated by segserve local: leave it out, or use Amazon SageMaker",
        code=code,
    )
