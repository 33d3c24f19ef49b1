"""Make up customers, in the shape of a real file, for trials and the demo."""

import csv
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from service.durable import whole
from service.errors import DatasetError
from service.features import AGE, GENDER, INCOME, PURCHASES

CUSTOMER_ID: Final = "Customer_ID"
SAMPLE_COLUMNS: Final = (CUSTOMER_ID, AGE, INCOME, PURCHASES, GENDER)
SAMPLE_RECORDS: Final = 1000
SAMPLE_SEED: Final = 42


def sample_customers(n: int = SAMPLE_RECORDS, *, seed: int = SAMPLE_SEED) -> Iterator[tuple[object, ...]]:
    """Yield n customers in SAMPLE_COLUMNS order, the same for the same seed on any machine.

    Age is uniform on 18 to 69, Income on 30,000 to 149,999 and Purchases on 0 to 49, so that about 2 % have
    no purchase. Only `random()` is drawn from: Python promises its sequence for a seed.
    """
    draw = random.Random(seed).random  # noqa: S311  # a sample, not a secret
    for number in range(1, n + 1):
        age = 18 + int(draw() * 52)
        income = 30_000 + int(draw() * 120_000)
        purchases = int(draw() * 50)
        yield number, age, income, purchases, "Female" if draw() < 0.5 else "Male"


def write_sample(path: Path, *, n: int = SAMPLE_RECORDS, seed: int = SAMPLE_SEED) -> None:
    """Write n customers as CSV.

    Raises:
        DatasetError: The file cannot be written.
    """
    try:
        with whole(path) as partial, partial.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(SAMPLE_COLUMNS)
            writer.writerows(sample_customers(n, seed=seed))
    except OSError as exc:
        raise DatasetError(f"{path} cannot be written: {exc.strerror}") from exc
