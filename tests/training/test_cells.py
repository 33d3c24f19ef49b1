"""Cells sum customers up with the same bits on every engine, and give nearly the fit of the records."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import narwhals as nw
import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from service.features import AGE, INCOME, PURCHASES, spending_powers
from service.training.cells import Cells, Floats, summarise
from service.training.fit import fit_pipeline
from service.training.population import Population
from service.training.sums import ArrowSums, KernelSums
from service.transform import Transform, transform_all

N = 30_000


def customers(seed: int = 0, n: int = N) -> tuple[Floats, Floats, Floats]:
    random = np.random.default_rng(seed)
    ages = np.round(random.normal(45, 12, n).clip(18, 90))
    ages[::7] += 0.37
    incomes: Floats = np.exp(random.normal(10.7, 0.5, n)).round(2).astype(np.float64)
    purchases = random.poisson(np.where(ages > 50, 30, 8)).astype(np.float64)
    incomes[:6] = [0.0, 1e-9, 1e99, 2.0**38, 0.05, 3.0]
    purchases[:3] = [0.0, 1e99, 0.0]
    return ages, incomes, purchases


def cells_of(columns: tuple[Floats, Floats, Floats]) -> Cells:
    return Cells.of_records(*columns, np.ones(len(columns[0]), dtype=np.int64))


def test_engines_and_shards_give_the_same_cells() -> None:
    columns = customers()
    table = pa.table(dict(zip((AGE, INCOME, PURCHASES), columns, strict=True)))
    table = table.append_column("n", pa.array(np.ones(N, dtype=np.int64)))
    frame = pl.DataFrame(table)
    ages, incomes, purchases = columns
    shards = [cells_of((ages[part::3], incomes[part::3], purchases[part::3])) for part in range(3)]
    expected = cells_of(columns)

    lazy = nw.to_native(summarise(nw.from_native(frame.lazy()))).collect(engine="streaming")
    eager = nw.to_native(summarise(nw.from_native(frame, eager_only=True)))

    assert expected.total == N
    assert Cells.of(lazy.to_arrow()).digest == expected.digest
    assert Cells.of(eager.to_arrow()).digest == expected.digest
    assert Cells.join(shards[::-1]).digest == expected.digest


def test_the_kernel_sums_customers_up_to_the_same_integers(extension: Any) -> None:
    random = np.random.default_rng(1)
    ages, incomes, purchases = customers()
    incomes[random.random(N) < 0.1] = np.nan
    edges = np.array([0.125, 2.0**38 - 1, 2.0**38, 2.0**38 + 2.0**-14, 1e100, 5e-324, 90.125])
    columns = (np.append(ages, edges), np.append(incomes, edges[::-1]), np.append(purchases, edges))
    by_kernel, by_arrow = KernelSums(extension), ArrowSums()
    for places in np.array_split(random.permutation(len(columns[0])), [0, 1, 256, 300, 3000, 20_000]):
        part = (columns[0][places], columns[1][places], columns[2][places])

        assert np.array_equal(by_kernel.add(part), by_arrow.add(part))

    (cells, steps), (expected, expected_steps) = by_kernel.finish(), by_arrow.finish()
    assert cells.digest == expected.digest
    assert np.array_equal(steps.counts, expected_steps.counts)
    assert np.array_equal(steps.sums, expected_steps.sums)
    assert steps.median() == expected_steps.median()


def test_customers_are_added_while_threads_read_others(extension: Any) -> None:
    """Only one at a time may add to a kernel's sums, and who adds has some of its own."""
    n, rows = 3_000_000, []
    sums = KernelSums(extension, threads=2)
    text = b"40,30000,3\n" * n
    some = (np.full(10, 40.0), np.full(10, 30_000.0), np.full(10, 3.0))

    with ThreadPoolExecutor(max_workers=2) as threads:
        reading = [
            threads.submit(one.add_lines, text, ord(","), 3, (0, 1, 2), 0, 1_000, False)
            for one in sums.compiled
        ]
        while not all(one.done() for one in reading):
            rows.append(len(sums.add(some)))

    cells, steps = sums.finish()
    assert len(rows) > 1
    assert cells.total == int(steps.counts.sum()) == 2 * n + sum(rows)
    assert len(cells.numbers) == 1


def test_the_kernel_refuses_what_is_no_customers(extension: Any) -> None:
    sums, ages, hashes = extension.Sums(), np.ones(3), np.empty(3, dtype=np.int64)

    with pytest.raises(ValueError, match="of one length"):
        sums.add(ages, ages[:2].copy(), ages, hashes)
    with pytest.raises(ValueError, match="aligned numbers"):
        sums.add(ages, b"1234567", ages, hashes)
    with pytest.raises((BufferError, ValueError)):
        sums.add(ages, ages, ages, hashes.tobytes())
    with pytest.raises((BufferError, ValueError)):
        sums.add(np.ones(6)[::2], ages, ages, hashes)


def test_numpy_gives_the_same_cells_as_the_expressions() -> None:
    ages, incomes, purchases = (np.minimum(column, 2.0**38) for column in customers())
    x = ages * 4 + 0.5
    y = np.sqrt(np.sqrt(np.sqrt(spending_powers(incomes, purchases)))) * 1024
    numbers = np.floor(x).astype(np.int64) * 2**20 + np.floor(y).astype(np.int64)
    u, v = (np.floor((root - np.floor(root)) * 65536 + 0.5).astype(np.int64) for root in (x, y))
    found, places = np.unique(numbers, return_inverse=True)
    cells = cells_of(customers())

    assert np.array_equal(cells.numbers, found)
    assert np.array_equal(cells.counts, np.bincount(places))
    for column, values in enumerate((u, u * u, v, v * v), start=1):
        assert np.array_equal(cells.sums[:, column], np.bincount(places, weights=values).astype(np.int64))


def test_cells_keep_the_means_of_all_columns() -> None:
    ages, incomes, purchases = (np.minimum(column, 1e6) for column in customers())
    cells = cells_of((ages, incomes, purchases))
    columns = cells.columns()

    def mean(name: str) -> float:
        return float(np.average(columns[name], weights=cells.counts))

    assert mean(AGE) == pytest.approx(ages.mean(), abs=2e-6)
    assert mean(INCOME) == pytest.approx(incomes.mean(), rel=1e-6)
    assert mean(PURCHASES) == pytest.approx(purchases.mean(), rel=1e-6)
    assert mean("Spending_Power") == pytest.approx(spending_powers(incomes, purchases).mean(), rel=1e-8)


@pytest.mark.parametrize("transform", list(Transform))
@pytest.mark.parametrize(("income", "bought"), [(123.45, 1.0), (50_000.0, 7.0), (1.0, 3.0), (0.1, 1.0)])
def test_a_power_that_is_the_same_for_all_is_not_divided(
    transform: Transform, income: float, bought: float
) -> None:
    ages = np.random.default_rng(1).integers(18, 90, 20_000).astype(np.float64)
    cells = cells_of((ages, np.full(len(ages), income), np.full(len(ages), bought)))
    population = Population.of_cells(cells, transform)
    fit = fit_pipeline(population.vectors, k=3, transform=transform, seed=42, weighting=population.weighting)

    assert len(np.unique(population.vectors[:, 1])) == 1
    assert fit.partition.scale[1] == 1.0
    assert fit.partition.scale[0] == pytest.approx(ages.std())
    shares = np.bincount(fit.partition.assign(np.column_stack([ages, np.full(len(ages), income / bought)])))
    assert (shares > len(ages) / 5).all()


@pytest.mark.parametrize("transform", list(Transform))
@pytest.mark.parametrize("unit", [1.0, 1e-6, 1e4])
def test_a_fit_of_cells_is_as_good_as_one_of_all_records(transform: Transform, unit: float) -> None:
    ages, incomes, purchases = (column[6:] for column in customers())
    incomes = incomes * unit
    vectors = np.column_stack([ages, spending_powers(incomes, purchases)])
    population = Population.of_cells(cells_of((ages, incomes, purchases)), transform)

    records = fit_pipeline(vectors, k=4, transform=transform, seed=42)
    cells = fit_pipeline(
        population.vectors,
        k=4,
        transform=transform,
        seed=42,
        weighting=population.weighting,
    )

    def inertia(centroids: Floats) -> float:
        scaled = np.column_stack([ages, transform_all(vectors[:, 1], transform)])
        scaled = (scaled - records.partition.mean) / records.partition.scale
        return float(((scaled[:, None] - centroids) ** 2).sum(axis=2).min(axis=1).sum())

    assert cells.partition.scale == pytest.approx(records.partition.scale, rel=1e-5)
    assert cells.partition.mean == pytest.approx(records.partition.mean, rel=1e-5)
    found = inertia(np.array(cells.partition.centroids))
    assert found <= inertia(np.array(records.partition.centroids)) * 1.00001
    assert cells.inertia == pytest.approx(found, rel=1e-4)
