"""Compile what training, scoring and serving import, the standard library's part included, and nothing else.

All bytecode of all packages would be 17 MB more; without the standard library's, which the official Python
images leave out, every start would be slower. A module that is not listed still works, only uncompiled.
"""

import importlib
import sys
import sysconfig
from pathlib import Path
from py_compile import PycInvalidationMode
from py_compile import compile as compile_module
from typing import Final

IMPORTED: Final = (
    "encodings.ascii",
    "fastapi",
    "fastapi.openapi.docs",
    "fastapi.staticfiles",
    "msgspec.json",
    "narwhals",
    "nacl.signing",
    "numpy.random",
    "numpy.typing",
    "orjson",
    "pyarrow.compute",
    "pyarrow.csv",
    "pyarrow.parquet",
    "rich._emoji_codes",
    "rich.progress",
    "rich.table",
    "scipy.special",
    "segserve_kernel",
    "simdjson",
    "sklearn.cluster",
    "sklearn.compose",
    "sklearn.metrics",
    "sklearn.pipeline",
    "skops.io",
    "typer._adapters",
    "typer._click.decorators",
    "uvicorn.lifespan.on",
    "uvicorn.loops.uvloop",
    "uvicorn.protocols.http.httptools_impl",
    "uvicorn.supervisors",
)
"""What the service imports from others, and what those import later, when they run."""


def main(library: Path, compiled: Path) -> None:
    """Import IMPORTED from `library` and write the bytecode of all that loads.

    Args:
        library: The folder of the installed packages; they are compiled in place.
        compiled: Stands for the root of the image; the standard library's bytecode goes below it.

    Raises:
        ImportError: A package does not load, so that the build stops here and not in production.
    """
    sys.path.insert(0, str(library))
    for name in IMPORTED:
        importlib.import_module(name)
    standard = Path(sysconfig.get_path("stdlib"))
    for module in list(sys.modules.values()):
        source, target = getattr(module, "__file__", None), getattr(module, "__cached__", None)
        if source is None or target is None or not source.endswith(".py"):
            continue
        if not Path(source).is_relative_to(library):
            target = f"{compiled}{target}" if Path(source).is_relative_to(standard) else None
        if target:
            compile_module(
                source, cfile=target, doraise=True, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
