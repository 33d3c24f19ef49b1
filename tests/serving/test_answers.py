"""The bytes of an answer: labels in four formats, details in three, placeholders for bad records."""

import csv
import io
import json
import tracemalloc

import numpy as np
import pytest

from service.serving.answers import encode_details, encode_labels
from service.serving.media import Media
from service.serving.reasons import Reasons
from tests.serving.conftest import make_served

NONE: frozenset[int] = frozenset()
VECTORS = np.array([[25.0, 1250.0], [45.0, 3000.5], [70.5, 0.0], [18.0, 99999.75]])


@pytest.mark.parametrize("n_records", [0, 1, 2, 63, 64, 65, 66, 4097])
@pytest.mark.parametrize("k", [1, 2, 9, 10, 11, 100, 1000])
def test_labels_are_written_alike_for_any_number_of_records_and_clusters(n_records: int, k: int) -> None:
    labels = np.random.default_rng(n_records).integers(k, size=n_records, dtype=np.int32)
    labels[-1:] = k - 1
    texts = [str(label) for label in labels.tolist()]
    lines = "".join(f"{text}\n" for text in texts).encode()

    assert encode_labels(labels, bad=NONE, media=Media.JSON, k=k) == f"[{', '.join(texts)}]".encode()
    assert encode_labels(labels, bad=NONE, media=Media.CSV, k=k) == lines
    assert encode_labels(labels, bad=NONE, media=Media.JSON_LINES, k=k) == lines
    assert np.array_equal(np.load(io.BytesIO(encode_labels(labels, bad=NONE, media=Media.NPY, k=k))), labels)


@pytest.mark.parametrize("n_records", [3, 200])
def test_a_bad_record_leaves_a_placeholder(n_records: int) -> None:
    labels = np.full(n_records, 2, dtype=np.int32)
    bad = frozenset({0, n_records - 1})
    middle = n_records - 2

    as_json = encode_labels(labels, bad=bad, media=Media.JSON, k=3)
    as_csv = encode_labels(labels, bad=bad, media=Media.CSV, k=3)
    as_lines = encode_labels(labels, bad=bad, media=Media.JSON_LINES, k=3)
    as_npy = np.load(io.BytesIO(encode_labels(labels, bad=bad, media=Media.NPY, k=3)))

    assert json.loads(as_json) == [None, *[2] * middle, None]
    assert as_csv == b"ERROR\n" + b"2\n" * middle + b"ERROR\n"
    assert as_lines == b"null\n" + b"2\n" * middle + b"null\n"
    assert as_npy.tolist() == [-1, *[2] * middle, -1]
    assert labels.tolist() == [2] * n_records


def test_details_say_what_is_known_of_each_record() -> None:
    model = make_served(4).model

    document = json.loads(encode_details(VECTORS, bad=NONE, media=Media.JSON, model=model))

    assert list(document) == ["predictions"]
    for detail, record in zip(document["predictions"], VECTORS.tolist(), strict=True):
        distances = model.partition.distances_one(*record)
        first, second = sorted(range(4), key=distances.__getitem__)[:2]
        assert detail == {
            "closest_cluster": float(first),
            "distance_to_cluster": distances[first],
            "segment": model.segments[first].name,
            "confidence": distances[second] / (distances[first] + distances[second]),
            "second": {
                "closest_cluster": float(second),
                "distance_to_cluster": distances[second],
                "segment": model.segments[second].name,
            },
            "outlier": distances[first] > model.segments[first].outlier_distance,
            "border": distances[second] < model.border_ratio * distances[first],
            "distances": {str(place): distance for place, distance in enumerate(distances)},
            "why": Reasons(model).explain(record, cluster=first, second=second),
        }
        assert isinstance(detail["closest_cluster"], float)


def test_details_are_the_same_in_every_format() -> None:
    model = make_served(4).model
    expected = json.loads(encode_details(VECTORS, bad=NONE, media=Media.JSON, model=model))["predictions"]

    lines = encode_details(VECTORS, bad=NONE, media=Media.JSON_LINES, model=model)
    table = encode_details(VECTORS, bad=NONE, media=Media.CSV, model=model)

    assert lines.endswith(b"}\n")
    assert [json.loads(line) for line in lines.splitlines()] == expected
    assert table.endswith(b"\n")
    assert b"\r" not in table
    assert [
        [float(cluster), float(distance), segment, float(confidence)]
        for cluster, distance, segment, confidence in csv.reader(io.StringIO(table.decode()))
    ] == [[d["closest_cluster"], d["distance_to_cluster"], d["segment"], d["confidence"]] for d in expected]
    assert table.split(b",")[0] == b"%d" % expected[0]["closest_cluster"]


def test_details_keep_a_place_for_a_bad_record() -> None:
    model, bad = make_served(4).model, frozenset({1})

    as_json = json.loads(encode_details(VECTORS, bad=bad, media=Media.JSON, model=model))["predictions"]
    as_lines = encode_details(VECTORS, bad=bad, media=Media.JSON_LINES, model=model).splitlines()
    as_csv = encode_details(VECTORS, bad=bad, media=Media.CSV, model=model).splitlines()

    assert [detail is None for detail in as_json] == [False, True, False, False]
    assert as_lines[1] == b"null"
    assert as_csv[1] == b"ERROR"
    assert len(as_lines) == len(as_csv) == 4


def test_a_model_of_one_cluster_has_no_second_one() -> None:
    model = make_served(1).model

    document = json.loads(encode_details(VECTORS, bad=NONE, media=Media.JSON, model=model))

    assert {detail["second"] for detail in document["predictions"]} == {None}
    assert {detail["confidence"] for detail in document["predictions"]} == {1.0}
    assert {detail["border"] for detail in document["predictions"]} == {False}


def test_no_records_have_no_details() -> None:
    model, none = make_served(4).model, np.empty((0, 2))

    assert encode_details(none, bad=NONE, media=Media.JSON, model=model) == b'{"predictions":[]}'
    assert encode_details(none, bad=NONE, media=Media.JSON_LINES, model=model) == b""
    assert encode_details(none, bad=NONE, media=Media.CSV, model=model) == b""


@pytest.mark.parametrize("media", [Media.JSON, Media.JSON_LINES, Media.CSV])
def test_details_of_a_large_batch_are_those_of_its_parts(media: Media) -> None:
    model = make_served(4).model
    vectors = np.random.default_rng(3).uniform(0, 5000, size=(2001, 2))
    bad = frozenset({0, 1000, 2000})

    whole = encode_details(vectors, bad=bad, media=media, model=model)
    parts = [
        encode_details(vectors[i : i + 1], bad=frozenset({0}) if i in bad else NONE, media=media, model=model)
        for i in range(len(vectors))
    ]

    if media is Media.JSON:
        start, end = len(b'{"predictions":['), -len(b"]}")
        assert whole == b'{"predictions":[' + b",".join(part[start:end] for part in parts) + b"]}"
    else:
        assert whole == b"".join(parts)


@pytest.mark.parametrize("media", [Media.JSON, Media.JSON_LINES, Media.CSV])
def test_details_of_a_large_batch_need_little_more_memory_than_their_bytes(media: Media) -> None:
    """C27: 25 MB of records are some four million; an object for each would take many gigabytes."""
    model = make_served(4).model
    vectors = np.random.default_rng(3).uniform(0, 5000, size=(20_000, 2))

    tracemalloc.start()
    answer = encode_details(vectors, bad=NONE, media=media, model=model)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 2 * len(answer) + 500 * len(vectors)
