"""Check a training job: C73 to C81."""

import contextlib
import json
import shutil
import tarfile
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from service.conformance.container import Container, docker, running
from service.conformance.hosting import Image, started
from service.conformance.verdict import NotApplicable, expect
from service.contract import MODEL_DIR, PREFIX

STOP_GRACE_S: Final = 120
"""C81. Source: AWS API reference, "StopTrainingJob"."""
FAILURE_REASON: Final = 1024
"""C80: how much of the failure file is shown. Source: API_DescribeTrainingJob."""
KILLED: Final = 137
SHORT_S: Final = 1.0
RESOURCES: Final = {
    "current_host": "algo-1",
    "hosts": ["algo-1"],
    "current_instance_type": "ml.m5.xlarge",
    "current_group_name": "homogeneousCluster",
    "network_interface_name": "eth0",
}
PLATFORM_HYPERPARAMETERS: Final = {"sagemaker_job_name": '"conformance"', "_tuning_objective_metric": "none"}
"""C75: what SageMaker and its SDK add, to be ignored."""


@dataclass(frozen=True, slots=True)
class Job:
    """Hold what a training job is given."""

    data: Path
    """A file or a folder."""
    channel: str
    hyperparameters: Mapping[str, str]
    timeout_s: float


class Training:
    """Hold an image and what it is to be trained with; `trained` is the model folder of the first job."""

    def __init__(self, image: Image, job: Job, folder: Path) -> None:
        """Train in subfolders of a folder, which outlives the checks."""
        self.image = image
        self.job = job
        self.folder = folder
        self.trained: Path | None = None
        self.took_s = 0.0
        self.sent = ""
        self.received = ""

    @contextlib.contextmanager
    def run(self, *, with_data: bool = True, with_config: bool = True) -> Iterator[tuple[Path, Container]]:
        """Start a job; yield its tree and its container."""
        tree = self.folder / uuid.uuid4().hex[:8]
        self._plant(tree, with_data=with_data, with_config=with_config)
        volumes = [f"{tree / 'input'}:{PREFIX}/input:ro"]
        volumes += [f"{tree / name}:{PREFIX}/{name}" for name in (MODEL_DIR, "output")]
        environment = {"TRAINING_JOB_NAME": "conformance"}
        what = f"{'' if with_data else ', an empty channel'}{'' if with_config else ', no configuration'}"
        self.sent = f"docker run -v TREE:{PREFIX} {self.image.name} train{what}"
        self.received = ""
        with running(self.image.name, "train", environment=environment, volumes=volumes) as container:
            yield tree, container

    def end(self, container: Container, *, deadline_s: float) -> int | None:
        """Return the exit code of a job, None where it still runs; remember how it ended."""
        code = container.wait(deadline_s=deadline_s)
        lines = container.logs().strip().splitlines()
        last = f"; last line of the log: {lines[-1][:200]}" if lines else ""
        self.received = f"{'still running' if code is None else f'exit code {code}'}{last}"
        return code

    def _plant(self, tree: Path, *, with_data: bool, with_config: bool) -> None:
        channel = tree / "input" / "data" / self.job.channel
        for folder in (channel, tree / "input" / "config", tree / MODEL_DIR, tree / "output" / "data"):
            folder.mkdir(parents=True)
        if with_data and self.job.data.is_dir():
            shutil.copytree(self.job.data, channel, dirs_exist_ok=True)
        elif with_data:
            shutil.copy(self.job.data, channel)
        if with_config:
            documents = {
                "hyperparameters": {**self.job.hyperparameters, **PLATFORM_HYPERPARAMETERS},
                "inputdataconfig": {
                    self.job.channel: {"TrainingInputMode": "File", "ContentType": "text/csv"}
                },
                "resourceconfig": RESOURCES,
            }
            for name, document in documents.items():
                (tree / "input" / "config" / f"{name}.json").write_text(json.dumps(document))


def train_ends_well(training: Training) -> None:
    """C73."""
    since = time.monotonic()
    with training.run() as (tree, container):
        code = training.end(container, deadline_s=training.job.timeout_s)
        training.took_s = time.monotonic() - since
        expect(code is not None, f"the job still runs after {training.job.timeout_s:g} s")
        expect(code == 0, f"the job ended with {code}{_failure(tree)}")
    training.trained = tree / MODEL_DIR


def prefix_is_empty(training: Training) -> None:
    """C74."""
    name = f"segserve-conform-{uuid.uuid4().hex[:12]}"
    training.sent = f"files below {PREFIX} in {training.image.name}"
    docker("create", "--name", name, training.image.name, "train")
    try:
        with tempfile.TemporaryDirectory(prefix="conform-") as folder:
            said = docker("cp", f"{name}:{PREFIX}", folder, is_checked=False)
            found = [str(file.relative_to(folder)) for file in Path(folder).rglob("*") if file.is_file()]
            training.received = ", ".join(found[:5]) or said.strip()[:100] or "none"
            expect(not found, f"{len(found)} files, for example {next(iter(found), '')}")
    finally:
        docker("rm", "--force", "--volumes", name, is_checked=False)


def configuration_may_be_absent(training: Training) -> None:
    """C76."""
    _need_trained(training)
    if training.job.hyperparameters:
        raise NotApplicable("the job needs the hyperparameters that were given")
    with training.run(with_config=False) as (tree, container):
        code = training.end(container, deadline_s=training.job.timeout_s)
        expect(code == 0, f"the job ended with {code}{_failure(tree)}")


def model_is_served(training: Training) -> None:
    """C78: packed and unpacked as SageMaker does, and served by the same image."""
    trained = _need_trained(training)
    entries = sorted(trained.rglob("*"))
    odd = [path.name for path in entries if path.is_symlink() or not (path.is_file() or path.is_dir())]
    training.sent, training.received = f"{PREFIX}/{MODEL_DIR} after the training", f"{len(entries)} entries"
    expect(not odd, f"{', '.join(odd[:3])} is no plain file")
    expect(any(path.is_file() for path in entries), f"{PREFIX}/{MODEL_DIR} is empty")
    archive = training.folder / f"{uuid.uuid4().hex[:8]}.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(trained, ".")
    served = archive.with_suffix("").with_suffix("")
    with tarfile.open(archive) as packed:
        packed.extractall(served, filter="data")
    volume = f"{served}:{PREFIX}/{MODEL_DIR}:ro"
    with started(training.image, volumes=(volume,)) as start:
        training.sent = f"docker run -v what-was-trained:{PREFIX}/{MODEL_DIR}:ro {training.image.name} serve"
        training.received = str(start)
        expect(start.is_healthy, f"what was trained is not served: {start}")


def failure_is_described(training: Training) -> None:
    """C80."""
    with training.run(with_data=False) as (tree, container):
        code = training.end(container, deadline_s=training.job.timeout_s)
        training.received += _failure(tree)
        expect(code not in {0, None}, "a job without data did not fail")
        path = tree / "output" / "failure"
        expect(path.is_file() and path.read_bytes().strip(), f"{PREFIX}/output/failure was not written")
        shown = path.read_text(errors="replace")[:FAILURE_REASON]
        expect(shown.strip(), f"the first {FAILURE_REASON} characters of the failure file are blank")


def sigterm_ends_the_job(training: Training) -> None:
    """C81."""
    _need_trained(training)
    with training.run() as (_, container):
        time.sleep(min(SHORT_S, training.took_s / 2))
        if container.exit_code() is not None:
            raise NotApplicable("the training is over before it can be stopped; give it more data")
        since = time.monotonic()
        container.signal("TERM")
        code = training.end(container, deadline_s=STOP_GRACE_S)
        took_s = time.monotonic() - since
        training.sent += ", SIGTERM"
        training.received += f" after {took_s:.1f} s"
        expect(code is not None, f"it still ran {STOP_GRACE_S} s after SIGTERM")
        expect(code != KILLED, "it was killed")


def _need_trained(training: Training) -> Path:
    if training.trained is None:
        raise NotApplicable("the training does not end well (C73)")
    return training.trained


def _failure(tree: Path) -> str:
    path = tree / "output" / "failure"
    return f"; failure: {path.read_text(errors='replace').strip()[:300]}" if path.is_file() else ""


CHECKS: Final = (
    ("C73", train_ends_well),
    ("C74", prefix_is_empty),
    ("C76", configuration_may_be_absent),
    ("C78", model_is_served),
    ("C80", failure_is_described),
    ("C81", sigterm_ends_the_job),
)
