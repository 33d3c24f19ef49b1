"""Leave out of installed packages what an image that trains, scores and serves never opens."""

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

UNUSED: Final[Mapping[str, str]] = {
    "bin": "console scripts: the entry point is python -m service",
    "*.dist-info/RECORD": "what pip uninstalls by",
    "**/tests": "the packages' own tests, as are the next seven",
    "**/conftest.py": "",
    "narwhals/testing": "",
    "joblib/test": "",
    "numpy/_core/*_tests.*.so": "",
    "numpy/_core/_simd.*.so": "",
    "pyarrow/_pyarrow_cpp_tests*": "",
    "sklearn/utils/estimator_checks.py": "",
    "**/*.pyi": "read by type checkers",
    "**/*.px[di]": "read by Cython when others build on these packages, as are the next six",
    "**/*.pyx": "",
    "**/*.tp": "",
    "**/*.a": "",
    "**/include": "",
    "pyarrow/includes": "",
    "pyarrow/src": "",
    "**/*.[ch]": "sources in C and C++, long compiled; 7 MB are simdjson's",
    "**/*.[ch]pp": "",
    "pyarrow/libarrow_python*.so": "links turned into copies: the others load *.so.2600",
    "pyarrow/libarrow_python*.so.*.*.*": "",
    "pyarrow/libarrow_s3.so*": "files come from SageMaker or a disk, never from a bucket; 17 MB",
    "pyarrow/libarrow_gcs.so*": "",
    "pyarrow/libarrow_azure.so*": "",
    "pyarrow/_s3fs*": "",
    "pyarrow/_gcsfs*": "",
    "pyarrow/_azurefs*": "",
    "pyarrow/*_flight*": "remote procedure calls",
    "pyarrow/*_encryption*": "encrypted Parquet",
    "pyarrow/*_orc*": "other file formats and file systems, as are the next three",
    "pyarrow/_json*": "",
    "pyarrow/_feather*": "",
    "pyarrow/_hdfs*": "",
    "pyarrow/*_dataset*.so": "data sets of many files; ours are read one by one, as are their bindings below",
    "pyarrow/dataset.py": "",
    "pyarrow/_substrait*": "query plans; libarrow_substrait stays, pyarrow.lib is linked to it",
    "scipy/cluster": "hierarchical clustering, imported by the estimators that do it",
    "scipy/fftpack": "nothing here imports these, nor the next two",
    "scipy/odr": "",
    "scipy/_external/cobyqa": "minimizers that nothing here calls, like the next",
    "scipy/_external/pyprima": "",
    "scipy/signal": "",
    "scipy/io/_fast_matrix_market/*.so": "Matrix Market files, loaded when one is read; 4 MB",
    "scipy/stats/_sobol_direction_numbers.npz": "quasi-random numbers, read when they are drawn",
    "scipy/stats/_unuran": "random variates of user-given densities",
    "narwhals/_pandas_like": "data frames of libraries that are not in the image, as are the next five",
    "narwhals/_polars": "",
    "narwhals/_dask": "",
    "narwhals/_spark_like": "",
    "narwhals/_ibis": "",
    "narwhals/_duckdb": "",
    "*.dist-info/sboms": "bills of material of the packages' own builds",
    "sklearn/datasets/data": "toy data sets",
    "sklearn/datasets/descr": "",
    "sklearn/datasets/images": "",
    "fastapi_offline/static/redoc*": "/docs is Swagger UI",
    "pygments*": "colours source code in rich's tracebacks, which the command line never prints",
    "prettytable*": "skops.card: model cards",
    "wcwidth*": "needed by prettytable alone",
    "cffi*": "makes bindings; libsodium's are made, and need its core alone",
    "pycparser*": "",
}
"""Pattern below the library folder, and why nothing is lost; an empty reason repeats the one above."""


def main(root: Path) -> None:
    """Delete what UNUSED names below `root`, and say how much it was."""
    freed_bytes = 0
    for pattern in UNUSED:
        for path in sorted(root.glob(pattern)):
            freed_bytes += sum(file.stat().st_size for file in [path, *path.rglob("*")] if file.is_file())
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    print(f"left out {freed_bytes / 1e6:.0f} MB")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
