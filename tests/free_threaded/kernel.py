"""Provide the kernel alone, where the rest of segserve cannot be installed."""

import importlib
from typing import Any

import pytest


@pytest.fixture(name="extension", scope="session")
def _extension() -> Any:
    return importlib.import_module("segserve_kernel")
