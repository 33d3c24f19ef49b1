"""Build the extension: one wheel for every CPython from 3.11 on, and one for each free-threaded CPython."""

import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup

HAS_NO_LOCK = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
"""Free-threaded CPython has no limited API before 3.15."""

setup(
    ext_modules=[
        Extension(
            "segserve_kernel",
            sources=sorted(map(str, Path("src").glob("*.c"))),
            depends=sorted(map(str, Path("src").glob("*.h"))),
            define_macros=[] if HAS_NO_LOCK else [("Py_LIMITED_API", "0x030B0000")],
            py_limited_api=not HAS_NO_LOCK,
            # Labels are the same to the last bit everywhere: no fused multiply-add, no shortened arithmetic.
            extra_compile_args=["/O2", "/fp:precise"]
            if sys.platform == "win32"
            else [
                "-std=c11",
                "-O3",
                "-Werror=implicit-function-declaration",
                "-ffp-contract=off",
                "-fno-fast-math",
                "-fno-math-errno",
                "-fvisibility=hidden",
            ],
        )
    ],
    packages=[],
    options={} if HAS_NO_LOCK else {"bdist_wheel": {"py_limited_api": "cp311"}},
)
