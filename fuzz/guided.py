"""Run one target under atheris, in a process of its own: `python -m fuzz.guided TARGET COUNTS [OPTION...]`.

The options are libFuzzer's. Counts are kept in a file that the parent reads: this process ends without one
more word.
"""

import hashlib
import logging
import mmap
import struct
import sys
from pathlib import Path
from typing import Final

import atheris

COUNTS: Final = struct.Struct("=QQ")
"""Inputs that were accepted, and that were refused."""

_PREFIX: Final = "-artifact_prefix="


def main() -> None:
    """Fuzz until libFuzzer's options say that it is enough."""
    name, counts_path, *options = sys.argv[1:]
    logging.disable(logging.CRITICAL)  # what is refused would be logged, a million times
    with atheris.instrument_imports(include=["service"]):
        from fuzz.targets import TARGETS  # noqa: PLC0415  # instrumented as it is imported
    target = TARGETS[name]
    with Path(counts_path).open("r+b") as file:
        page = mmap.mmap(file.fileno(), COUNTS.size)

    kept = next(option for option in options if option.startswith(_PREFIX)).removeprefix(_PREFIX)

    def run(data: bytes) -> None:
        good, bad = COUNTS.unpack_from(page)
        try:
            is_good = target.run(data)
        except BaseException:
            # As libFuzzer does, which its own alarm may end before: what breaks something must not be lost.
            Path(f"{kept}crash-{hashlib.sha1(data, usedforsecurity=False).hexdigest()}").write_bytes(data)
            raise
        COUNTS.pack_into(page, 0, good + is_good, bad + (not is_good))

    atheris.Setup([sys.argv[0], f"-max_len={target.max_bytes}", *options], run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
