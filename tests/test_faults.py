"""No pin of ours has a fault that we know of."""

import re
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from docs.licences import PAGE, _pinned, licence_of

ROOT = Path(__file__).parents[1]
FILES = ("docker/requirements.txt", "requirements/run.txt", "requirements/aws.txt", "requirements/dev.txt")
ROW = re.compile(r"^\| ([a-z0-9-]+) \| ([0-9.]+) \| (CVE-\d{4}-\d+)", re.MULTILINE)
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", re.MULTILINE)


def known_faults() -> list[tuple[str, str, str]]:
    return ROW.findall((ROOT / "docs" / "known-faults.md").read_text())


@pytest.mark.parametrize("file", FILES)
def test_every_pin_is_newer_than_the_faults_that_we_know_of(file: str) -> None:
    faults = {name: (Version(version), fault) for name, version, fault in known_faults()}
    compared = 0
    for name, version in PIN.findall((ROOT / file).read_text()):
        fixed, fault = faults.get(canonicalize_name(name), (Version("0"), ""))
        compared += bool(fault)

        assert Version(version) >= fixed, f"{name} {version} has {fault}, mended in {fixed}"
    assert compared >= 5


def test_the_list_names_packages_that_we_pin() -> None:
    pinned = {canonicalize_name(name) for name in _pinned(FILES)}

    assert len(known_faults()) >= 10
    assert {name for name, _, _ in known_faults()} <= pinned


def test_every_package_of_the_image_has_a_licence_that_lets_us_ship_it() -> None:
    """None that would ask for our own source, or forbids to sell."""
    page = PAGE.read_text()
    for name in _pinned(("docker/requirements.txt",)):
        licence = licence_of(name)

        assert f"| {name} | {licence} |" in page
        assert not re.search(r"AGPL|(?<!L)GPL(?!-3\.0 with)|SSPL|BUSL|Commons Clause", licence), name
