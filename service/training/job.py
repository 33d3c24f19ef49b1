"""Run as a SageMaker training job: channels in, model and failure file out (C73 to C86)."""

import contextlib
import json
import logging
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn

from service.artifact import ARCHIVE, MANIFEST, TRAINING, Signer, seal
from service.errors import ConfigurationError, DatasetError, ServiceError
from service.settings import Settings, read_settings
from service.signing import PrivateKey
from service.termination import ignore_sigterm
from service.training.dataset import Dataset, Means, read_dataset
from service.training.hyperparameters import JobHyperparameters, read_hyperparameters
from service.training.lineage import Previous
from service.training.trainer import TrainedModel, train
from service.trust import read_signed

FAILURE_CHARACTERS: Final = 1024
"""C80: what becomes FailureReason. Source: SageMaker API, FailureReason."""

STOPPED: Final = 128 + signal.SIGTERM
PREVIOUS_CHANNELS: Final = ("previous", "model")
"""Where the version to continue may be: our own name, and that of SageMaker's incremental training."""

NO_PREVIOUS: Final = "none"
_SKIPPED: Final = (".", "_")
"""Files of these beginnings are not data: .crc, _SUCCESS, _metadata."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class JobFolders:
    """Hold where SageMaker puts what a training job reads and writes."""

    config: Path
    data: Path
    model: Path
    output: Path

    @classmethod
    def below(cls, prefix: Path) -> "JobFolders":
        """Return the folders of the contract; SageMaker's training toolkit may move the model's (C84)."""
        return cls(
            config=prefix / "input" / "config",
            data=prefix / "input" / "data",
            model=Path(os.environ.get("SM_MODEL_DIR") or prefix / "model"),
            output=prefix / "output",
        )


def run_job(prefix: Path, *, settings: Settings | None = None) -> None:
    """Train as SageMaker asks; a failure is also written to the failure file.

    SIGTERM ends the process with STOPPED until the job is over, and does nothing after that: the exit code
    tells then how the job ended.

    Raises:
        ServiceError: The job failed.
    """
    folders = JobFolders.below(prefix)
    signal.signal(signal.SIGTERM, _stop)
    try:
        _run(folders, settings or read_settings())
    except ServiceError as exc:
        _write_failure(folders.output, str(exc))
        raise
    except Exception as exc:
        _logger.exception("Training failed")
        message = f"training failed unexpectedly ({type(exc).__name__}); the log has the trace"
        _write_failure(folders.output, message)
        raise ServiceError(message) from exc
    finally:
        ignore_sigterm()


def _run(folders: JobFolders, settings: Settings) -> None:
    if not _is_first_host(folders.config):
        _logger.info("Another host of this job trains: nothing to do here")
        return
    hyperparameters = read_hyperparameters(folders.config / "hyperparameters.json")
    files = find_files(folders, channel=hyperparameters.channel)
    sign = PrivateKey.read(settings.sign_key).sign if settings.sign_key else None
    previous = find_previous(folders, settings, channel=hyperparameters.previous)
    output_data = Path(os.environ.get("SM_OUTPUT_DATA_DIR") or folders.output / "data")
    _logger.info("Training begins files=%d channel=%s", len(files), hyperparameters.channel)
    dataset = read_dataset(
        files,
        mapping=hyperparameters.mapping,
        id_column=hyperparameters.id_column,
        decimal=hyperparameters.decimal,
        rejects_path=output_data / "rejects.csv",
        means=Means(kernel=settings.kernel),
    )
    trained = train(
        dataset, hyperparameters.fit, previous=previous, kernel=settings.kernel, on_progress=_log_progress
    )
    version = _write_model(trained, folders.model, sign=sign)
    try:
        output_data.mkdir(parents=True, exist_ok=True)
        (output_data / TRAINING).write_bytes(trained.files[TRAINING])
    except OSError as exc:
        raise ServiceError(f"{output_data / TRAINING} cannot be written: {exc.strerror}") from exc
    _report(dataset, trained, hyperparameters, version)


def find_files(folders: JobFolders, *, channel: str) -> list[Path]:
    """Return the files of a channel, nested ones included, in a stable order (C77).

    Raises:
        ConfigurationError: The channel is a pipe.
        DatasetError: There is no such channel, or nothing in it.
    """
    configuration = _read_config(folders.config / "inputdataconfig.json").get(channel)
    if isinstance(configuration, dict) and configuration.get("TrainingInputMode") == "Pipe":
        raise ConfigurationError(
            f"the channel {channel!r} comes in Pipe mode, which is not supported: use File or FastFile mode"
        )
    root = Path(os.environ.get(f"SM_CHANNEL_{channel.upper()}") or folders.data / channel)
    found = sorted(path.name for path in folders.data.iterdir()) if folders.data.is_dir() else []
    channels = [name for name in found if name not in PREVIOUS_CHANNELS]
    if not root.is_dir() and len(channels) == 1 and channel == "train":
        root = folders.data / channels[0]
    if not root.is_dir():
        there = f"there are {', '.join(channels)}" if channels else "there is none"
        raise DatasetError(f"there is no channel {channel!r} in {folders.data}: {there}")
    files = sorted(
        path
        for path in root.rglob("*")
        if path.is_file() and not any(part.startswith(_SKIPPED) for part in path.relative_to(root).parts)
    )
    if not files:
        raise DatasetError(f"the channel {root} holds no file")
    return files


def find_previous(folders: JobFolders, settings: Settings, *, channel: str | None) -> Previous | None:
    """Return the version that a channel holds, as model.tar.gz or unpacked; None where there is none.

    Args:
        folders: Of the job.
        settings: Say who must have signed it.
        channel: Its name, or "none"; None looks into PREVIOUS_CHANNELS.

    Raises:
        DatasetError: The channel that was named is not there, or holds no version or several.
        ArtifactError: The version cannot be used.
    """
    if channel == NO_PREVIOUS:
        return None
    wanted = PREVIOUS_CHANNELS if channel is None else (channel,)
    root = next((folders.data / name for name in wanted if (folders.data / name).is_dir()), None)
    if root is None:
        if channel is not None:
            raise DatasetError(
                f"there is no channel {channel[:80]!r} in {folders.data} for previous={channel[:80]}"
            )
        return None
    found = [root] if (root / MANIFEST).is_file() else sorted(root.rglob(ARCHIVE))
    if len(found) != 1:
        raise DatasetError(f"the channel {root} should hold one {ARCHIVE}, but it holds {len(found)}")
    previous = Previous.of(read_signed(found[0], settings))
    _logger.info("Training continues version=%s", previous.version)
    return previous


def _is_first_host(config: Path) -> bool:
    """Tell whether this host trains: SageMaker merges what all hosts leave (C85)."""
    resources = _read_config(config / "resourceconfig.json")
    hosts = resources.get("hosts")
    current = resources.get("current_host")
    return not hosts or not current or current == min(hosts)


def _read_config(path: Path) -> dict[str, Any]:
    """Return a file of the job's configuration, empty where SageMaker gave none (C76)."""
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as exc:
        raise ConfigurationError(f"{path} cannot be read as JSON") from exc
    return document if isinstance(document, dict) else {}


def _write_model(trained: TrainedModel, folder: Path, *, sign: Signer | None) -> str:
    """Write the artifact unpacked, for SageMaker to pack (C78); the manifest last, so half of it is none."""
    now = datetime.now(UTC)
    version, files = seal(trained.files, provenance=trained.provenance, created=now, sign=sign)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).write_bytes(content)
    except OSError as exc:
        for name in files:  # half a model is none, and the failure file may need its room
            with contextlib.suppress(OSError):
                (folder / name).unlink()
        raise ServiceError(f"the model cannot be written to {folder}: {exc.strerror}") from exc
    return version


def _report(
    dataset: Dataset, trained: TrainedModel, hyperparameters: JobHyperparameters, version: str
) -> None:
    """Log the outcome, and each metric once on a line that SageMaker's regexes find (C83)."""
    for name, value in trained.metrics.items():
        print(f"{name}={value};", flush=True)  # noqa: T201  # stdout is what SageMaker scrapes
    _logger.info("Choice: %s", trained.findings.choice.reason)
    _logger.info("Structure: %s", trained.findings.structure.sentence)
    for warning in trained.warnings:
        _logger.warning("%s", warning)
    report: Mapping[str, Any] = dataset.report.as_dict()
    _logger.info(
        "Training ended version=%s digest=%s k=%s used=%d rejected=%d transform=%s ids=%s",
        version,
        trained.model.digest,
        len(trained.model.centroids),
        report["used"],
        report["rejected"],
        hyperparameters.fit.transform,
        trained.lineage.method,
    )


def _log_progress(stage: str, done: int, total: int) -> None:
    _logger.info("%s %d/%d", stage, done, total)


def _write_failure(output: Path, message: str) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
        (output / "failure").write_text(message[:FAILURE_CHARACTERS])
    except OSError as exc:
        _logger.error("The failure file cannot be written: %s", exc.strerror)  # noqa: TRY400  # no trace


def _stop(_signal: int, _frame: FrameType | None) -> NoReturn:
    """Stop within the 120 s that SageMaker gives (C81); a model without its manifest is none.

    An exception would not do: it may come amid an import or a callback in C, which make another of it, or
    lose it. Nor would a log line: the signal may have come amid another.
    """
    os.write(2, b"Stopped by SIGTERM before the model was complete\n")
    os._exit(STOPPED)
