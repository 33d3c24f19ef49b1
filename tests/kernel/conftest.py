"""Provide the compiled kernel, and a look at both ways of answering."""

import importlib
import importlib.util
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from service.serving.invocation import Invocation, ServedModel, answer, plan_invocation
from service.serving.kernel import Kernel
from service.serving.media import Reader
from service.serving.signals.board import Board
from service.serving.signals.meter import Meter
from service.serving.tally import Tally
from service.transform import Transform
from tests.conftest import do_without
from tests.serving.conftest import CSV, JSON, JSON_LINES, NPY, make_served

TYPES = {Reader.JSON: JSON, Reader.JSON_LINES: JSON_LINES, Reader.CSV: CSV, Reader.NPY: NPY, Reader.SNIFF: ""}
EDGES = ([1.0, 2.5, 20.0, 25.0, 40.0, 60.0, 1e100], [0.0])
"""Some of them values that occur: those belong to the bin above."""

ACCEPTED = (JSON, JSON_LINES, CSV, NPY)


@pytest.fixture(name="extension", scope="session")
def _extension() -> Any:
    if importlib.util.find_spec("segserve_kernel") is None:
        do_without("needs the compiled kernel: make kernel")
    return importlib.import_module("segserve_kernel")


@pytest.fixture(name="models", scope="session")
def _models(extension: Any) -> list[ServedModel]:
    """Return models of one to many clusters, with and without a transform, with ids of many widths."""
    plain = [make_served(k) for k in (1, 2, 4, 11, 40)]
    logarithmic = [make_served(k, transform=Transform.LOG1P) for k in (3, 7)]
    wide = with_ids(make_served(5), (0, 7, 12, 30_000, 999_999_999))
    served = [*plain, *logarithmic, wide, tied(make_served(4))]
    return [replace(one, kernel=Kernel(extension, one.model, edges=EDGES)) for one in served]


def with_ids(served: ServedModel, ids: tuple[int, ...]) -> ServedModel:
    segments = tuple(
        replace(segment, id=key) for segment, key in zip(served.model.segments, ids, strict=True)
    )
    return replace(served, model=replace(served.model, segments=segments))


def tied(served: ServedModel) -> ServedModel:
    """Return a model without scaling whose centroids lie on whole numbers: ties are many, and exact."""
    centroids = ((1.0, 1.0), (3.0, 1.0), (1.0, 3.0), (3.0, 3.0))
    return replace(
        served, model=replace(served.model, mean=(0.0, 0.0), scale=(1.0, 1.0), centroids=centroids)
    )


def is_taken(body: bytes, served: ServedModel, *, content_type: str, accept: str = JSON) -> bool:
    """Assert that the kernel answers as Python does, counts included; tell whether it took the payload."""
    plan = plan_invocation(content_type, accept, "", served)
    pure = answer(body, plan, replace(served, kernel=None))
    mixed = answer(body, plan, served)
    assert (mixed.status, mixed.body) == (pure.status, pure.body), (content_type, accept, body[:200])
    assert (mixed.headers, mixed.content_type) == (pure.headers, pure.content_type)
    assert (mixed.rejected or {}, mixed.error_code) == (pure.rejected or {}, pure.error_code)
    assert len(mixed.places) == len(pure.places)
    assert served.kernel is not None
    taken = served.kernel.answer(body, plan)
    if taken is None:
        return False
    assert pure.status == 200, (content_type, body[:200])
    assert taken[0] == pure.body
    check_tally(taken[1], np.asarray(pure.places), np.asarray(pure.vectors, dtype=np.float64).reshape(-1, 2))
    return True


def check_tally(tally: Tally, places: np.ndarray[Any, Any], vectors: np.ndarray[Any, Any]) -> None:
    """Assert that a tally holds what `Meter.condense` would have made of all records."""
    assert list(tally.segments) == np.bincount(places, minlength=len(tally.segments)).tolist()
    bins = _meter().condense(Invocation(200, b"", "", (), places, vectors)).bins
    for found, expected in zip(tally.bins, bins, strict=True):
        assert list(found) == [*expected, *[0] * (len(found) - len(expected))]


@cache
def _meter() -> Meter:
    return Meter(Board(), edges=EDGES)
