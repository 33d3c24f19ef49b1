"""Training on millions of records is held to ratios of one round, and to the worst peak and inertia."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.large import GROUP_CSV, GROUP_PARQUET, SKLEARN, TRAIN_CSV, TRAIN_PARQUET, LargeResults, Run
from bench.targets import large_targets

ROOT = Path(__file__).resolve().parents[2]
WALL_S = {GROUP_CSV: 2.0, GROUP_PARQUET: 1.0, TRAIN_CSV: 3.0, TRAIN_PARQUET: 2.0, SKLEARN: 8.0}


def results(*, slow_round: float = 1.0, peak_mb: float = 500.0, ratio: float = 0.999) -> LargeResults:
    runs = [
        Run(number, what, wall_s * factor, wall_s, peak_mb if number == 2 else 400.0)
        for number, factor in ((1, 1.0), (2, slow_round), (3, 1.0))
        for what, wall_s in WALL_S.items()
    ]
    return LargeResults(10_000_000, runs, [0.999, ratio, 0.999])


def test_ratios_are_of_one_round() -> None:
    csv, sklearn, *_ = large_targets(results(slow_round=9.0))

    assert (csv.measured, csv.is_met) == (1.5, True)
    assert (sklearn.measured, sklearn.is_met) == (4.0, True)


def test_one_bad_round_misses_memory_and_inertia() -> None:
    missed = [
        target.name for target in large_targets(results(peak_mb=601.0, ratio=1.0001)) if not target.is_met
    ]

    assert [name.rpartition(", ")[2] for name in missed] == [
        "peak MB",
        "peak MB",
        "inertia: x scikit-learn's",
    ]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_the_yardstick_sums_up_all_who_have_the_three_figures(tmp_path: Path, ending: str) -> None:
    csv, parquet = tmp_path / "customers.csv", tmp_path / "customers.parquet"

    def run(*arguments: object) -> str:
        command = [sys.executable, "-m", "bench.yardsticks", *map(str, arguments)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    run("make", csv, parquet, 3000)
    usable = sum(all(line.split(",")[1:4]) for line in csv.read_text().splitlines()[1:])
    found = json.loads(run("group", tmp_path / f"customers.{ending}"))

    assert found["records"] == usable
    assert 2800 < usable < 3000
    assert 100 < found["cells"] < usable
