"""Customer files become one data set, and every record is accounted for."""

import csv
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from service.errors import ConfigurationError, DatasetError
from service.training.dataset import Dataset, read_dataset

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
MAPPING = {"Age": "2014-Year_Birth", "Purchases": "NumWebPurchases+NumCatalogPurchases+NumStorePurchases"}
HEADER = "Age,Income,Purchases"


def shared(name: str) -> Path:
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{name} is not redistributable and not here ({SHARED})")
    return path


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def read(paths: Path | Sequence[Path], tmp_path: Path, **options: Any) -> Dataset:
    paths = [paths] if isinstance(paths, Path) else paths
    return read_dataset(paths, **{"mapping": {}, "rejects_path": tmp_path / "rejects.csv", **options})


def read_rejects(tmp_path: Path) -> list[dict[str, str]]:
    with (tmp_path / "rejects.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def sorted_records(dataset: Dataset) -> list[tuple[float, ...]]:
    return sorted(
        zip(dataset.ages.tolist(), dataset.incomes.tolist(), dataset.purchases.tolist(), strict=True)
    )


def test_three_dialects_of_the_same_records_give_the_same_numbers(tmp_path: Path) -> None:
    names = (
        "marketing_campaign.tab.csv",
        "marketing_campaign.bom_semicolon_crlf.csv",
        "marketing_data.bom_currency_spaced_header.csv",
    )
    datasets = [read(shared(name), tmp_path, mapping=MAPPING, id_column="id") for name in names]

    first, *others = [sorted_records(dataset) for dataset in datasets]
    assert len(first) == 2240
    assert all(other == first for other in others)
    for dataset in datasets:
        report = dataset.report
        assert (report.used, report.rejected, report.income_imputed, report.no_purchases) == (2240, 0, 24, 6)
        assert (report.income_median, report.duplicate_ids) == (51381.5, 0)
        assert dataset.is_income_imputed.sum() == 24


def test_every_second_row_blank_is_skipped_and_counted(tmp_path: Path) -> None:
    report = read(shared("marketing_data.bom_currency_blank_rows_crlf.csv"), tmp_path, mapping=MAPPING).report

    assert (report.blank, report.read, report.used, report.rejected) == (2216, 2216, 2216, 0)


def test_values_with_two_points_are_refused_and_the_others_used(tmp_path: Path) -> None:
    path = shared("kaggle_synthetic_semicolon_bad_decimals.csv")

    report = read(path, tmp_path, mapping={"Purchases": "last_purchase_amount"}).report

    assert report.rejected_by_reason["Purchases is not a number"] == 620
    assert report.used + report.rejected == 1000
    assert len(read_rejects(tmp_path)) == report.rejected
    assert report.columns == {"Age": "age", "Income": "income", "Purchases": "last_purchase_amount"}


def test_file_without_purchases_gets_a_suggestion(tmp_path: Path) -> None:
    path = shared("kaggle_synthetic_semicolon_bad_decimals.csv")

    with pytest.raises(DatasetError, match=r"has no column Purchases.*--map 'Purchases=purchase_frequency'"):
        read(path, tmp_path)


def test_files_of_both_kinds_become_one_data_set(tmp_path: Path) -> None:
    first = write(tmp_path / "a.csv", "id,age;x,Income,Purchases", "1,20,,1", "2,30,$100,0", "2,0,7,1")
    second = tmp_path / "b.parquet"
    pa.parquet.write_table(
        pa.table(
            {"ID": [1, 3], "Age;X": [40, 50], "Income": [300.0, None], "Purchases": ["4", "?"], "z": [1, 2]}
        ),
        second,
    )
    progress: list[tuple[int, int]] = []

    dataset = read(
        [first, second],
        tmp_path,
        mapping={"Age": "age;x"},
        id_column=" Id",
        on_progress=lambda done, total: progress.append((done, total)),
    )

    assert dataset.ages.tolist() == [20.0, 30.0, 40.0]
    assert dataset.incomes.tolist() == [200.0, 100.0, 300.0]
    assert dataset.purchases.tolist() == [1.0, 0.0, 4.0]
    assert dataset.is_income_imputed.tolist() == [True, False, False]
    total = first.stat().st_size + second.stat().st_size
    assert progress[-1] == (total, total)
    assert sorted(progress) == progress
    report = dataset.report
    assert [(file.name, file.format, file.records) for file in report.files] == [
        (str(first), "csv", 3),
        (str(second), "parquet", 2),
    ]
    assert (report.read, report.used, report.rejected, report.no_purchases) == (5, 3, 2, 1)
    assert (report.duplicate_ids, report.income_imputed, report.income_median) == (1, 1, 200.0)
    assert report.columns == {"Age": "age;x"}
    assert report.ignored_columns == ("z",)
    assert json.loads(json.dumps(report.as_dict()))["files"][0]["delimiter"] == ","


def test_rejects_are_kept_with_file_line_column_and_reason(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.csv",
        "Age ,Income,Purchases,Note",
        '20,1,1,"two',
        'lines"',
        "x,1,1,secret",
        "1,2,3,4,5",
        "",
        "30,1,1,",
        ",1,1,",
        "1,2",
    )

    report = read(path, tmp_path).report

    file = {"file": str(path), "unparsed": ""}
    ragged = {**file, "column": "", "Age ": "", "Income": "", "Purchases": "", "Note": ""}
    assert read_rejects(tmp_path) == [
        {**file, "line": "4", "column": "Age ", "reason": "Age is not a number"}
        | {"Age ": "x", "Income": "1", "Purchases": "1", "Note": "secret"},
        {**ragged, "line": "5", "reason": "expected 4 fields, found 5", "unparsed": "1,2,3,4,5"},
        {**file, "line": "8", "column": "Age ", "reason": "Age is missing"}
        | {"Age ": "", "Income": "1", "Purchases": "1", "Note": ""},
        {**ragged, "line": "9", "reason": "expected 4 fields, found 2", "unparsed": "1,2"},
    ]
    assert (report.read, report.blank, report.used, report.rejected) == (6, 1, 2, 4)
    assert list(report.rejected_by_reason.values()) == [1, 1, 1, 1]


def test_rejects_are_not_written_when_all_is_well(tmp_path: Path) -> None:
    read(write(tmp_path / "a.csv", HEADER, "1,2,3"), tmp_path)

    assert not (tmp_path / "rejects.csv").exists()


def test_rejects_over_many_batches_have_their_lines(tmp_path: Path) -> None:
    rows = [f'{"x" if n % 1000 == 0 else 1},2,3,"\n"' if n % 777 else "ragged" for n in range(200_000)]
    path = write(tmp_path / "a.csv", HEADER + ",Note", *rows)

    read(path, tmp_path)

    lines = path.read_text(encoding="utf-8").split("\n")
    rejects = read_rejects(tmp_path)
    assert len(rejects) == 457
    assert all(lines[int(reject["line"]) - 1].startswith(("x,2,3", "ragged")) for reject in rejects)


def test_file_of_nothing_usable_is_an_error_that_says_why(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", HEADER, "1,2,?", "0,2,3", "1,2,?", "1,2")

    with pytest.raises(DatasetError) as caught:
        read(path, tmp_path)

    assert str(caught.value) == (
        "None of the 4 records can be used: Purchases is not a number (column 'Purchases', 2 records); "
        "Age must be greater than 0 (column 'Age', 1 records); expected 3 fields, found 2 (1 records). "
        f"All of them are in {tmp_path / 'rejects.csv'}. Mend them, or name better columns with --map"
    )
    assert len(read_rejects(tmp_path)) == 4


def test_file_of_ragged_rows_only_is_an_error_that_says_why(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"expected 3 fields, found 2 \(2 records\)"):
        read(write(tmp_path / "a.csv", HEADER, "1,2", "3,4"), tmp_path)


@pytest.mark.parametrize(
    ("lines", "options", "message"),
    [
        ((HEADER, "1,,3", "2,NA,3"), {}, "None of the 2 usable records has an Income"),
        (
            (HEADER, "1,2,3"),
            {"id_column": "No"},
            "has no id column 'No'. Its columns are 'Age', 'Income', 'Purch",
        ),
    ],
)
def test_data_set_refuses(
    tmp_path: Path, lines: tuple[str, ...], options: dict[str, str], message: str
) -> None:
    with pytest.raises(DatasetError, match=re.escape(message)):
        read(write(tmp_path / "a.csv", *lines), tmp_path, **options)


def test_data_set_needs_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No customer files were given"):
        read([], tmp_path)


def test_ids_that_are_missing_repeat_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "id," + HEADER, ",1,2,3", ",1,2,3", "7,1,2,3", " 7,1,2,3", "7,0,2,3")

    assert read(path, tmp_path, id_column="ID").report.duplicate_ids == 1


def test_income_written_with_currency_has_the_same_bits(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", HEADER, "1,58138.10,3", '1,"$58,138.10 ",3', "1,58 138.1 EUR,3")

    assert np.unique(read(path, tmp_path).incomes).tolist() == [58138.10]
