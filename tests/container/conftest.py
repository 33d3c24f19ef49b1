"""Provide the image under test and a model to mount into it."""

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from service.store import Store
from tests.container.engine import docker, image_under_test


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the image."""
    for item in items:
        if "image" in getattr(item, "fixturenames", ()):
            item.add_marker("docker")


@pytest.fixture(name="image", scope="session")
def _image() -> str:
    return image_under_test()


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
