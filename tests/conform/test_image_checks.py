"""Each fault of a container is caught by the clause it breaks, and by no other; the engine is Docker."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from service.conformance.clause import Force, Needs
from service.conformance.clauses import CLAUSES
from service.conformance.http_checks import exit_code
from service.conformance.image_checks import Plan, run_image_checks
from service.conformance.verdict import Outcome, Verdict
from service.errors import ConfigurationError, ConformanceError
from tests.container.engine import image_under_test

FOLDER = Path(__file__).parent
DEFAULT_BASE = "python:3.12-slim-bookworm"
EXEC = 'ENTRYPOINT ["python", "/opt/program/contained.py"]'
SERVING = [clause.id for clause in CLAUSES.values() if clause.needs is Needs.IMAGE]
TRAINING = [clause.id for clause in CLAUSES.values() if clause.needs is Needs.TRAINING]
MANY_LABEL = "LABEL com.amazonaws.sagemaker.capabilities.multi-models=true"
DOCKERFILES = {
    "shell form": ("C2", "ENTRYPOINT exec python /opt/program/contained.py"),
    "tini": ("C3", 'ENTRYPOINT ["/opt/program/tini", "python", "/opt/program/contained.py"]'),
    "user": ("C5", f"USER 1000\n{EXEC}"),
    "no label": ("C7", f"LABEL com.amazonaws.sagemaker.capabilities.accept-bind-to-port=false\n{EXEC}"),
}
FAULTS = {
    "exits": "C1",
    "ignores-sigterm": "C4",
    "drops-in-flight": "C4",
    "loopback": "C6",
    "fixed-port": "C7",
    "second-port": "C8",
    "never-ready": "C16",
    "static-ping": "C17",
    "writes": "C34",
    "hangs-without-model": "C36",
    "logs-to-file": "C41",
    "case-matters": "C46",
    "needs-root": "C66",
}
JOB_FAULTS = {
    "training-crashes": "C73",
    "needs-config": "C76",
    "links": "C78",
    "forgets-model": "C78",
    "no-failure-file": "C80",
    "failure-is-0": "C80",
}

Builder = Callable[..., str]


def docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False, timeout=240)


@pytest.fixture(name="build", scope="session")
def _build(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builder]:
    """Return what builds an image with a fault; needs the engine of the image under test."""
    image_under_test()
    folder = tmp_path_factory.mktemp("image")
    for name in ("faulty.py", "contained.py"):
        shutil.copy(FOLDER / name, folder)
    (folder / "tini").write_text('#!/bin/sh\nexec "$@"\n')
    (folder / "tini").chmod(0o755)
    tags: list[str] = []

    def build(fault: str = "", lines: str = EXEC) -> str:
        tag = f"segserve-conform-test:{os.getpid()}-{len(tags)}"
        (folder / "Dockerfile").write_text(
            f"FROM {os.environ.get('BASE_IMAGE', DEFAULT_BASE)}\n"
            "ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1\n"
            "COPY tini faulty.py contained.py /opt/program/\n"
            "LABEL com.amazonaws.sagemaker.capabilities.accept-bind-to-port=true\n"
            f"ENV FAULT={fault}\n{lines}\n"
        )
        done = docker("build", "--quiet", "--tag", tag, str(folder))
        assert done.returncode == 0, done.stderr
        tags.append(tag)
        return tag

    yield build
    for tag in tags:
        docker("rmi", "--force", tag)


@pytest.fixture(name="model", scope="session")
def _model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("conform-model") / "model"
    folder.mkdir()
    (folder / "model.json").write_text("[]")
    for path in (folder.parent, folder):
        path.chmod(0o755)
    return folder


@pytest.fixture(name="data", scope="session")
def _data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("conform-data") / "numbers.csv"
    path.write_text("1,2\n3,4\n")
    return path


def check(image: str, model: Path | None, **options: object) -> list[Verdict]:
    plan = Plan(image, model_dir=model, timeout_s=20, **options)  # type: ignore[arg-type]  # of the fields of Plan
    return list(run_image_checks(plan))


def found(verdicts: Sequence[Verdict]) -> dict[str, Outcome]:
    wrong = {Outcome.FAIL, Outcome.WARN}
    return {verdict.clause.id: verdict.outcome for verdict in verdicts if verdict.outcome in wrong}


def expected(clause_id: str) -> dict[str, Outcome]:
    return {clause_id: Outcome.FAIL if CLAUSES[clause_id].force is Force.MUST else Outcome.WARN}


@pytest.mark.docker
def test_a_container_without_a_fault_passes_every_clause(build: Builder, model: Path, data: Path) -> None:
    image = build(lines=f"{MANY_LABEL}\n{EXEC}")

    verdicts = check(image, model, train_data=data)

    not_passed = {
        verdict.clause.id: verdict.reason for verdict in verdicts if verdict.outcome is not Outcome.PASS
    }
    assert not_passed == {"C35": "no --model-tar was given"}
    assert {verdict.clause.id for verdict in verdicts} == set(CLAUSES)
    assert exit_code(verdicts) == 0
    assert docker("ps", "--all", "--quiet", "--filter", f"ancestor={image}").stdout == ""


@pytest.mark.docker
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_a_container_is_caught_by_its_clause_and_no_other(
    build: Builder, model: Path, fault: str
) -> None:
    start_timeout_s = 8 if fault == "never-ready" else 60

    verdicts = check(build(fault), model, only=SERVING, start_timeout_s=start_timeout_s)

    wanted = {"C41": Outcome.FAIL} if fault == "logs-to-file" else expected(FAULTS[fault])
    assert found(verdicts) == wanted
    assert exit_code(verdicts) == int(Outcome.FAIL in wanted.values())


@pytest.mark.docker
def test_a_container_that_downloads_at_its_start_is_caught(build: Builder, model: Path) -> None:
    name = f"conform-test-{os.getpid()}"
    volume = f"{model}:/opt/ml/model:ro"
    try:
        docker("run", "--detach", "--name", name, "--volume", volume, build(), "serve")
        source = docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", name).stdout.strip()
        assert source
        verdicts = check(build("downloads", f"ENV DOWNLOAD_FROM={source}\n{EXEC}"), model, only=SERVING)
    finally:
        docker("rm", "--force", name)

    assert found(verdicts) == expected("C40")


@pytest.mark.docker
@pytest.mark.parametrize("name", DOCKERFILES)
def test_a_fault_of_a_dockerfile_is_caught_by_its_clause_and_no_other(
    build: Builder, model: Path, name: str
) -> None:
    clause_id, lines = DOCKERFILES[name]

    verdicts = check(build(lines=lines), model, only=SERVING)

    assert found(verdicts) == expected(clause_id)


@pytest.mark.docker
@pytest.mark.parametrize("fault", JOB_FAULTS)
def test_a_fault_of_a_training_job_is_caught_by_its_clause_and_no_other(
    build: Builder, data: Path, fault: str
) -> None:
    verdicts = check(build(fault), None, train_data=data, only=TRAINING)

    assert found(verdicts) == expected(JOB_FAULTS[fault])


@pytest.mark.docker
def test_files_in_sagemaker_s_tree_are_caught(build: Builder, data: Path) -> None:
    image = build(lines=f"COPY faulty.py /opt/ml/code/train.py\n{EXEC}")

    verdicts = check(image, None, train_data=data, only=["C73", "C74"])

    assert found(verdicts) == expected("C74")


@pytest.mark.docker
def test_a_label_that_promises_many_models_is_held_to_it(build: Builder, model: Path) -> None:
    verdicts = check(build("no-models", f"{MANY_LABEL}\n{EXEC}"), model, only=["C69"])

    assert found(verdicts) == expected("C69")


@pytest.mark.docker
@pytest.mark.usefixtures("build")
def test_an_image_that_is_not_there_is_an_error_in_one_sentence(model: Path) -> None:
    with pytest.raises(ConformanceError, match="docker pull"):
        check("localhost:1/none:none", model)


def test_a_path_that_is_not_there_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is not there"):
        run_image_checks(Plan("a", model_dir=tmp_path / "none"))
    with pytest.raises(ConfigurationError, match="--model-tar"):
        run_image_checks(Plan("a", model_dir=FOLDER / "faulty.py"))
