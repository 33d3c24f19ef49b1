"""Provide what tests of faults share: servers, file systems that are full or read-only, and power cuts."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import clean_environment, do_without

Mounter = Callable[..., Path]


def need_root() -> None:
    if sys.platform != "linux" or os.geteuid() != 0:
        do_without("only root can mount file systems, and only Linux's are known here")


@pytest.fixture(name="mount_small")
def _mount_small(tmp_path: Path) -> Iterator[Mounter]:
    """Mount a file system in memory, of so many KiB."""
    need_root()
    mounted: list[Path] = []

    def mount(size_kib: int) -> Path:
        folder = tmp_path / f"disk-{len(mounted)}"
        folder.mkdir()
        options = ["-t", "tmpfs", "-o", f"size={size_kib}k", "tmpfs"]
        if subprocess.run(["mount", *options, str(folder)], check=False).returncode:
            do_without("file systems cannot be mounted here")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def segserve(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "service", *arguments],
        env=clean_environment(**variables),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def check_one_sentence(done: subprocess.CompletedProcess[str], *, naming: str) -> None:
    """Assert that a command failed with one clear sentence as its last line, and without a trace."""
    assert done.returncode in {1, 2, 3}, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("Error: "), done.stderr
    assert naming in last
