"""Take out of a base image what an image that trains, scores and serves neither needs nor should offer."""

import os
import shutil
import stat
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

UNUSED: Final[Mapping[str, str]] = {
    "usr/local/bin/pip*": "installs programs from the network; and scanners count what it brings along",
    "usr/local/lib/python3*/site-packages/pip*": "",
    "usr/local/lib/python3*/ensurepip": "a spare copy of pip",
    "usr/local/bin/wheel": "builds packages, as do the next five",
    "usr/local/lib/python3*/site-packages/wheel*": "",
    "usr/local/lib/python3*/site-packages/setuptools*": "",
    "usr/local/lib/python3*/site-packages/pkg_resources": "",
    "usr/local/lib/python3*/site-packages/_distutils_hack": "",
    "usr/local/lib/python3*/site-packages/distutils-precedence.pth": "",
    "usr/local/bin/python3*-config": "what a compiler asks; there is none, as for the next three",
    "usr/local/bin/python-config": "",
    "usr/local/include": "",
    "usr/local/lib/pkgconfig": "",
    "usr/local/bin/idle*": "windows, as are the next three",
    "usr/local/lib/python3*/idlelib": "",
    "usr/local/lib/python3*/tkinter": "",
    "usr/local/lib/python3*/turtledemo": "",
    "usr/local/bin/2to3*": "rewrites Python 2",
    "usr/local/lib/python3*/lib2to3": "",
}
"""Pattern below the root, and why nothing is lost; an empty reason repeats the one above."""


def main(root: Path) -> None:
    """Delete what UNUSED names below `root`, and what lends its caller other rights (setuid, setgid).

    The folders keep their dates, so that what is left is the same whenever this runs.
    """
    freed_bytes = 0
    for path in [*(path for pattern in UNUSED for path in sorted(root.glob(pattern))), *_lending(root)]:
        kept = path.parent.stat()
        files = [file for file in [path, *path.rglob("*")] if file.is_symlink() or file.is_file()]
        freed_bytes += sum(file.lstat().st_size for file in files)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
        os.utime(path.parent, ns=(kept.st_mtime_ns, kept.st_mtime_ns))
    os.utime(root, (0, 0))
    print(f"trimmed the base by {freed_bytes / 1e6:.1f} MB")


def _lending(root: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(root):
        for path in (Path(folder, name) for name in sorted(names)):
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
                yield path


if __name__ == "__main__":
    main(Path(sys.argv[1]))
