"""The sample is the same everywhere, and in the shape of the user's file."""

import csv
import hashlib
from pathlib import Path

from service.training.sample import sample_customers, write_sample


def test_the_sample_has_the_columns_and_ranges_of_a_real_file(sample_path: Path) -> None:
    with sample_path.open(newline="") as file:
        rows = list(csv.DictReader(file))

    assert list(rows[0]) == ["Customer_ID", "Age", "Income", "Purchases", "Gender"]
    assert len(rows) == 1000
    assert [row["Customer_ID"] for row in rows] == [str(n) for n in range(1, 1001)]
    assert (min(int(row["Age"]) for row in rows), max(int(row["Age"]) for row in rows)) == (18, 69)
    assert all(30_000 <= int(row["Income"]) < 150_000 for row in rows)
    assert 5 <= sum(row["Purchases"] == "0" for row in rows) <= 40
    assert {row["Gender"] for row in rows} == {"Female", "Male"}


def test_the_sample_is_byte_for_byte_the_same_on_any_machine(sample_path: Path) -> None:
    digest = hashlib.sha256(sample_path.read_bytes()).hexdigest()

    assert digest == "8fed2ce7d46b5c3ca5b7f1914f787c2c819de4cdeb8545243d4aad0b186a40f8"


def test_a_seed_decides_the_sample(tmp_path: Path) -> None:
    write_sample(tmp_path / "sample.csv", n=10, seed=7)

    assert list(sample_customers(10, seed=7)) == list(sample_customers(20, seed=7))[:10]
    assert list(sample_customers(10, seed=7)) != list(sample_customers(10, seed=8))
    assert len((tmp_path / "sample.csv").read_text().splitlines()) == 11
