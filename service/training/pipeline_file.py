"""Write `pipeline.skops`: the scikit-learn pipeline of a fit, for people who load it by skops.

Such files differ in a few attributes of the scaler and of k-means alone. `pipeline_layouts.json` has the
rest, as skops writes it in the versions named there; with other versions skops itself writes the file.
Importing scikit-learn and skops takes longer than reading ten million customers. And skops writes addresses
in memory and the time, where this file's bytes follow from the fit.
"""

import json
from collections.abc import Mapping
from importlib import metadata
from io import BytesIO
from pathlib import Path
from typing import Any, Final
from zipfile import ZipFile, ZipInfo

import numpy as np

from service.pipeline import SCHEMA, nodes
from service.training.fit import Fit

LAYOUTS: Final = Path(__file__).with_name("pipeline_layouts.json")


def write_pipeline(fit: Fit, *, layouts_path: Path = LAYOUTS) -> bytes:
    """Return the file.

    Args:
        fit: What it holds.
        layouts_path: Of `pipeline_layouts.json`.
    """
    layouts = json.loads(layouts_path.read_bytes())
    if any(metadata.version(name) != version for name, version in layouts["versions"].items()):
        from service.training.pipeline_objects import dump_pipeline  # noqa: PLC0415  # takes a second to import

        return dump_pipeline(fit)
    schema = layouts["schemas"][fit.transform.value]
    buffer = BytesIO()
    with ZipFile(buffer, "w") as archive:
        for step, values in attributes(fit).items():
            state = find_state(schema, step)
            for name, value in values.items():
                state[name] = _write_value(archive, name, value)
        for number, node in enumerate(nodes(schema)):
            node["__id__"] = number
        archive.writestr(ZipInfo(SCHEMA), json.dumps(schema))
    return buffer.getvalue()


def attributes(fit: Fit) -> dict[str, dict[str, Any]]:
    """Return what differs from fit to fit, by scikit-learn's names of classes and attributes."""
    scaler, clusters = fit.scaler, fit.clusters
    k = len(clusters.centroids)
    return {
        "StandardScaler": {
            "n_samples_seen_": scaler.n_samples,
            "mean_": scaler.mean,
            "var_": scaler.variance,
            "scale_": scaler.scale,
        },
        "KMeans": {
            "n_clusters": k,
            "init": "k-means++" if clusters.start is None else clusters.start,
            "tol": clusters.tolerance,
            "n_init": clusters.starts,
            "random_state": clusters.seed,
            "_tol": clusters.absolute_tolerance,
            "_n_init": clusters.starts,
            "cluster_centers_": clusters.centroids,
            "_n_features_out": k,
            # One integer a training record otherwise: size, and a leak of who is where.
            "labels_": np.empty(0, dtype=np.int32),
            "inertia_": clusters.inertia,
            "n_iter_": clusters.iterations,
        },
    }


def find_state(schema: Any, step: str) -> dict[str, Any]:
    """Return the attributes of the only object of a class, by their names."""
    (node,) = (node for node in nodes(schema) if node.get("__class__") == step)
    state: dict[str, Any] = node["content"]["content"]
    return state


def _write_value(archive: ZipFile, name: str, value: Any) -> Mapping[str, Any]:
    """Return the node of a value; an array goes into a file of its own."""
    if not isinstance(value, np.ndarray):
        node = {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode"}
        return {**node, "content": json.dumps(value), "is_json": True}
    content = BytesIO()
    np.save(content, value, allow_pickle=False)
    file = f"{name}.npy"
    archive.writestr(ZipInfo(file), content.getvalue())
    node = {"__class__": "ndarray", "__module__": "numpy", "__loader__": "NdArrayNode"}
    return {**node, "type": "numpy", "file": file}
