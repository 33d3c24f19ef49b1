"""A training job as SageMaker runs it: channels in, model and failure file out."""

import json
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from service.artifact import read_artifact
from service.errors import ServiceError
from service.store import Store
from service.training.job import JobFolders, find_files, run_job
from service.training.sample import write_sample
from tests.conftest import clean_environment, wait_until


@pytest.fixture(name="prefix")
def _prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lay out the tree of a job with one nested file in its channel."""
    for name in ("SM_MODEL_DIR", "SM_CHANNEL_TRAIN", "SM_OUTPUT_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    (tmp_path / "input" / "config").mkdir(parents=True)
    (tmp_path / "input" / "data" / "train" / "year=2026").mkdir(parents=True)
    write_sample(tmp_path / "input" / "data" / "train" / "year=2026" / "part-0.csv", n=200)
    configure(tmp_path, hyperparameters={"k": "3"})
    return tmp_path


def configure(prefix: Path, **files: object) -> None:
    for name, content in files.items():
        (prefix / "input" / "config" / f"{name}.json").write_text(json.dumps(content))


def test_a_job_leaves_a_model_that_can_be_served(prefix: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_job(prefix)
    artifact = read_artifact(prefix / "model")

    assert len(artifact.model.segments) == 3
    assert sum(segment.size for segment in artifact.model.segments) == 200
    assert not (prefix / "output" / "failure").exists()
    assert json.loads((prefix / "output" / "data" / "training.json").read_text())["data"]["used"] == 200
    lines = capsys.readouterr().out.splitlines()
    assert [
        line.split("=")[0] for line in lines if line.startswith(("silhouette=", "inertia=", "n_clusters="))
    ]
    assert all(line.endswith(";") for line in lines)


def test_a_job_run_twice_leaves_the_same_model(prefix: Path) -> None:
    run_job(prefix)
    first = read_artifact(prefix / "model").model.digest
    run_job(prefix)

    assert read_artifact(prefix / "model").model.digest == first


def test_every_file_of_a_channel_is_read_but_markers(prefix: Path) -> None:
    channel = prefix / "input" / "data" / "train"
    write_sample(channel / "more.csv", n=50, seed=1)
    (channel / "_SUCCESS").write_text("")
    (channel / ".part.crc").write_text("x")
    (channel / "_temporary").mkdir()
    (channel / "_temporary" / "x.csv").write_text("x")

    names = [path.name for path in find_files(JobFolders.below(prefix), channel="train")]
    assert names == ["more.csv", "part-0.csv"]


def test_the_only_channel_is_taken_whatever_its_name(prefix: Path) -> None:
    (prefix / "input" / "data" / "train").rename(prefix / "input" / "data" / "customers")

    assert len(find_files(JobFolders.below(prefix), channel="train")) == 1


@pytest.mark.parametrize("is_packed", [True, False])
def test_a_version_in_a_channel_is_continued(prefix: Path, store_path: Path, is_packed: bool) -> None:  # noqa: FBT001
    artifact = read_artifact(Store(store_path).resolve())
    folder = prefix / "input" / "data" / "model"
    folder.mkdir()
    if is_packed:
        (folder / "model.tar.gz").write_bytes(Store(store_path).resolve().read_bytes())
    else:
        for name, content in artifact.files.items():
            (folder / name).write_bytes(content)
        with tarfile.open(Store(store_path).resolve()) as archive:
            (folder / "manifest.json").write_bytes(archive.extractfile("manifest.json").read())  # type: ignore[union-attr]  # it is there
    configure(prefix, hyperparameters={"k": "4"})
    run_job(prefix)
    lineage = json.loads((prefix / "output" / "data" / "training.json").read_text())["lineage"]

    assert lineage["previous"] == artifact.manifest.model_version
    assert lineage["kept_share"] > 0.5
    configure(prefix, hyperparameters={"k": "4", "previous": "none"})
    run_job(prefix)
    lineage = json.loads((prefix / "output" / "data" / "training.json").read_text())["lineage"]
    assert lineage["previous"] is None


@pytest.mark.parametrize(
    ("channel", "message"), [("earlier", "no channel 'earlier'"), ("empty", "should hold one model.tar.gz")]
)
def test_a_previous_version_that_is_not_there_is_a_failure(prefix: Path, channel: str, message: str) -> None:
    (prefix / "input" / "data" / "empty").mkdir()
    configure(prefix, hyperparameters={"k": "3", "previous": channel})

    with pytest.raises(ServiceError, match=message):
        run_job(prefix)


def test_the_toolkits_folders_are_honoured(
    prefix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SM_MODEL_DIR", str(tmp_path / "elsewhere"))
    run_job(prefix)

    assert read_artifact(tmp_path / "elsewhere").model.segments


def test_rejected_rows_are_kept_in_the_output(prefix: Path) -> None:
    (prefix / "input" / "data" / "train" / "bad.csv").write_text("Age,Income,Purchases\n-1,5,5\n")
    run_job(prefix)

    assert "Age must be greater than 0" in (prefix / "output" / "data" / "rejects.csv").read_text()


def test_a_second_host_leaves_nothing(prefix: Path) -> None:
    configure(prefix, resourceconfig={"current_host": "algo-2", "hosts": ["algo-2", "algo-1"]})
    run_job(prefix)

    assert not (prefix / "model").exists()
    configure(prefix, resourceconfig={"current_host": "algo-1", "hosts": ["algo-2", "algo-1"]})
    run_job(prefix)
    assert (prefix / "model" / "manifest.json").exists()


FAILURES = [
    ({"hyperparameters": {"k": "many"}}, "auto or 1 to 1000"),
    ({"hyperparameters": {"channel": "test"}}, "no channel 'test'"),
    ({"inputdataconfig": {"train": {"TrainingInputMode": "Pipe"}}}, "Pipe mode"),
    ({"hyperparameters": {"map": "Age=Birthday"}}, "Birthday"),
    ({"hyperparameters": {"k": "1000"}}, "distinct records"),
]


@pytest.mark.parametrize(("files", "message"), FAILURES, ids=range(len(FAILURES)))
def test_a_failure_is_told_in_the_failure_file(prefix: Path, files: dict[str, object], message: str) -> None:
    configure(prefix, **files)

    with pytest.raises(ServiceError, match=message):
        run_job(prefix)
    failure = (prefix / "output" / "failure").read_text()
    assert message in failure
    assert len(failure) <= 1024
    assert not (prefix / "model" / "manifest.json").exists()


def test_an_empty_channel_is_a_failure(prefix: Path) -> None:
    (prefix / "input" / "data" / "train" / "year=2026" / "part-0.csv").unlink()

    with pytest.raises(ServiceError, match="holds no file"):
        run_job(prefix)


def test_the_program_trains_without_arguments_and_when_the_command_was_lost(prefix: Path) -> None:
    for command in ("train", "serve"):
        result = subprocess.run(
            [sys.executable, "-m", "service", command],
            cwd=prefix,
            env=clean_environment(SERVICE_PREFIX=str(prefix)),
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        assert "n_clusters=3.0;" in result.stdout
        for path in (prefix / "model").iterdir():
            path.unlink()


def test_a_failing_program_exits_with_another_code(prefix: Path) -> None:
    configure(prefix, hyperparameters={"k": "x"})
    result = subprocess.run(
        [sys.executable, "-m", "service", "train"],
        cwd=prefix,
        env=clean_environment(SERVICE_PREFIX=str(prefix)),
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 2
    assert "Traceback" not in result.stderr


def test_sigterm_stops_a_job_without_leaving_half_a_model(prefix: Path) -> None:
    write_sample(prefix / "input" / "data" / "train" / "big.csv", n=400_000)
    configure(prefix, hyperparameters={})
    log = prefix / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "service", "train"],
            cwd=prefix,
            env=clean_environment(SERVICE_PREFIX=str(prefix)),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    wait_until(lambda: "Choosing k 1/" in log.read_text() or process.poll() is not None, what="the fit")
    process.terminate()

    assert process.wait(120) == 143
    assert "Stopped by SIGTERM" in log.read_text()
    assert not (prefix / "model" / "manifest.json").exists()


STUBBORN = """
import os, signal
from service.training import job

signal.signal(signal.SIGTERM, job._stop)
try:
    os.kill(os.getpid(), signal.SIGTERM)
except BaseException:
    print("went on")
"""


def test_sigterm_stops_a_job_where_no_exception_would() -> None:
    """As an extension module that begins: it turns whatever it meets into an ImportError."""
    result = subprocess.run([sys.executable, "-c", STUBBORN], capture_output=True, text=True, check=False)

    assert result.returncode == 143
    assert result.stdout == ""
    assert result.stderr == "Stopped by SIGTERM before the model was complete\n"


def test_sigterm_after_a_job_changes_nothing(prefix: Path) -> None:
    program = (
        "import os, signal, sys, pathlib; from service.training.job import run_job\n"
        "run_job(pathlib.Path(sys.argv[1])); os.kill(os.getpid(), signal.SIGTERM)"
    )
    command = [sys.executable, "-c", program, str(prefix)]
    environment = clean_environment(SERVICE_PREFIX=str(prefix))
    result = subprocess.run(
        command, cwd=Path(__file__).parents[2], env=environment, capture_output=True, check=False
    )

    assert result.returncode == 0
    assert read_artifact(prefix / "model").model.segments
