"""What is answered is a segment's id, also where ids have gaps: in every format and on every path."""

import io
from dataclasses import replace

import numpy as np
import orjson
import pytest

from service.artifact import Artifact
from service.model import Golden, SegmentModel
from service.serving.invocation import ServedModel, invoke

RECORDS = [[25.0, 1250.0], [45.0, 3000.5], [60.0, 2000.0], [30.0, 120_000.0]]
IDS = {"digits": (0, 2, 5, 9), "longer": (3, 7, 10, 12_345)}


@pytest.fixture(name="served", params=list(IDS))
def _served(artifact: Artifact, request: pytest.FixtureRequest) -> ServedModel:
    model, ids = artifact.model, IDS[request.param]
    gapped = replace(
        model,
        segments=tuple(replace(one, id=number) for one, number in zip(model.segments, ids, strict=True)),
        golden=Golden(model.golden.records, tuple(ids[cluster] for cluster in model.golden.clusters)),
    )
    return ServedModel(SegmentModel.from_json(gapped.to_json()), "v1")


def expected(served: ServedModel) -> list[int]:
    ids = [served.model.ids[served.model.partition.assign_one(*record)] for record in RECORDS]
    assert len(set(ids)) == 4
    return ids


@pytest.mark.parametrize("times", [1, 30, 3_000])
def test_labels_are_ids_in_every_format(served: ServedModel, times: int) -> None:
    body = orjson.dumps(RECORDS * times)
    ids = expected(served) * times

    def ask(accept: str) -> bytes:
        answer = invoke(body, content_type="application/json", accept=accept, attributes="", model=served)
        assert answer.status == 200
        return answer.body

    assert ask("application/json") == f"[{', '.join(map(str, ids))}]".encode()
    assert ask("text/csv") == "".join(f"{number}\n" for number in ids).encode()
    assert ask("application/jsonlines") == "".join(f"{number}\n" for number in ids).encode()
    npy = np.load(io.BytesIO(ask("application/x-npy")))
    assert npy.tolist() == ids
    assert npy.dtype == np.int32


def test_detail_names_the_segments_of_the_ids(served: ServedModel) -> None:
    body = orjson.dumps(RECORDS)
    answer = invoke(
        body, content_type="", accept="application/json; detail=full", attributes="", model=served
    )
    names = {segment.id: segment.name for segment in served.model.segments}

    for found, number in zip(orjson.loads(answer.body)["predictions"], expected(served), strict=True):
        assert found["closest_cluster"] == float(number)
        assert found["segment"] == names[number]
        assert found["second"]["segment"] == names[int(found["second"]["closest_cluster"])]


def test_a_bad_record_has_its_placeholder_among_ids(served: ServedModel) -> None:
    answer = invoke(
        b'[[25, 1250.0], "x", [45, 3000.5]]',
        content_type="",
        accept="application/json; on_error=placeholder",
        attributes="",
        model=served,
    )

    assert orjson.loads(answer.body) == [expected(served)[0], None, expected(served)[1]]
