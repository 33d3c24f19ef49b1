"""Define what can go wrong, by who can mend it.

    ServiceError
    ├── ConfigurationError        a setting or an option has a value that is not accepted
    │   └── MissingExtraError     a command needs packages of an extra that is not installed
    ├── DatasetError              a customer file, or all of its records, cannot be used
    ├── TrainingError             the records do not allow the fit that was asked for
    ├── CheckFailedError          a check found more than its limit allows
    ├── StoreError                the model store cannot be read or written
    │   └── ModelNotFoundError    no such model, or none at all
    ├── ConformanceError          a container or server cannot be checked at all
    ├── AwsError                  AWS refuses, fails or cannot be reached
    ├── ArtifactError
    │   ├── CorruptArtifactError        it is not what training wrote
    │   ├── IncompatibleArtifactError   it is intact, but of a format that this version cannot read
    │   └── UntrustedArtifactError      it is intact, but not signed by a trusted key, or not the pinned one
    ├── LoadError                 a server cannot be put under load
    └── InvocationError           an invocation cannot be answered
        ├── InvalidPayloadError         the payload as a whole cannot be read
        │   └── InvalidRecordError      one record of it cannot be used
        ├── UnsupportedContentTypeError
        ├── NotAcceptableError
        ├── PayloadTooLargeError
        ├── ModelNotReadyError
        ├── ModelNotLoadedError         a multi-model server has no model of this name
        ├── ModelAlreadyLoadedError
        ├── InvalidModelError           what a multi-model server is told to load is no model
        ├── InsufficientMemoryError
        ├── OverloadedError             more is asked at once than can be answered in time
        └── InvocationTimeoutError

Messages read alone: what was wrong, where, what is accepted. They never repeat a payload.
Statuses belong to service.serving, exit codes to service.exits.
"""

from enum import StrEnum
from typing import Final, Self


class RejectReason(StrEnum):
    """Name why a record cannot be used."""

    UNREADABLE = "unreadable"
    """Not a record in any of its forms."""
    MISSING = "missing"
    """A field is not there."""
    NOT_A_NUMBER = "not_a_number"
    """Text, a boolean, null, a list or an object where a number belongs."""
    NEGATIVE = "negative"
    NOT_FINITE = "not_finite"
    TOO_LARGE = "too_large"


class ServiceError(Exception):
    """Raised when segserve cannot do what was asked; the message is for the user."""


class ConfigurationError(ServiceError):
    """Raised when a setting, an option or an argument has a value that is not accepted."""


_IN_A_CHECKOUT: Final = dict.fromkeys(("aws", "sign"), ", or in a checkout: make aws")


class MissingExtraError(ConfigurationError):
    """Raised when a command needs packages that are not installed."""

    def __init__(self, command: str, *, extra: str, package: str) -> None:
        """Name the command, the extra that holds its packages and the package that is missing."""
        super().__init__(
            f"segserve {command} needs the extra '{extra}' ({package} is not installed). "
            f"Install it with: pip install 'segserve[{extra}]'{_IN_A_CHECKOUT.get(extra, '')}"
        )


class DatasetError(ServiceError):
    """Raised when a customer file, or every record in it, cannot be used."""


class TrainingError(ServiceError):
    """Raised when the records do not allow the fit that was asked for."""


class CheckFailedError(ServiceError):
    """Raised when a check has run and found more than its limit allows."""


class StoreError(ServiceError):
    """Raised when the model store cannot be read or written."""


class ModelNotFoundError(StoreError):
    """Raised when a model version or folder is not there."""


class ConformanceError(ServiceError):
    """Raised when a container or server cannot be checked at all."""


class AwsError(ServiceError):
    """Raised when AWS refuses a call, fails at it or cannot be reached."""

    def __init__(
        self, message: str, *, code: str = "", is_missing: bool = False, is_taken: bool = False
    ) -> None:
        """Keep AWS's name of the refusal, and whether a thing was missing or a name in use."""
        super().__init__(message)
        self.code = code
        self.is_missing = is_missing
        self.is_taken = is_taken


class ArtifactError(ServiceError):
    """Raised when a model artifact cannot be used."""


class CorruptArtifactError(ArtifactError):
    """Raised when an artifact is not what training wrote: damaged, incomplete or tampered with."""


class IncompatibleArtifactError(ArtifactError):
    """Raised when an artifact is intact but of a format that this version cannot read."""


class UntrustedArtifactError(ArtifactError):
    """Raised when an artifact is intact but not signed by a trusted key, or not the one that was pinned."""


class LoadError(ServiceError):
    """Raised when a server cannot be put under load, or does not bear it."""


class InvocationError(ServiceError):
    """Raised when an invocation cannot be answered."""

    code = "InvocationError"
    """What a program can match on in the error body."""


class InvalidPayloadError(InvocationError):
    """Raised when a payload as a whole cannot be read."""

    code = "InvalidPayload"


class InvalidRecordError(InvalidPayloadError):
    """Raised when one record of a payload cannot be used."""

    code = "InvalidRecord"

    def __init__(
        self,
        message: str,
        *,
        position: int,
        field: str | None = None,
        reason: RejectReason = RejectReason.UNREADABLE,
    ) -> None:
        """Keep the record's position, which counts from 0, the field that is wrong and in which way."""
        super().__init__(message)
        self.position = position
        self.field = field
        self.reason = reason


class UnsupportedContentTypeError(InvocationError):
    """Raised when the payload's content type is none of the accepted ones."""

    code = "UnsupportedContentType"


class NotAcceptableError(InvocationError):
    """Raised when none of the content types in Accept can be produced."""

    code = "NotAcceptable"


class PayloadTooLargeError(InvocationError):
    """Raised when a payload is larger than the cap."""

    code = "PayloadTooLarge"

    @classmethod
    def over(cls, max_bytes: int) -> Self:
        """Return the error of a payload with more bytes than the cap."""
        return cls(f"the payload has more than {max_bytes} bytes; send less, or raise SERVICE_MAX_PAYLOAD_MB")


class ModelNotReadyError(InvocationError):
    """Raised when no model is loaded, or the loaded one fails its self-test."""

    code = "ModelNotReady"


class ModelNotLoadedError(InvocationError):
    """Raised when a multi-model server has no model of this name."""

    code = "ModelNotLoaded"


class ModelAlreadyLoadedError(InvocationError):
    """Raised when a multi-model server has a model of this name already."""

    code = "ModelAlreadyLoaded"


class InvalidModelError(InvocationError):
    """Raised when what a multi-model server is told to load is no model that it can use."""

    code = "InvalidModel"


class InsufficientMemoryError(InvocationError):
    """Raised when a multi-model server has no room for another model."""

    code = "InsufficientMemory"


class OverloadedError(InvocationError):
    """Raised when more is asked at once than can be answered in time."""

    code = "Overloaded"

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        """Keep when to try again."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


class InvocationTimeoutError(InvocationError):
    """Raised when an answer takes longer than SageMaker would wait for it."""

    code = "InvocationTimeout"
