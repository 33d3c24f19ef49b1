"""Provide the image under test and a model to mount into it."""

import json
import os
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

from service.store import Store
from tests.container.engine import docker

ROOT = Path(__file__).parents[2]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the image."""
    for item in items:
        if "image" in getattr(item, "fixturenames", ()):
            item.add_marker("docker")


def why_no_engine() -> str | None:
    """Return why no container can be run, None where one can."""
    if shutil.which("docker") is None:
        return "there is no docker command"
    done = docker("version", "--format", "{{.Server.Version}}", is_checked=False)
    return None if done.returncode == 0 else f"no Docker engine answers: {done.stdout.strip()[-200:]}"


@pytest.fixture(name="image", scope="session")
def _image() -> str:
    """Return the image that SEGSERVE_IMAGE names, or build it, from BASE_IMAGE where that is set.

    A laptop may do without an engine; in CI the tests are there to be run.
    """
    reason = why_no_engine()
    if reason is not None and os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail(f"CI must run these tests, but {reason}")
    if reason is not None:
        pytest.skip(reason)
    if named := os.environ.get("SEGSERVE_IMAGE"):
        return named
    base = os.environ.get("BASE_IMAGE")
    arguments = ("--build-arg", f"BASE_IMAGE={base}") if base else ()
    docker("build", "--quiet", *arguments, "--tag", "segserve:test", str(ROOT))
    return "segserve:test"


@pytest.fixture(name="inspected", scope="session")
def _inspected(image: str) -> Any:
    return json.loads(docker("image", "inspect", image).stdout)[0]


@pytest.fixture(name="model_dir", scope="session")
def _model_dir(store_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model as SageMaker unpacks it, readable by any user."""
    folder = tmp_path_factory.mktemp("unpacked") / "model"
    folder.mkdir(mode=0o755)
    with tarfile.open(Store(store_path).resolve()) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(name="mount", scope="session")
def _mount(model_dir: Path) -> tuple[str, ...]:
    """Return the options that serve a model as SageMaker does, on a free port of this machine."""
    return ("--volume", f"{model_dir}:/opt/ml/model:ro", "--publish", "127.0.0.1::8080")
