"""Why a record is in its segment: the feature that decided, in the user's units."""

import json

import numpy as np
import pytest

from service.serving.answers import encode_details
from service.serving.invocation import invoke
from service.serving.media import Media
from service.serving.reasons import Reasons, read_rules
from service.transform import Transform
from tests.serving.conftest import make_served

NONE: frozenset[int] = frozenset()


@pytest.mark.parametrize("transform", list(Transform))
def test_the_reason_names_a_feature_on_which_the_own_centre_is_nearer(transform: Transform) -> None:
    model = make_served(4, transform=transform).model
    reasons = Reasons(model)
    for record in [(25.0, 1250.0), (45.0, 3000.5), (70.5, 10.0), (18.0, 99999.75)]:
        distances = model.partition.distances_one(*record)
        first, second = sorted(range(4), key=distances.__getitem__)[:2]
        scaled = model.partition.scale_one(*record)
        gains = [
            abs(scaled[axis] - model.centroids[second][axis])
            - abs(scaled[axis] - model.centroids[first][axis])
            for axis in (0, 1)
        ]
        reason = reasons.explain(record, cluster=first, second=second)
        axis = 0 if reason.startswith("Age ") else 1

        assert reason.startswith((f"Age {record[0]:,.0f} is", f"Spending_Power {record[1]:,.0f} is"))
        assert gains[axis] > 0
        assert reason.endswith(f", that of {model.segments[second].name}")


def test_one_segment_has_no_rival() -> None:
    assert (
        Reasons(make_served(1).model).explain([20.0, 5.0], cluster=0, second=-1)
        == "There is only this segment"
    )


def test_a_rule_is_answered_where_training_found_one() -> None:
    model = make_served(4).model
    vectors = np.array([[25.0, 1250.0], [45.0, 3000.5]])
    rules = {segment.id: f"rule {segment.id}" for segment in model.segments}
    details = [
        json.loads(encode_details(vectors, bad=NONE, media=Media.JSON, model=model, rules=known))[
            "predictions"
        ]
        for known in (rules, {}, None)
    ]

    assert [detail["rule"] for detail in details[0]] == [
        f"rule {detail['closest_cluster']:.0f}" for detail in details[0]
    ]
    assert not any("rule" in detail for answer in details[1:] for detail in answer)


def test_a_served_model_answers_its_rules() -> None:
    served = make_served(2)
    ruled = type(served)(model=served.model, version=served.version, rules={0: "low", 1: "high"})
    answer = invoke(
        b"[[25, 1250]]", content_type="", accept="application/json; detail=full", attributes="", model=ruled
    )

    assert json.loads(answer.body)["predictions"][0]["rule"] in {"low", "high"}


def test_rules_are_read_from_training_json_and_nothing_else_breaks() -> None:
    good = {"segments": [{"id": 3, "rule": {"text": "Age > 52"}}, {"id": 5, "rule": {"text": 7}}]}

    assert read_rules(json.dumps(good).encode()) == {3: "Age > 52"}
    for odd in (None, b"", b"[]", b"{}", b"{", b'{"segments": [{"id": 1}]}', b'{"segments": 4}', b"null"):
        assert read_rules(odd) == {}
