"""Hold every setting in one frozen object: SageMaker's own variables first, then SERVICE_*."""

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from service import contract
from service.environment import read_environment, rules, setting
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


class KernelUse(StrEnum):
    """Name how the compiled kernel is used."""

    ON = "on"
    """Always: the server does not start without it."""
    OFF = "off"
    AUTO = "auto"
    """Where it is installed."""


class TokenScope(StrEnum):
    """Name what needs the token, where there is one."""

    CONSOLE = "console"
    """What SageMaker never asks for."""
    ADMIN = "admin"
    """All but /ping, /invocations and their like."""


class LogLevel(StrEnum):
    """Name the log levels; AWS's own containers also take their numbers (C89)."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @classmethod
    def _missing_(cls, value: object) -> "LogLevel | None":
        return {"10": cls.DEBUG, "20": cls.INFO, "30": cls.WARNING, "40": cls.ERROR}.get(str(value))


_PREFIX: Final = Path(contract.PREFIX)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Hold every setting; the first variable of a field that is set wins, an empty one counts as unset."""

    host: str | None = setting(None, "SERVICE_HOST")
    """Address to listen on. Default: all interfaces in a container or where SageMaker's tree is, else this
    machine alone."""
    port: int = setting(contract.DEFAULT_PORT, contract.BIND_TO_PORT, "SERVICE_PORT", ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""
    workers: int = setting(1, "SAGEMAKER_MODEL_SERVER_WORKERS", "SERVICE_WORKERS", ge=1, le=64)
    """Server processes."""
    prefix: Path = setting(_PREFIX, "SERVICE_PREFIX")
    """Where SageMaker's tree is."""
    store: str = setting("models", "SERVICE_STORE")
    """Folder of model versions."""
    model: str | None = setting(None, "SERVICE_MODEL")
    """Model to serve: an artifact's path, or a version of the store."""
    trusted_keys: str | None = setting(None, "SERVICE_TRUSTED_KEYS")
    """Ed25519 public keys, as PEM text or as files with commas between. A model that none of them has signed
    is then refused. Default: signatures are not looked at."""
    model_digest: str | None = setting(None, "SERVICE_MODEL_DIGEST")
    """sha256 that the manifest.json or the model.json of a model must have, or several with commas between.
    Default: any."""
    sign_key: Path | None = setting(None, "SERVICE_SIGN_KEY")
    """File with the Ed25519 private key that training signs with. Default: models are not signed."""
    max_payload_mb: int = setting(
        contract.MAX_PAYLOAD_MB, "SAGEMAKER_MAX_PAYLOAD_IN_MB", "SERVICE_MAX_PAYLOAD_MB", ge=0, le=10_000
    )
    """Largest payload accepted, in MiB; 0 is no limit (C47)."""
    max_waiting_mb: int = setting(256, "SERVICE_MAX_WAITING_MB", ge=0, le=1_000_000)
    """Most that payloads over 64 KiB may hold together in one server process while they arrive and wait, in
    MiB; more get 503 with Retry-After, and so does what could not be answered within the time limit. 0 is no
    limit. A batch job has neither."""
    timeout_s: int | None = setting(
        None, "SAGEMAKER_MODEL_SERVER_TIMEOUT", "SERVICE_TIMEOUT_S", ge=1, le=3600
    )
    """Longest invocation, in seconds. Default: 55, and none in a batch job."""
    header_timeout_s: int = setting(60, "SERVICE_HEADER_TIMEOUT_S", ge=1, le=3600)
    """Time that a client has for a request's line and headers, in seconds; then it gets 408."""
    body_timeout_s: int = setting(60, "SERVICE_BODY_TIMEOUT_S", ge=1, le=3600)
    """Time that a client has for a payload, in seconds, with one more for each KiB that has come; then it
    gets 408. As long may it leave an answer unread."""
    max_connections: int | None = setting(None, "SERVICE_MAX_CONNECTIONS", ge=1, le=1_000_000)
    """Most connections of a server process; for one more, those that wait longest without a request are
    closed. Default: what the limit of open files allows."""
    graceful_timeout_s: int = setting(25, "SERVICE_GRACEFUL_TIMEOUT_S", ge=1, le=3600)
    """Time for requests in flight to finish after SIGTERM, in seconds (C4)."""
    default_accept: str | None = setting(
        None, "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", "SERVICE_DEFAULT_ACCEPT"
    )
    """What to answer with when the request has no Accept, or `*/*` (C25). Default: `application/json`; in a
    batch job CSV for CSV, and lines for lines, so that no rows fuse (C54)."""
    on_error: OnError = setting(OnError.REJECT, "SERVICE_ON_ERROR")
    """What becomes of a payload with a bad record: reject or placeholder."""
    console: Switch = setting(Switch.ON, "SERVICE_CONSOLE")
    """Whether the console at /, /model, /live, /docs and /openapi.json are there: on or off."""
    kernel: KernelUse = setting(KernelUse.AUTO, "SERVICE_KERNEL")
    """Whether the compiled kernel answers plain payloads and reads customers, with the same result in less
    time: on, off, or auto, which is where it is installed."""
    token: str | None = setting(None, "SERVICE_TOKEN", is_secret=True)
    """Bearer token, of 16 characters or more, that the console and what it asks for then need. Default:
    whoever reaches the server may look."""
    token_scope: TokenScope = setting(TokenScope.CONSOLE, "SERVICE_TOKEN_SCOPE")
    """What needs the token: console; or admin, which is /metrics and the loading, listing and unloading of
    models too. SageMaker asks for these, and sends no token."""
    console_rate: int = setting(50, "SERVICE_CONSOLE_RATE", ge=0, le=100_000)
    """Requests a second that one client may send to the console's routes and to /metrics, in each worker,
    after ten times as many at once; 0 is no limit. More get 429."""
    access_log: Switch = setting(Switch.ON, "SERVICE_ACCESS_LOG")
    """Whether each invocation is logged with sizes and time: on or off. Refusals always are."""
    log_level: LogLevel = setting(LogLevel.INFO, "SAGEMAKER_CONTAINER_LOG_LEVEL", "SERVICE_LOG_LEVEL")
    """How much is logged: debug, info, warning or error."""
    log_format: LogFormat = setting(LogFormat.TEXT, "SERVICE_LOG_FORMAT")
    """Lines for people on stderr (text), one JSON object a line on stdout (json), or JSON unless stdout is a
    terminal (auto, which the image sets)."""
    emf_namespace: str | None = setting(
        None, "SERVICE_EMF_NAMESPACE", max_length=255, pattern=r"^[A-Za-z0-9._/#:-]+$"
    )
    """CloudWatch namespace. With it, the line of each invocation carries its figures in CloudWatch's embedded
    metric format; needs lines in JSON."""
    runtime_api: Switch = setting(Switch.ON, "SERVICE_RUNTIME_API")
    """Whether AWS's own clients can call /endpoints/NAME/...: on or off."""
    async_output: str | None = setting(None, "SERVICE_ASYNC_OUTPUT")
    """Where asynchronous invocations write: a folder or s3://BUCKET/PREFIX. Default: a temporary folder."""
    async_input: Path | None = setting(None, "SERVICE_ASYNC_INPUT")
    """Folder that file:// inputs of asynchronous invocations lie in. Default: none is read."""
    s3_endpoint: str | None = setting(
        None, "SERVICE_S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", pattern=r"^https?://[^/]"
    )
    """URL of what stands for Amazon S3 in asynchronous invocations. Default: Amazon S3 itself."""
    multi_model: bool = setting(False, contract.MULTI_MODEL)
    """Whether models are loaded and unloaded while the server runs (C68)."""
    max_models: int | None = setting(None, "SERVICE_MAX_MODELS", ge=1)
    """Most models that a multi-model server loads; one more gets 507. Default: what memory allows."""
    memory_reserve_mb: int = setting(64, "SERVICE_MEMORY_RESERVE_MB", ge=0)
    """Memory that a multi-model server leaves free, in MiB; a load that finds less gets 507."""
    registry: Path | None = setting(None, "SERVICE_REGISTRY")
    """Folder in which the workers of a multi-model server agree. Default: a temporary one."""
    batch: bool = setting(False, "SAGEMAKER_BATCH")
    """Whether this is a batch transform job (C47)."""
    batch_strategy: str = setting("MULTI_RECORD", "SAGEMAKER_BATCH_STRATEGY")
    """What /execution-parameters proposes (C48, C49)."""
    max_concurrent_transforms: int | None = setting(
        None, "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS", ge=0, le=1000
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
    def max_waiting_bytes(self) -> int | None:
        """Return what waiting payloads may hold, None for no limit."""
        return None if self.batch else self.max_waiting_mb * 2**20 or None

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
    return read_environment(Settings, overrides)


def variables() -> Mapping[str, tuple[str, ...]]:
    """Return each field's environment variables, the first of which wins."""
    return {name: rule.variables for name, rule in rules(Settings).items()}


def defaults() -> Mapping[str, Any]:
    """Return each field's default."""
    return {field.name: field.default for field in dataclasses.fields(Settings)}
