"""Read the environment into one frozen object: SageMaker's own variables first, then SERVICE_*."""

import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AliasChoices, BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from service import contract
from service.errors import ConfigurationError
from service.logs import LogFormat, logs_json

ALL_INTERFACES: Final = "0.0.0.0"  # noqa: S104  # C6
LOOPBACK: Final = "127.0.0.1"
_KUBERNETES: Final = "KUBERNETES_SERVICE_HOST"


class OnError(StrEnum):
    """Name what becomes of a payload with a bad record."""

    REJECT = "reject"
    """400, naming the record."""
    PLACEHOLDER = "placeholder"
    """`null` or `ERROR` in the record's place, so that line counts hold (C56)."""


class Switch(StrEnum):
    """Name the two positions of a switch."""

    ON = "on"
    OFF = "off"


class TokenScope(StrEnum):
    """Name what needs the token, where there is one."""

    CONSOLE = "console"
    """What SageMaker never asks for."""
    ADMIN = "admin"
    """All but /ping, /invocations and their like."""


class LogLevel(StrEnum):
    """Name the log levels."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _log_level(value: object) -> object:
    """Accept the numbers that AWS's own containers take (C89) beside the names."""
    numbers = {"10": LogLevel.DEBUG, "20": LogLevel.INFO, "30": LogLevel.WARNING, "40": LogLevel.ERROR}
    return numbers.get(str(value), _lower(value))


class Settings(BaseSettings):
    """Hold every setting; the first name of an alias that is set wins, an empty value counts as unset."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True, extra="ignore", case_sensitive=True)

    host: str | None = Field(None, validation_alias="SERVICE_HOST")
    """Address to listen on. Default: all interfaces in a container or where SageMaker's tree is, else this
    machine alone."""
    port: int = Field(
        contract.DEFAULT_PORT,
        ge=0,
        le=65535,
        validation_alias=AliasChoices(contract.BIND_TO_PORT, "SERVICE_PORT"),
    )
    """Port to listen on; 0 takes a free one."""
    workers: int = Field(
        1, ge=1, le=64, validation_alias=AliasChoices("SAGEMAKER_MODEL_SERVER_WORKERS", "SERVICE_WORKERS")
    )
    """Server processes."""
    prefix: Path = Field(Path(contract.PREFIX), validation_alias="SERVICE_PREFIX")
    """Where SageMaker's tree is."""
    store: str = Field("models", validation_alias="SERVICE_STORE")
    """Folder of model versions."""
    model: str | None = Field(None, validation_alias="SERVICE_MODEL")
    """Model to serve: an artifact's path, or a version of the store."""
    trusted_keys: str | None = Field(None, validation_alias="SERVICE_TRUSTED_KEYS")
    """Ed25519 public keys, as PEM text or as files with commas between. A model that none of them has signed
    is then refused. Default: signatures are not looked at."""
    model_digest: str | None = Field(None, validation_alias="SERVICE_MODEL_DIGEST")
    """sha256 that the manifest.json or the model.json of a model must have, or several with commas between.
    Default: any."""
    sign_key: Path | None = Field(None, validation_alias="SERVICE_SIGN_KEY")
    """File with the Ed25519 private key that training signs with. Default: models are not signed."""
    max_payload_mb: int = Field(
        contract.MAX_PAYLOAD_MB,
        ge=0,
        le=10_000,
        validation_alias=AliasChoices("SAGEMAKER_MAX_PAYLOAD_IN_MB", "SERVICE_MAX_PAYLOAD_MB"),
    )
    """Largest payload accepted, in MiB; 0 is no limit (C47)."""
    timeout_s: int | None = Field(
        None,
        ge=1,
        le=3600,
        validation_alias=AliasChoices("SAGEMAKER_MODEL_SERVER_TIMEOUT", "SERVICE_TIMEOUT_S"),
    )
    """Longest invocation, in seconds. Default: 55, and none in a batch job."""
    graceful_timeout_s: int = Field(25, ge=1, le=3600, validation_alias="SERVICE_GRACEFUL_TIMEOUT_S")
    """Time for requests in flight to finish after SIGTERM, in seconds (C4)."""
    default_accept: str | None = Field(
        None,
        validation_alias=AliasChoices("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", "SERVICE_DEFAULT_ACCEPT"),
    )
    """What to answer with when the request has no Accept, or `*/*` (C25). Default: `application/json`; in a
    batch job CSV for CSV, and lines for lines, so that no rows fuse (C54)."""
    on_error: Annotated[OnError, BeforeValidator(_lower)] = Field(
        OnError.REJECT, validation_alias="SERVICE_ON_ERROR"
    )
    """What becomes of a payload with a bad record: reject or placeholder."""
    console: Annotated[Switch, BeforeValidator(_lower)] = Field(Switch.ON, validation_alias="SERVICE_CONSOLE")
    """Whether the console at /, /model, /live, /docs and /openapi.json are there: on or off."""
    token: str | None = Field(None, repr=False, validation_alias="SERVICE_TOKEN")
    """Bearer token, of 16 characters or more, that the console and what it asks for then need. Default:
    whoever reaches the server may look."""
    token_scope: Annotated[TokenScope, BeforeValidator(_lower)] = Field(
        TokenScope.CONSOLE, validation_alias="SERVICE_TOKEN_SCOPE"
    )
    """What needs the token: console; or admin, which is /metrics and the loading, listing and unloading of
    models too. SageMaker asks for these, and sends no token."""
    console_rate: int = Field(50, ge=0, le=100_000, validation_alias="SERVICE_CONSOLE_RATE")
    """Requests a second that one client may send to the console's routes and to /metrics, in each worker,
    after ten times as many at once; 0 is no limit. More get 429."""
    access_log: Annotated[Switch, BeforeValidator(_lower)] = Field(
        Switch.ON, validation_alias="SERVICE_ACCESS_LOG"
    )
    """Whether each invocation is logged with sizes and time: on or off. Refusals always are."""
    log_level: Annotated[LogLevel, BeforeValidator(_log_level)] = Field(
        LogLevel.INFO, validation_alias=AliasChoices("SAGEMAKER_CONTAINER_LOG_LEVEL", "SERVICE_LOG_LEVEL")
    )
    """How much is logged: debug, info, warning or error."""
    log_format: Annotated[LogFormat, BeforeValidator(_lower)] = Field(
        LogFormat.TEXT, validation_alias="SERVICE_LOG_FORMAT"
    )
    """Lines for people on stderr (text), one JSON object a line on stdout (json), or JSON unless stdout is a
    terminal (auto, which the image sets)."""
    emf_namespace: str | None = Field(
        None, max_length=255, pattern=r"^[A-Za-z0-9._/#:-]+$", validation_alias="SERVICE_EMF_NAMESPACE"
    )
    """CloudWatch namespace. With it, the line of each invocation carries its figures in CloudWatch's embedded
    metric format; needs lines in JSON."""
    runtime_api: Annotated[Switch, BeforeValidator(_lower)] = Field(
        Switch.ON, validation_alias="SERVICE_RUNTIME_API"
    )
    """Whether AWS's own clients can call /endpoints/NAME/...: on or off."""
    async_output: str | None = Field(None, validation_alias="SERVICE_ASYNC_OUTPUT")
    """Where asynchronous invocations write: a folder or s3://BUCKET/PREFIX. Default: a temporary folder."""
    async_input: Path | None = Field(None, validation_alias="SERVICE_ASYNC_INPUT")
    """Folder that file:// inputs of asynchronous invocations lie in. Default: none is read."""
    s3_endpoint: str | None = Field(
        None,
        pattern=r"^https?://[^/]",
        validation_alias=AliasChoices("SERVICE_S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
    )
    """URL of what stands for Amazon S3 in asynchronous invocations. Default: Amazon S3 itself."""
    multi_model: bool = Field(default=False, validation_alias=contract.MULTI_MODEL)
    """Whether models are loaded and unloaded while the server runs (C68)."""
    max_models: int | None = Field(None, ge=1, validation_alias="SERVICE_MAX_MODELS")
    """Most models that a multi-model server loads; one more gets 507. Default: what memory allows."""
    memory_reserve_mb: int = Field(64, ge=0, validation_alias="SERVICE_MEMORY_RESERVE_MB")
    """Memory that a multi-model server leaves free, in MiB; a load that finds less gets 507."""
    registry: Path | None = Field(None, validation_alias="SERVICE_REGISTRY")
    """Folder in which the workers of a multi-model server agree. Default: a temporary one."""
    batch: bool = Field(default=False, validation_alias="SAGEMAKER_BATCH")
    """Whether this is a batch transform job (C47)."""
    batch_strategy: str = Field("MULTI_RECORD", validation_alias="SAGEMAKER_BATCH_STRATEGY")
    """What /execution-parameters proposes (C48, C49)."""
    max_concurrent_transforms: int | None = Field(
        None, ge=0, le=1000, validation_alias="SAGEMAKER_MAX_CONCURRENT_TRANSFORMS"
    )
    """What /execution-parameters proposes. Default: the number of workers."""

    @property
    def address(self) -> str:
        """Return the address to listen on: a laptop's server is not for its network unless asked."""
        is_for_others = self.prefix.is_dir() or is_contained()
        return self.host or (ALL_INTERFACES if is_for_others else LOOPBACK)

    @property
    def logs_json(self) -> bool:
        """Tell whether log lines are JSON."""
        return logs_json(self.log_format)

    @property
    def model_dir(self) -> Path:
        """Return the folder that SageMaker unpacks a model artifact into."""
        return self.prefix / contract.MODEL_DIR

    @property
    def models_dir(self) -> Path:
        """Return the folder that SageMaker unpacks the models of a multi-model endpoint into."""
        return self.prefix / contract.MODELS_DIR

    @property
    def has_unpacked_model(self) -> bool:
        """Tell whether SageMaker has unpacked something into the model's folder."""
        return self.model_dir.is_dir() and any(self.model_dir.iterdir())

    @property
    def has_training_tree(self) -> bool:
        """Tell whether SageMaker has laid out a training job (C75, C76)."""
        return (self.prefix / "input" / "config").is_dir()

    @property
    def max_payload_bytes(self) -> int | None:
        """Return the largest payload accepted, None for no limit."""
        return self.max_payload_mb * 2**20 or None

    @property
    def invocation_timeout_s(self) -> float | None:
        """Return how long an invocation may take, None for no limit (C26, C50)."""
        if self.timeout_s is None:
            return None if self.batch else contract.INVOCATION_TIMEOUT_S - 5
        return self.timeout_s


def is_contained(root: Path = Path("/"), *, pid: int | None = None) -> bool:
    """Tell whether this process is in a container, where all interfaces are those of the container (C6)."""
    marks = (root / ".dockerenv", root / "run" / ".containerenv")
    is_first = (os.getpid() if pid is None else pid) == 1
    return is_first or _KUBERNETES in os.environ or any(mark.exists() for mark in marks)


def read_settings(**overrides: Any) -> Settings:
    """Read the environment, with `overrides` by field name on top; an override of None does not count.

    Raises:
        ConfigurationError: A value is not accepted; names the variable, the value and what is.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**{_variables(name)[0]: value for name, value in given.items()})
    except ValidationError as exc:
        raise ConfigurationError(_explain(exc, given)) from None


def variables() -> Mapping[str, tuple[str, ...]]:
    """Return each field's environment variables, the first of which wins."""
    return {name: _variables(name) for name in Settings.model_fields}


def _variables(name: str) -> tuple[str, ...]:
    alias = Settings.model_fields[name].validation_alias
    if isinstance(alias, AliasChoices):
        return tuple(str(choice) for choice in alias.choices)
    return (str(alias),)


def _explain(error: ValidationError, overrides: Mapping[str, Any]) -> str:
    """Name the option or the variable that is wrong, its value and what is accepted."""
    first = error.errors(include_url=False)[0]
    field = next(name for name in Settings.model_fields if _variables(name)[0] == first["loc"][0])
    if field in overrides:
        source = f"--{field.replace('_', '-')} "
    else:
        source = f"{next(name for name in _variables(field) if os.environ.get(name))}="
    message = first["msg"].removeprefix("Input should be ")
    return f"{source}{str(first['input'])[:80]!r} is not accepted: it should be {message}"
