"""Read a CSV file of two columns as fast as a library can: `python read_csv.py LIBRARY FILE`.

The second reading counts, so imports and first calls do not.
"""

import io
import json
import sys
import time
from pathlib import Path
from typing import Any


def read(library: str, content: bytes) -> Any:
    """Return the numbers, shape (n, 2)."""
    match library:
        case "polars":
            import polars as pl  # noqa: PLC0415

            types = {"column_1": pl.Float64, "column_2": pl.Float64}
            return pl.read_csv(content, has_header=False, schema=types).to_numpy()
        case "pyarrow":
            import pyarrow as pa  # noqa: PLC0415
            import pyarrow.csv  # noqa: PLC0415

            options = pyarrow.csv.ReadOptions(column_names=["a", "b"])
            types = pyarrow.csv.ConvertOptions(column_types={"a": pa.float64(), "b": pa.float64()})
            table = pyarrow.csv.read_csv(
                pa.BufferReader(content), read_options=options, convert_options=types
            )
            return table.to_pandas().to_numpy()
        case "pandas":
            import pandas as pd  # noqa: PLC0415

            return pd.read_csv(io.BytesIO(content), header=None, dtype=float, engine="c").to_numpy()
        case _:
            sys.exit(f"there is no reader {library!r}")


def main(library: str, path: str) -> None:
    """Print the time of a reading as JSON."""
    content = Path(path).read_bytes()
    first = read(library, content)
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    found = read(library, content)
    wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    if found.shape != first.shape or found.shape[1] != 2:
        sys.exit(f"{library} read {found.shape}")
    print(json.dumps({"wall_s": round(wall_s, 4), "cpu_s": round(cpu_s, 4)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
