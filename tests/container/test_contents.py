"""What the image offers to somebody who got in: docs/image-contents.md lists what is left, and why."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.container.engine import docker

PAGE = Path(__file__).parents[2] / "docs" / "image-contents.md"
LEFT = re.compile(r"^\| `([a-z0-9.`, -]+)` \|", re.MULTILINE)
TOOLS = """
    ar as c++ c89 c99 cc clang cpp g++ gcc gfortran go ld make nasm node objdump rustc strip tcc
    apt apt-get aptitude conda curl dpkg easy_install ftp git npm pip pip3 scp snap ssh telnet uv wget wheel
    gdb ltrace nc ncat nmap perl python3 socat strace tcpdump
    bash busybox dash sh zsh
    mount newgrp passwd su sudo umount unshare
"""
LIST_FILES = """
import json, os, shutil, stat, sys
found = {"lending": [], "writable": [], "owned": [], "tools": [t for t in sys.argv[1:] if shutil.which(t)]}
for folder, folders, names in os.walk("/"):
    if folder == "/":
        folders[:] = [name for name in folders if name not in {"proc", "sys", "dev"}]
    for path in (os.path.join(folder, name) for name in [*folders, *names]):
        state = os.lstat(path)
        if stat.S_ISLNK(state.st_mode):
            continue
        if stat.S_ISREG(state.st_mode) and state.st_mode & 0o6000:
            found["lending"].append(path)
        if state.st_mode & 0o002:
            found["writable"].append(f"{path} {stat.filemode(state.st_mode)}")
        if path.startswith("/opt/segserve") and (state.st_uid or state.st_gid or state.st_mode & 0o022):
            found["owned"].append(path)
print(json.dumps(found))
"""


@pytest.fixture(name="found", scope="module")
def _found(image: str) -> Any:
    """Return what is there, by the image's own Python."""
    code = docker("run", "--rm", "--entrypoint", "python", image, "-c", LIST_FILES, *TOOLS.split()).stdout
    return json.loads(code)


def listed() -> set[str]:
    """Return the tools that the page says are left."""
    return {name.strip("` ") for row in LEFT.findall(PAGE.read_text()) for name in row.split(",")}


def test_no_file_lends_its_caller_other_rights(found: Any) -> None:
    assert found["lending"] == []


def test_only_folders_for_temporary_files_can_be_written_by_all(found: Any) -> None:
    assert {entry.partition(" ")[0] for entry in found["writable"]} <= {"/tmp", "/var/tmp", "/run/lock"}
    assert all(entry.endswith(" drwxrwxrwt") for entry in found["writable"])


def test_what_is_ours_can_be_changed_by_root_alone(found: Any) -> None:
    assert found["owned"] == []


def test_tools_that_are_left_are_those_of_the_page(found: Any) -> None:
    assert "python3" in found["tools"]
    assert set(found["tools"]) <= listed()


def test_the_page_lists_nothing_that_is_no_tool() -> None:
    assert listed() <= set(TOOLS.split())


def test_there_is_neither_a_compiler_nor_an_installer_of_python_packages(image: str, found: Any) -> None:
    assert not {"cc", "gcc", "c++", "clang", "ld", "as", "make", "pip", "pip3"} & set(found["tools"])
    code = (
        "import importlib.util as u; print([n for n in ('pip', 'ensurepip', 'setuptools') if u.find_spec(n)])"
    )
    assert docker("run", "--rm", "--entrypoint", "python", image, "-c", code).stdout.strip() == "[]"


def test_serving_needs_no_shell(image: str, mount: tuple[str, ...]) -> None:
    """What is started is Python, and the check of its health too."""
    from tests.container.engine import container

    empty = ("--volume", "/dev/null:/bin/sh:ro", "--volume", "/dev/null:/bin/bash:ro")
    with container(image, "serve", options=(*mount, *empty)) as running:
        running.wait_until_ready()

        assert running.answers()
        assert running.run_inside("python", "-B", "-I", "-S", "/opt/segserve/healthcheck.py") == ""
        assert running.stop() == 0
