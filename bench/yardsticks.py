"""Do by polars and scikit-learn alone what training is measured against: `python -m bench.yardsticks`."""

import json
import resource
import sys
import time
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


def fit(path: Path, model_path: Path) -> dict[str, Any]:
    """Fit all records by scikit-learn's defaults, and compare the inertia with that of a model."""
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
    kmeans = KMeans(len(model["centroids"]), random_state=42).fit(scaled)
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


def scan(path: Path) -> Any:
    """Open a file, its figures as numbers."""
    if path.suffix == ".parquet":
        frame = pl.scan_parquet(path)
    else:
        frame = pl.scan_csv(path, schema_overrides=dict.fromkeys(FIGURES, pl.String))
    return frame.with_columns(pl.col(*FIGURES).cast(pl.Float64, strict=False))


def main(what: str, *arguments: str) -> None:
    """Do one of them, and print what it found as JSON."""
    paths = [Path(argument) for argument in arguments]
    if what == "make":
        make_customers(paths[0], paths[1], int(arguments[2]))
    else:
        print(json.dumps(group(paths[0]) if what == "group" else fit(paths[0], paths[1])))


if __name__ == "__main__":
    main(*sys.argv[1:])
