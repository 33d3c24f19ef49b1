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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the image."""
    for item in items:
        if "image" in getattr(item, "fixturenames", ()):
            item.add_marker("docker")


def why_not() -> str | None:
    """Return why the image cannot be tested, None where it can."""
    named = os.environ.get("SEGSERVE_IMAGE")
    if not named:
        return "SEGSERVE_IMAGE is not set: see make image-test"
    if shutil.which("docker") is None:
        return "there is no docker command"
    done = docker("image", "inspect", named, is_checked=False)
    return None if done.returncode == 0 else f"{named} cannot be run: {done.stdout.strip()[-200:]}"


@pytest.fixture(name="image", scope="session")
def _image() -> str:
    """Return the image that SEGSERVE_IMAGE names.

    A laptop may do without an engine; in CI an image that is named must run.
    """
    reason = why_not()
    if reason is not None and os.environ.get("CI") == "true" and os.environ.get("SEGSERVE_IMAGE"):
        pytest.fail(reason)
    if reason is not None:
        pytest.skip(reason)
    return os.environ["SEGSERVE_IMAGE"]


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
