"""model.json: plain numbers, the same bytes for the same model, and nothing accepted that is not one."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from service.artifact import Artifact
from service.errors import ArtifactError, CorruptArtifactError, IncompatibleArtifactError
from service.model import Golden, SegmentModel

Document = dict[str, Any]


@pytest.fixture(name="model")
def _model(artifact: Artifact) -> SegmentModel:
    return artifact.model


def test_a_model_survives_the_round_trip(model: SegmentModel) -> None:
    again = SegmentModel.from_json(model.to_json())

    assert again == model
    assert again.to_json() == model.to_json()
    assert again.digest == model.digest


def test_a_model_is_healthy_and_a_shifted_one_is_not(model: SegmentModel) -> None:
    clusters = tuple((cluster + 1) % 4 for cluster in model.golden.clusters)
    shifted = replace(model, golden=Golden(model.golden.records, clusters))

    assert model.is_healthy()
    assert not shifted.is_healthy()


def test_model_json_names_no_clock_and_no_host(model: SegmentModel) -> None:
    assert set(json.loads(model.to_json())) == {
        "border_ratio",
        "centroids",
        "features",
        "format_version",
        "golden",
        "income_median",
        "mean",
        "scale",
        "segments",
        "transform",
        "zero_purchase_rule",
    }


CORRUPTIONS: list[tuple[str, Callable[[Document], object]]] = [
    ("mean", lambda document: document.pop("mean")),
    ("mean", lambda document: document.update(mean=[1, "x"])),
    ("scale", lambda document: document.update(scale=[0, 1])),
    ("scale", lambda document: document.update(scale=[-1, 1])),
    ("centroids", lambda document: document.update(centroids=[])),
    ("centroids", lambda document: document["centroids"].append([1])),
    ("centroids", lambda document: document["centroids"][0].__setitem__(0, 1e200)),
    ("segments", lambda document: document["segments"].pop()),
    ("segments", lambda document: document["segments"].reverse()),
    ("transform", lambda document: document.update(transform="exec")),
    ("features", lambda document: document.update(features=["Spending_Power", "Age"])),
    ("golden", lambda document: document["golden"]["clusters"].pop()),
    ("surprise", lambda document: document.update(surprise=1)),
]


@pytest.mark.parametrize(("name", "corrupt"), CORRUPTIONS, ids=range(len(CORRUPTIONS)))
def test_a_document_that_is_no_model_is_refused_by_name(
    model: SegmentModel, name: str, corrupt: Callable[[Document], object]
) -> None:
    document = json.loads(model.to_json())
    corrupt(document)

    with pytest.raises(CorruptArtifactError, match=name):
        SegmentModel.from_json(json.dumps(document).encode())


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_format_version_is_incompatible(model: SegmentModel, version: object) -> None:
    document = json.loads(model.to_json()) | {"format_version": version}

    with pytest.raises(IncompatibleArtifactError, match="format version"):
        SegmentModel.from_json(json.dumps(document).encode())


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"null", b"[" * 100_000, b"\xff", b'{"mean": NaN}'])
def test_junk_is_refused(content: bytes) -> None:
    with pytest.raises(ArtifactError):
        SegmentModel.from_json(content)


def test_evidence_ranks_the_two_nearest_centroids(model: SegmentModel) -> None:
    vectors = np.array([[25.0, 1250.0], [45.0, 3000.5], [80.0, 900_000.0]])
    evidence = model.explain(vectors)
    ranked = np.argsort(model.partition.distances(vectors), axis=1, kind="stable")

    assert evidence.clusters.tolist() == ranked[:, 0].tolist()
    assert evidence.second_clusters.tolist() == ranked[:, 1].tolist()
    assert (evidence.confidences >= 0.5).all()
    assert evidence.is_outlier.tolist() == [False, False, True]


@pytest.fixture(name="gapped")
def _gapped(model: SegmentModel) -> SegmentModel:
    """Return the model with ids that are not positions, as retraining leaves them."""
    ids = (0, 2, 7, 12)
    return replace(
        model,
        segments=tuple(replace(one, id=number) for one, number in zip(model.segments, ids, strict=True)),
        golden=Golden(model.golden.records, tuple(ids[cluster] for cluster in model.golden.clusters)),
    )


def test_labels_and_evidence_are_ids_whatever_their_gaps(model: SegmentModel, gapped: SegmentModel) -> None:
    vectors = np.array([[25.0, 1250.0], [45.0, 3000.5], [80.0, 900_000.0]])
    lookup = np.array(gapped.ids)
    before, after = model.explain(vectors), gapped.explain(vectors)

    assert SegmentModel.from_json(gapped.to_json()) == gapped
    assert gapped.is_healthy()
    assert gapped.label(vectors).tolist() == lookup[model.label(vectors)].tolist()
    assert after.clusters.tolist() == lookup[before.clusters].tolist()
    assert after.positions.tolist() == before.clusters.tolist()
    assert after.second_clusters.tolist() == lookup[before.second_clusters].tolist()
    assert after.second_positions.tolist() == before.second_clusters.tolist()
    assert after.is_outlier.tolist() == before.is_outlier.tolist()
    assert gapped.label(vectors).dtype == np.int32


def test_a_golden_record_with_the_position_instead_of_the_id_is_not_healthy(
    model: SegmentModel, gapped: SegmentModel
) -> None:
    assert not replace(gapped, golden=model.golden).is_healthy()


@pytest.mark.parametrize("ids", [(1, 0, 2, 3), (0, 0, 1, 2)])
def test_ids_must_ascend(model: SegmentModel, ids: tuple[int, ...]) -> None:
    segments = tuple(replace(one, id=number) for one, number in zip(model.segments, ids, strict=True))

    with pytest.raises(CorruptArtifactError, match="ascending ids"):
        SegmentModel.from_json(replace(model, segments=segments).to_json())


def test_a_model_with_one_cluster_has_no_second(model: SegmentModel) -> None:
    alone = replace(
        model,
        centroids=model.centroids[:1],
        segments=model.segments[:1],
        golden=Golden(model.golden.records, (0,) * len(model.golden.records)),
    )
    evidence = alone.explain(np.array([[25.0, 1250.0]]))

    assert alone.is_healthy()
    assert evidence.second_clusters.tolist() == [-1]
    assert evidence.confidences.tolist() == [1.0]
    assert evidence.is_border.tolist() == [False]
