"""Provide the image under test and a model to mount into it."""

import json
from pathlib import Path
from typing import Any

import pytest

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


@pytest.fixture(name="mount", scope="session")
def _mount(model_dir: Path) -> tuple[str, ...]:
    """Return the options that serve a model as SageMaker does, on a free port of this machine."""
    return ("--volume", f"{model_dir}:/opt/ml/model:ro", "--publish", "127.0.0.1::8080")
