"""Every server is sent the same records, and its labels are found in its own words."""

import io
import json

import numpy as np
import pytest

from bench.peers.dialects import Dialect, encode_csv, encode_json, encode_npy, read_labels

RECORDS = [[25.0, 1250.5], [45.0, 3000.25], [61.0, 0.1]]


@pytest.mark.parametrize("dialect", Dialect)
def test_each_dialect_holds_every_number_in_order(dialect: Dialect) -> None:
    def numbers(value: object) -> list[float]:
        if isinstance(value, dict):
            return [number for key, one in value.items() if key != "shape" for number in numbers(one)]
        if isinstance(value, list):
            return [number for one in value for number in numbers(one)]
        return [value] if isinstance(value, float) else []

    assert numbers(json.loads(encode_json(RECORDS, dialect))) == [25.0, 1250.5, 45.0, 3000.25, 61.0, 0.1]


def test_mlflow_gets_what_costs_it_less() -> None:
    few = json.loads(encode_json(RECORDS, Dialect.MLFLOW))
    many = json.loads(encode_json([[1.0, 2.5]] * 10_000, Dialect.MLFLOW))

    assert few == {"inputs": RECORDS}
    assert many["dataframe_split"] == {"columns": ["Age", "Spending_Power"], "data": [[1.0, 2.5]] * 10_000}


def test_the_tensor_has_the_shape_of_the_records() -> None:
    (tensor,) = json.loads(encode_json(RECORDS, Dialect.V2))["inputs"]

    assert tensor["shape"] == [3, 2]
    assert len(tensor["data"]) == 6


@pytest.mark.parametrize("n", [1, 3, 1000])
def test_npy_is_what_numpy_reads(n: int) -> None:
    records = [[float(i), i / 3] for i in range(n)]
    body = encode_npy(records)

    assert np.load(io.BytesIO(body), allow_pickle=False).tolist() == records
    assert (len(body) - 16 * n) % 64 == 0


def test_csv_has_a_header_only_where_asked() -> None:
    assert encode_csv(RECORDS[:1], has_header=False) == b"25.0,1250.5\n"
    assert encode_csv(RECORDS[:1], has_header=True) == b"Age,Spending_Power\n25.0,1250.5\n"


@pytest.mark.parametrize(
    "answer",
    [
        b"[0, 2, 1]",
        b'{"predictions": [0, 2, 1]}',
        b'{"output": [0, 2, 1]}',
        b'{"model_name": "segments", "outputs": [{"name": "predict", "shape": [3, 1], "data": [0, 2, 1]}]}',
        b"0\n2\n1\n",
    ],
)
def test_labels_are_read_in_every_servers_words(answer: bytes) -> None:
    assert read_labels(answer) == [0, 2, 1]


def test_an_answer_without_labels_is_refused() -> None:
    with pytest.raises(ValueError, match="without labels"):
        read_labels(b'{"detail": "no"}')
