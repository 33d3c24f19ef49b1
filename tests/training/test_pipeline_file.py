"""The file holds the pipeline that skops would have written, whoever wrote it."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io

from service.pipeline import check_pipeline
from service.training.fit import Fit, fit_pipeline
from service.training.pipeline_file import LAYOUTS, write_pipeline
from service.training.pipeline_objects import build_pipeline
from service.training.sample import sample_customers
from service.training.weighted import Weighting
from service.transform import Transform

ROWS = np.array([row[1:4] for row in sample_customers(500)], dtype=np.float64)
VECTORS = np.column_stack([ROWS[:, 0], ROWS[:, 1] / np.maximum(ROWS[:, 2], 1)])
WEIGHTS = np.arange(1.0, 501.0)
START = [(25.0, 900.0), (45.0, 2_000.0), (60.0, 4_000.0)]


@pytest.fixture(
    name="fit", scope="module", params=["records", "cells", "records from a start", "cells from a start"]
)
def _fit(request: pytest.FixtureRequest, transform: Transform) -> Fit:
    return fit_pipeline(
        VECTORS,
        k=3,
        transform=transform,
        seed=7,
        weighting=Weighting(WEIGHTS) if "cells" in request.param else None,
        start=START if "start" in request.param else None,
    )


@pytest.fixture(name="transform", scope="module", params=list(Transform))
def _transform(request: pytest.FixtureRequest) -> Any:
    return request.param


def read(content: bytes) -> Any:
    """Return the schema with each array in its place, and without what skops takes from memory."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:

        def plainly(node: Any) -> Any:
            if isinstance(node, list):
                return [plainly(one) for one in node]
            if not isinstance(node, dict):
                return node
            found = {name: plainly(value) for name, value in node.items() if name != "__id__"}
            if "file" in found:
                array = np.load(io.BytesIO(archive.read(found.pop("file"))), allow_pickle=False)
                found["array"] = (array.dtype.str, array.tolist())
            return found

        return plainly(json.loads(archive.read("schema.json")))


def test_it_holds_what_skops_writes(fit: Fit) -> None:
    assert read(write_pipeline(fit)) == read(skops.io.dumps(build_pipeline(fit)))


def test_skops_loads_it_without_trusting_anything(fit: Fit) -> None:
    content = write_pipeline(fit)
    loaded = skops.io.loads(content)

    assert skops.io.get_untrusted_types(data=content) == []
    assert loaded.predict(VECTORS).tolist() == fit.partition.assign(VECTORS).tolist()
    assert loaded["kmeans"].cluster_centers_.tolist() == [list(one) for one in fit.partition.centroids]
    check_pipeline("pipeline.skops", content)


def test_a_loaded_pipeline_can_be_fitted_again(fit: Fit) -> None:
    loaded = skops.io.loads(write_pipeline(fit))

    again = loaded.fit(VECTORS)

    assert again.predict(VECTORS).shape == (500,)
    assert repr(loaded) == repr(build_pipeline(fit))


def test_the_same_fit_gives_the_same_bytes(fit: Fit) -> None:
    content = write_pipeline(fit)

    assert write_pipeline(fit) == content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert {one.date_time[0] for one in archive.infolist()} == {1980}


def test_each_node_has_an_id_of_its_own(fit: Fit) -> None:
    """skops takes nodes of one id for one object."""
    with zipfile.ZipFile(io.BytesIO(write_pipeline(fit))) as archive:
        schema = archive.read("schema.json").decode()
    ids: list[int] = []

    def keep(node: dict[str, Any]) -> dict[str, Any]:
        if "__id__" in node:
            ids.append(node["__id__"])
        return node

    json.loads(schema, object_hook=keep)

    assert len(ids) == len(set(ids)) == schema.count("__loader__")


def test_other_versions_of_the_libraries_write_it_themselves(fit: Fit, tmp_path: Path) -> None:
    layouts = json.loads(LAYOUTS.read_bytes())
    layouts["versions"]["scikit-learn"] = "1.2.3"
    layouts["schemas"] = {}
    other = tmp_path / "layouts.json"
    other.write_text(json.dumps(layouts))

    assert read(write_pipeline(fit, layouts_path=other)) == read(write_pipeline(fit))
