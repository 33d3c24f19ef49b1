"""Hyperparameters arrive as strings in several encodings, and mean the same in all of them."""

import json
from pathlib import Path

import pytest

from service.errors import ConfigurationError
from service.training.hyperparameters import Hyperparameters, JobHyperparameters, read_hyperparameters
from service.transform import Transform


def read(folder: Path, values: object) -> JobHyperparameters:
    path = folder / "hyperparameters.json"
    path.write_text(json.dumps(values))
    return read_hyperparameters(path)


@pytest.mark.parametrize(
    "values",
    [
        {"k": "3", "transform": "log1p", "seed": "7"},
        {"k": '"3"', "transform": '"log1p"', "seed": '"7"'},
        {"n_clusters": "3", "transform": "log1p", "seed": "7"},
        {"k": 3, "transform": "log1p", "seed": 7},
        {
            "k": "3",
            "transform": "log1p",
            "seed": "7",
            "sagemaker_region": '"x"',
            "_tuning_objective_metric": "s",
        },
    ],
    ids=range(5),
)
def test_every_encoding_means_the_same(tmp_path: Path, values: object) -> None:
    assert read(tmp_path, values).fit == Hyperparameters(k=3, transform=Transform.LOG1P, seed=7)


@pytest.mark.parametrize("content", [None, "", "{}"])
def test_no_hyperparameters_are_the_defaults(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "hyperparameters.json"
    if content is not None:
        path.write_text(content)

    assert read_hyperparameters(path) == JobHyperparameters()


@pytest.mark.parametrize(
    "value",
    [
        '{"Age": "2014-Year_Birth"}',
        {"Age": "2014-Year_Birth"},
        "Age=2014-Year_Birth",
        '["Age=2014-Year_Birth"]',
    ],
    ids=range(4),
)
def test_columns_are_mapped_in_every_form(tmp_path: Path, value: object) -> None:
    assert read(tmp_path, {"map": value}).mapping == {"Age": "2014-Year_Birth"}


def test_how_files_are_read_can_be_said(tmp_path: Path) -> None:
    job = read(tmp_path, {"id_column": "ID", "decimal": ",", "channel": "training", "k": "auto"})

    assert (job.id_column, job.decimal, job.channel, job.fit.k) == ("ID", ",", "training", None)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"k": "zero"}, "auto or 1 to 1000"),
        ({"k": "0"}, "auto or 1 to 1000"),
        ({"k": "3.5"}, "auto or 1 to 1000"),
        ({"transform": "sqrt"}, "none, log1p"),
        ({"seed": "-1"}, "0 to 4294967295"),
        ({"kk": "3"}, "'kk' is not accepted; there are"),
        ({"map": "Age"}, "Target=expression"),
        ([1], "one JSON object"),
    ],
    ids=range(8),
)
def test_what_is_not_accepted_is_named(tmp_path: Path, values: object, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read(tmp_path, values)


def test_a_file_that_is_not_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "hyperparameters.json").write_text("{")

    with pytest.raises(ConfigurationError, match="cannot be read as JSON"):
        read_hyperparameters(tmp_path / "hyperparameters.json")
