"""Answer payloads as scikit-learn alone would: to a float64 array of shape (n, 2), to Pipeline.predict."""

import ast
import io
import json
import math
import struct
import warnings
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.pipeline import Pipeline

from service.features import MAX_VALUE
from service.model import Golden, Segment, SegmentModel
from service.serving.invocation import ServedModel
from service.training.fit import Fit, fit_pipeline
from service.training.pipeline_objects import build_pipeline
from service.training.sample import sample_customers
from service.transform import Transform

Vectors = npt.NDArray[np.float64]


@cache
def fit() -> Fit:
    """Return what is fitted to the sample."""
    rows = np.array([row[1:4] for row in sample_customers()], dtype=np.float64)
    vectors = np.column_stack([rows[:, 0], rows[:, 1] / np.maximum(rows[:, 2], 1)])
    return fit_pipeline(vectors, k=4, transform=Transform.NONE, seed=42)


@cache
def pipeline() -> Pipeline:
    """Return the same fit as scikit-learn has it."""
    return build_pipeline(fit())


@cache
def served() -> ServedModel:
    """Return the same model as a server holds it."""
    partition = fit().partition
    records = ((25.0, 1250.0), (45.0, 3000.5))
    model = SegmentModel(
        transform=partition.transform,
        mean=partition.mean,
        scale=partition.scale,
        centroids=tuple(partition.centroids),
        segments=tuple(
            Segment(number, f"Segment {number}", 1, 1 / 4, {}, 2.5)
            for number in range(len(partition.centroids))
        ),
        income_median=60_000.0,
        border_ratio=1.2,
        golden=Golden(records, tuple(partition.assign_one(*record) for record in records)),
    )
    return ServedModel(model=model, version="20261123T044500Z-3f2a9c1b")


def read_json(body: bytes) -> Vectors | None:
    """Return the records of a JSON document that scikit-learn's users would pass on, None for any other."""
    try:
        document = json.loads(body.decode())
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, list) or not all(_is_pair(row) for row in document):
        return None
    return _valid(document)


def read_csv(body: bytes) -> Vectors | None:
    """Return what np.loadtxt reads of a CSV payload, None where it does not."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an empty payload
            return _valid(np.loadtxt(io.StringIO(body.decode()), delimiter=",", ndmin=2, comments=None))
    except (ValueError, OverflowError):
        return None


def read_npy(body: bytes) -> Vectors | None:
    """Return what np.load reads of an npy payload, None where it does not.

    Four things it takes are refused on purpose: booleans, which are no numbers here, bytes behind the array,
    headers that only Python 2 wrote, and types with a shape of their own, which no array has.
    """
    stream = io.BytesIO(body)
    try:
        major = np.lib.format.read_magic(stream)[0]
        read = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
        size = "<H" if major == 1 else "<I"
        header = body[8 + struct.calcsize(size) :][: struct.unpack_from(size, body, 8)[0]]
        ast.literal_eval(header.decode("latin-1"))
        shape, _, dtype = read(stream)
        if dtype.subdtype is not None:
            return None
        if math.prod(shape) * max(1, dtype.itemsize) > len(body):  # it would make room for all of it first
            return None
        stream.seek(0)
        array = np.lib.format.read_array(stream, allow_pickle=False)
        if array.dtype.kind not in "fiu" or stream.read(1):
            return None
        return _valid(array)
    except Exception:  # noqa: BLE001  # numpy's reader lets hostile headers raise what it pleases
        return None


def predict(vectors: Vectors) -> npt.NDArray[np.int32]:
    """Return scikit-learn's labels."""
    if not len(vectors):
        return np.empty(0, dtype=np.int32)
    return np.asarray(pipeline().predict(vectors), dtype=np.int32)


def is_tied(vectors: Vectors) -> npt.NDArray[np.bool_]:
    """Tell where the two nearest squared distances agree to a relative 1e-9, as tests/test_parity.py does."""
    ordered = np.sort(fit().partition.distances(vectors), axis=1)
    tied: npt.NDArray[np.bool_] = (ordered[:, 0] / ordered[:, 1]) ** 2 >= 1 - 1e-9
    return tied


def _is_pair(row: object) -> bool:
    return isinstance(row, list) and len(row) == 2 and all(type(value) in {int, float} for value in row)


def _valid(rows: Any) -> Vectors | None:
    """Return rows as an array of shape (n, 2) of values that are accepted at all."""
    try:
        vectors = np.asarray(rows, dtype=np.float64)
    except (ValueError, OverflowError, TypeError):
        return None
    if vectors.shape == (0,):
        vectors = vectors.reshape(0, 2)
    if vectors.ndim != 2 or vectors.shape[1] != 2:
        return None
    return vectors if bool(((vectors >= 0) & (vectors <= MAX_VALUE)).all()) else None
