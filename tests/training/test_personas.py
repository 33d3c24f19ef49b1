"""Segments are told in the user's units, with names that differ."""

import numpy as np
import pytest

from service.model import Segment
from service.partition import Partition
from service.training.personas import describe_segments
from service.transform import Transform

AGES = np.array([25.0, 27.0, 60.0, 62.0, 26.0])
INCOMES = np.array([50_000.0, 70_000.0, 90_000.0, 90_000.0, 90_000.0])
PURCHASES = np.array([10.0, 10.0, 30.0, 30.0, 0.0])
POWERS = np.array([5_000.0, 7_000.0, 3_000.0, 3_000.0, 90_000.0])


@pytest.fixture(name="segments")
def _segments() -> tuple[Segment, ...]:
    partition = Partition(
        transform=Transform.NONE,
        mean=(40.0, 5_000.0),
        scale=(15.0, 10_000.0),
        centroids=((1.4, -0.2), (-0.9, 0.1), (-0.9, 8.5)),
    )
    columns = {"Age": AGES, "Income": INCOMES, "Purchases": PURCHASES, "Spending_Power": POWERS}
    labels = partition.assign(np.column_stack([AGES, POWERS]))
    return describe_segments(columns, partition=partition, labels=labels, ids=(0, 1, 4), names={})


def test_sizes_shares_and_means_are_those_of_the_records(segments: tuple[Segment, ...]) -> None:
    assert [segment.id for segment in segments] == [0, 1, 4]
    assert [segment.size for segment in segments] == [2, 2, 1]
    assert [segment.share for segment in segments] == [0.4, 0.4, 0.2]
    assert segments[1].profile == {
        "Age": 26.0,
        "Income": 60_000.0,
        "Purchases": 10.0,
        "Spending_Power": 6_000.0,
    }


def test_names_say_age_and_spending_power(segments: tuple[Segment, ...]) -> None:
    assert [segment.name for segment in segments] == [
        "Older with low spending power",
        "Younger with typical spending power",
        "Younger with very high spending power",
    ]


def test_names_are_unique_where_the_bands_are_not() -> None:
    centroids = ((-1.0, 0.0), (-0.9, 0.0), (-0.9, 0.0001))
    partition = Partition(
        transform=Transform.NONE, mean=(40.0, 5_000.0), scale=(15.0, 10_000.0), centroids=centroids
    )
    columns = dict.fromkeys(("Income", "Purchases"), np.ones(6))
    columns |= {"Age": np.full(6, 26.0), "Spending_Power": np.full(6, 5_000.0)}
    labels = np.array([0, 0, 1, 1, 2, 2], dtype=np.int32)
    described = describe_segments(columns, partition=partition, labels=labels, ids=(0, 1, 2), names={})
    named = describe_segments(
        columns,
        partition=partition,
        labels=labels,
        ids=(0, 1, 2),
        names={2: "Younger with typical spending power", 7: "Gone"},
    )

    assert [segment.name for segment in named] == [
        "Younger with typical spending power (about 26)",
        "Younger with typical spending power (about 26) 2",
        "Younger with typical spending power",
    ]
    assert [segment.name for segment in described] == [
        "Younger with typical spending power",
        "Younger with typical spending power (about 26)",
        "Younger with typical spending power (about 26) 2",
    ]
