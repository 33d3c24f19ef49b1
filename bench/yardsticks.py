"""Do by polars and scikit-learn alone what training is measured against: `python -m bench.yardsticks`."""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import polars as pl

CHUNK: Final = 1_000_000
FIGURES: Final = ("Age", "Income", "Purchases")


def make_customers(csv_path: Path, parquet_path: Path, n: int) -> None:
    """Write n customers of four kinds, about 3 % with an empty cell, as CSV and as Parquet."""
    import numpy as np  # noqa: PLC0415  # the bare GROUP BY needs none of it

    parts = []
    for start in range(0, n, CHUNK):
        size = min(CHUNK, n - start)
        random = np.random.default_rng(start)
        kind = random.choice(4, size, p=[0.35, 0.3, 0.2, 0.15])
        columns = {
            "Age": np.array([26, 41, 58, 36])[kind] + random.normal(0, 6, size),
            "Income": np.exp(np.array([10.4, 11.0, 10.8, 11.7])[kind] + random.normal(0, 0.25, size)),
            "Purchases": random.poisson(np.array([40, 25, 12, 18])[kind]).astype(np.float64),
        }
        columns["Age"] = columns["Age"].round().clip(18, 95)
        columns["Income"] = columns["Income"].round(2)
        for column in columns.values():
            column[random.random(size) < 0.01] = np.nan
        frame = pl.DataFrame(columns).fill_nan(None)
        parts.append(
            frame.select(
                pl.Series("Customer_ID", np.arange(start, start + size)),
                pl.col("Age", "Purchases").cast(pl.Int64),
                "Income",
                pl.Series("Gender", random.choice(["Female", "Male"], size)),
            )
        )
    whole = pl.concat(parts)
    whole.write_parquet(parquet_path, row_group_size=CHUNK)
    whole.write_csv(csv_path)


def group(path: Path) -> dict[str, Any]:
    """Sum the customers up in about 50,000 cells: the least that a training in one pass has to do."""
    grid = 64
    frame = scan(path).filter(
        pl.all_horizontal(pl.col(*FIGURES).is_finite()), pl.col("Age") > 0, pl.col("Purchases") >= 0
    )
    power = pl.col("Income") / pl.max_horizontal("Purchases", 1.0)
    cells = (
        frame.select(
            ka=(pl.col("Age") + 0.5).floor().cast(pl.Int64),
            kr=(power.sqrt().sqrt() * grid).floor().cast(pl.Int64),
            a=(pl.col("Age") * 1e4 + 0.5).floor().cast(pl.Int64),
            r=(power * 1e4 + 0.5).floor().cast(pl.Int64),
        )
        .group_by("ka", "kr")
        .agg(
            n=pl.len(),
            a=pl.col("a").sum(),
            r=pl.col("r").sum(),
            aa=(pl.col("a") * pl.col("a")).sum(),
            rr=(pl.col("r") * pl.col("r")).sum(),
        )
        .collect(engine="streaming")
    )
    return {"cells": len(cells), "records": int(cells["n"].sum())}


def fit(path: Path, model_path: Path, starts: int) -> dict[str, Any]:
    """Fit all records by scikit-learn from so many starts, and compare the inertia with that of a model."""
    started = time.perf_counter()
    import numpy as np  # noqa: PLC0415  # the bare GROUP BY needs none of it
    from sklearn.cluster import KMeans  # noqa: PLC0415  # the bare GROUP BY needs none of it
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415  # the bare GROUP BY needs none of it

    model = json.loads(model_path.read_bytes())
    frame = scan(path).with_columns(pl.col("Income").fill_null(model["income_median"]))
    frame = frame.filter(pl.col("Age") > 0, pl.col("Purchases") >= 0)
    power = pl.col("Income") / pl.max_horizontal("Purchases", 1.0)
    vectors = frame.select("Age", power=power).collect(engine="streaming").to_numpy()
    scaler = StandardScaler().fit(vectors)
    scaled = scaler.transform(vectors)
    kmeans = KMeans(len(model["centroids"]), n_init=starts, random_state=42).fit(scaled)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    found = {
        "wall_s": time.perf_counter() - started,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss / 1024,
        "records": len(vectors),
    }
    centroids = np.array(model["centroids"]) * model["scale"] + model["mean"]
    nearest = np.full(len(scaled), np.inf)
    for x, y in (centroids - scaler.mean_) / scaler.scale_:
        np.minimum(nearest, (scaled[:, 0] - x) ** 2 + (scaled[:, 1] - y) ** 2, out=nearest)
    return {**found, "inertia_ratio": float(nearest.sum()) / kmeans.inertia_}


def score(source: Path, target: Path, model_path: Path) -> dict[str, Any]:
    """Add the columns of `segserve score` by expressions alone, with polars' own division and rounding."""
    model = json.loads(model_path.read_bytes())
    segments, mean, scale = model["segments"], model["mean"], model["scale"]
    age, income, purchases = (pl.col(name).cast(pl.Float64) for name in FIGURES)
    power = income.fill_null(model["income_median"]) / pl.max_horizontal(purchases, 1.0)
    is_usable = (age > 0) & age.is_finite() & (purchases >= 0) & (income.is_null() | (income >= 0))
    distances = [
        (((age - mean[0]) / scale[0] - x) ** 2 + ((power - mean[1]) / scale[1] - y) ** 2).sqrt()
        for x, y in model["centroids"]
    ]
    names = [f"distance {place}" for place in range(len(segments))]
    nearest, second, place = pl.col("nearest"), pl.col("second"), pl.col("place")

    def of_segment(values: list[Any]) -> Any:
        chain: Any = pl.when(place == 0).then(pl.lit(values[0]))
        for number, value in enumerate(values[1:-1], start=1):
            chain = chain.when(place == number).then(pl.lit(value))
        return pl.when("usable").then(chain.otherwise(pl.lit(values[-1])))

    frame = pl.scan_parquet(source)
    own = frame.collect_schema().names()
    chosen: Any = pl.when(pl.col(names[0]) == nearest).then(0)
    for number, name in enumerate(names[1:-1], start=1):
        chosen = chosen.when(pl.col(name) == nearest).then(number)
    frame = (
        frame.with_columns(
            usable=is_usable.fill_null(value=False),
            note=pl.when(age.is_null() | purchases.is_null())
            .then(pl.lit("Age is missing"))
            .when(income.is_null())
            .then(pl.lit("Income taken as the median of the training data"))
            .otherwise(pl.lit("")),
            **dict(zip(names, distances, strict=True)),
        )
        .with_columns(nearest=pl.min_horizontal(names))
        .with_columns(place=chosen.otherwise(len(names) - 1))
        .with_columns(
            second=pl.min_horizontal(
                pl.when(place != number).then(pl.col(name)) for number, name in enumerate(names)
            )
        )
    )
    frame.select(
        *own,
        segment=of_segment([one["id"] for one in segments]).cast(pl.Int32),
        segment_name=of_segment([one["name"] for one in segments]),
        confidence=pl.when("usable").then((second / (nearest + second)).round(4)),
        outlier=nearest > of_segment([one["outlier_distance"] for one in segments]),
        border=pl.when("usable").then(second < model["border_ratio"] * nearest),
        previous_segment=pl.lit(None, dtype=pl.Int32),
        changed=pl.lit(None, dtype=pl.Boolean),
        model_version=pl.when("usable").then(pl.lit("20261123T044500Z-3f2a9c1b")),
        note="note",
    ).sink_parquet(target, compression="snappy")
    return {"target": str(target)}


def compare(ours: Path, theirs: Path) -> dict[str, Any]:
    """Count the records whose segments differ in two scored files."""
    columns = [pl.scan_parquet(path).select("segment").collect()["segment"] for path in (ours, theirs)]
    return {"differ": int(columns[0].ne_missing(columns[1]).sum()), "records": len(columns[0])}


def scan(path: Path) -> Any:
    """Open a file, its figures as numbers."""
    if path.suffix == ".parquet":
        frame = pl.scan_parquet(path)
    else:
        frame = pl.scan_csv(path, schema_overrides=dict.fromkeys(FIGURES, pl.String))
    return frame.with_columns(pl.col(*FIGURES).cast(pl.Float64, strict=False))


def main(what: str, *arguments: str) -> None:
    """Do one of them, and print what it found as JSON."""
    given = [int(argument) if argument.isdecimal() else Path(argument) for argument in arguments]
    done: dict[str, Callable[..., object]] = {
        "make": make_customers,
        "group": group,
        "fit": fit,
        "score": score,
        "compare": compare,
    }
    print(json.dumps(done[what](*given)))


if __name__ == "__main__":
    main(*sys.argv[1:])
