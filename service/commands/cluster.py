"""Reach for the part of training that runs on Spark, which the image goes without."""

import importlib
from types import ModuleType

from service.errors import MissingExtraError


def load_session(command: str) -> ModuleType:
    """Return what opens a session.

    Args:
        command: That needs it, for messages.

    Raises:
        MissingExtraError: That part is not installed.
    """
    try:
        return importlib.import_module("service.training.spark.session")
    except ModuleNotFoundError as exc:
        raise MissingExtraError(f"{command} --engine spark", extra="spark", package="pyspark") from exc
