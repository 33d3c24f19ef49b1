"""What builds the image: the scripts that trim a base, settle files, and compare two builds."""

import os
import runpy
import tarfile
from pathlib import Path
from typing import Any

import pytest

DOCKER = Path(__file__).parents[1] / "docker"


def load(name: str) -> dict[str, Any]:
    return runpy.run_path(str(DOCKER / name))


def archive(path: Path, files: dict[str, bytes], *, date: int = 0, mode: int = 0o644) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            source = path.with_suffix(".content")
            source.write_bytes(content)
            member = tar.gettarinfo(source, name)
            member.mtime, member.mode = date, mode
            with source.open("rb") as stream:
                tar.addfile(member, stream)
    return path


@pytest.fixture(name="base")
def _base(tmp_path: Path) -> Path:
    """Return a folder that looks like the root of a base image."""
    root = tmp_path / "base"
    packages = root / "usr/local/lib/python3.12/site-packages"
    for folder in (root / "usr/bin", root / "usr/local/bin", packages / "pip", root / "tmp"):
        folder.mkdir(parents=True)
    (packages / "pip" / "__init__.py").write_text("")
    (root / "usr/local/bin/pip3").write_text("#!/usr/local/bin/python\n")
    (root / "usr/local/bin/pip").symlink_to("pip3")
    for name, mode in (("su", 0o4755), ("chage", 0o2755), ("cat", 0o755)):
        (root / "usr/bin" / name).write_text(name)
        (root / "usr/bin" / name).chmod(mode)
    (root / "usr/bin" / "super").symlink_to("su")
    for folder in (root / "usr/bin", root / "usr/local/bin", packages):
        os.utime(folder, (1_000_000_000, 1_000_000_000))
    return root


def test_trimming_takes_pip_and_what_lends_rights_and_nothing_else(base: Path) -> None:
    load("trim.py")["main"](base)

    left = {str(path.relative_to(base)) for path in base.rglob("*") if not path.is_dir()}
    assert left == {"usr/bin/cat", "usr/bin/super"}


def test_trimming_leaves_the_folders_dates(base: Path) -> None:
    load("trim.py")["main"](base)

    for folder in ("usr/bin", "usr/local/bin", "usr/local/lib/python3.12/site-packages"):
        assert (base / folder).stat().st_mtime == 1_000_000_000


def settled(folder: Path, content: str) -> os.stat_result:
    (folder / "code").mkdir(parents=True)
    (folder / "code" / "page.js").write_text(content)
    (folder / "code" / "page.js").chmod(0o600)
    (folder / "code" / "run").write_text("#!/bin/sh\n")
    (folder / "code" / "run").chmod(0o777)
    load("settle.py")["main"](folder)
    assert (folder / "code" / "run").stat().st_mode & 0o7777 == 0o755
    assert (folder / "code").stat().st_mtime == (folder / "code" / "run").stat().st_mtime
    return (folder / "code" / "page.js").stat()


def test_settled_files_have_dates_by_content_and_plain_modes(tmp_path: Path) -> None:
    """A server tells a file's versions apart by date and size."""
    first, again = settled(tmp_path / "first", "a = 1"), settled(tmp_path / "again", "a = 1")
    other = settled(tmp_path / "other", "a = 2")

    assert first.st_mode & 0o7777 == 0o644
    assert first.st_mtime == again.st_mtime != other.st_mtime
    assert 0 <= first.st_mtime < 300_000_000


def test_equal_layers_differ_in_nothing(tmp_path: Path) -> None:
    layers = [archive(tmp_path / f"{n}.tar", {"a": b"1"}) for n in range(2)]

    assert list(load("again.py")["differences"](layers[:1], layers[1:])) == []


def test_a_difference_names_the_layer_and_the_files(tmp_path: Path) -> None:
    differences = load("again.py")["differences"]
    same = archive(tmp_path / "same.tar", {"x": b"x"})
    first = archive(tmp_path / "first.tar", {"a": b"1", "b": b"1", "gone": b""}, mode=0o600)
    second = archive(tmp_path / "second.tar", {"a": b"2", "b": b"1", "new": b""}, date=7)

    lines = [line.strip() for line in differences([same, first], [same, second])]
    assert lines[0] == "layer 1: 4 files differ"
    assert lines[1].startswith("a: mode 0o600 and 0o644, date 0 and 7, sha256 ")
    assert lines[2] == "b: mode 0o600 and 0o644, date 0 and 7"
    assert lines[3:] == ["gone: only in the first", "new: only in the second"]
    assert list(differences([same], [same, first])) == ["1 layers and 2"]


def test_files_in_another_order_are_the_engines_choice(tmp_path: Path) -> None:
    first = archive(tmp_path / "first.tar", {"a": b"", "b": b""})
    second = archive(tmp_path / "second.tar", {"b": b"", "a": b""})

    assert list(load("again.py")["differences"]([first], [second])) == []
