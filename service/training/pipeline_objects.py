"""Make the scikit-learn pipeline of a fit, and what skops writes of one."""

import json
from io import BytesIO
from typing import Any
from zipfile import ZipFile

import numpy as np
import sklearn
import skops
import skops.io
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from threadpoolctl import threadpool_limits

from service.features import AGE, SPENDING_POWER
from service.pipeline import SCHEMA, nodes
from service.training.fit import Fit, fit_pipeline
from service.training.pipeline_file import attributes, find_state
from service.transform import Transform


def build_pipeline(fit: Fit) -> Pipeline:
    """Return the fitted pipeline."""
    k = len(fit.clusters.centroids)
    example = np.column_stack([np.arange(k + 1.0), np.arange(k + 1.0)])
    scaler = StandardScaler().fit(example)
    # How many threads a fit had goes into the file.
    with threadpool_limits(limits=1):
        kmeans = KMeans(n_clusters=k, n_init=1).fit(example)
    values = attributes(fit)
    for one in (scaler, kmeans):
        for name, value in values[type(one).__name__].items():
            setattr(one, name, value)
    steps = [("scale", scaler), ("kmeans", kmeans)]
    if fit.transform is Transform.LOG1P:
        steps.insert(0, ("log1p", _log1p_step(example)))
    return Pipeline(steps)


def dump_pipeline(fit: Fit) -> bytes:
    """Return `pipeline.skops` as skops writes it in the version that is installed."""
    content: bytes = skops.io.dumps(build_pipeline(fit))
    return content


def describe_layouts() -> str:
    """Return `pipeline_layouts.json` for the versions that are installed."""
    vectors = np.array([[20.0, 100.0], [40.0, 300.0], [60.0, 500.0]])
    schemas = {}
    for transform in Transform:
        fit = fit_pipeline(vectors, k=2, transform=transform, seed=0)
        with ZipFile(BytesIO(dump_pipeline(fit))) as archive:
            schema = json.loads(archive.read(SCHEMA))
        for step, values in attributes(fit).items():
            find_state(schema, step).update(dict.fromkeys(values))
        for node in nodes(schema):
            del node["__id__"]
        schemas[transform.value] = schema
    versions = {"scikit-learn": sklearn.__version__, "skops": skops.__version__}
    document = {"versions": versions, "schemas": schemas}
    return f"{json.dumps(document, separators=(',', ':'))}\n"


def _log1p_step(example: np.ndarray[Any, Any]) -> ColumnTransformer:
    """Return the transform as a scikit-learn step, for those who load the pipeline."""
    step = ColumnTransformer(
        [
            (AGE, "passthrough", [0]),
            (SPENDING_POWER, FunctionTransformer(np.log1p), [1]),
        ]
    )
    step.fit(example)
    return step
