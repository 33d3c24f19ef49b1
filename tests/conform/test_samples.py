"""Longer requests are made of given ones without knowing what they mean."""

import json
from pathlib import Path

import pytest

from service.conformance.samples import CSV, DEFAULT_SAMPLES, JSON, JSON_LINES, Sample, read_sample
from service.errors import ConfigurationError


@pytest.mark.parametrize("count", [1, 2, 1000])
def test_the_default_requests_grow_to_any_number_of_records(count: int) -> None:
    for sample in DEFAULT_SAMPLES:
        body = sample.with_records(count)

        assert body is not None
        records = json.loads(body) if sample.media_type == JSON else body.splitlines()
        assert len(records) == count


@pytest.mark.parametrize(
    ("document", "grown"),
    [
        ({"instances": [[1], [2]]}, {"instances": [[1], [2], [1]]}),
        ({"input_data": [{"a": 1}]}, {"input_data": [{"a": 1}] * 3}),
        (
            {"dataframe_split": {"columns": ["a"], "data": [[1], [2]]}},
            {"dataframe_split": {"columns": ["a"], "data": [[1], [2], [1]]}},
        ),
        ({"instances": [[1]], "parameters": {"top": 1}}, {"instances": [[1]] * 3, "parameters": {"top": 1}}),
    ],
)
def test_the_list_of_a_json_object_grows(document: object, grown: object) -> None:
    body = Sample(json.dumps(document).encode(), JSON).with_records(3)

    assert body is not None
    assert json.loads(body) == grown


@pytest.mark.parametrize(
    "sample",
    [
        Sample(b"[1, 2, 3]", JSON),
        Sample(b'{"text": "a"}', JSON),
        Sample(b'{"a": [[1]], "b": [[2]]}', JSON),
        Sample(
            b'{"inputs": [{"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [1, 2, 3, 4]}]}', JSON
        ),
        Sample(b"not json", JSON),
        Sample(b"[[1, 2]]", "application/octet-stream"),
        Sample(b"", CSV),
    ],
)
def test_where_no_record_can_be_told_nothing_is_made_up(sample: Sample) -> None:
    assert sample.with_records(3) is None


def test_the_header_of_a_csv_stays_one_line() -> None:
    sample = Sample(b"Age,Name\n25,Ann\n31,Bob\n", CSV)

    assert sample.with_records(3) == b"Age,Name\n25,Ann\n31,Bob\n25,Ann\n"


def test_lines_of_words_have_no_header() -> None:
    assert Sample(b"good\nbad\n", CSV).with_records(3) == b"good\nbad\ngood\n"


def test_large_json_is_the_same_document_and_large_lines_are_more_records() -> None:
    large = Sample(b"[[1, 2]]", JSON).of_size(1000)
    lines = Sample(b"[1, 2]\n", JSON_LINES).of_size(1000)

    assert large is not None
    assert (len(large), json.loads(large)) == (1000, [[1, 2]])
    assert lines is not None
    assert 900 <= len(lines) <= 1000
    assert Sample(b"\x93NUMPY", "application/x-npy").of_size(1000) is None


def test_a_request_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "with:colon.json"
    path.write_bytes(b"[[1]]")

    assert read_sample(f"{path}:application/json") == Sample(b"[[1]]", "application/json")


@pytest.mark.parametrize(
    "given", ["input.json", ":application/json", "input.json:json", "input.json:text/\xe9"]
)
def test_a_request_without_file_or_type_is_refused(given: str) -> None:
    with pytest.raises(ConfigurationError, match="FILE:CONTENT_TYPE"):
        read_sample(given)


def test_a_request_whose_file_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        read_sample(f"{tmp_path / 'none'}:text/csv")
