"""Pins are fresh, hashed, and name no registry."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)(?: ; ([^\\]+))? \\$", re.MULTILINE)
FILES: dict[str, tuple[tuple[str, ...], set[str]]] = {
    "requirements/run.txt": (("train",), {"build"}),
    "requirements/aws.txt": (("train", "aws", "sign"), {"build"}),
    "requirements/dev.txt": (("train", "aws", "sign", "otel"), {"dev"}),
    "docker/requirements.txt": (("train", "sign"), set()),
}
OWN = ("tests/sdk/requirements", "tests/spark/requirements", "tests/spark/requirements-3.5")
"""Of environments of their own."""


def declared(extras: tuple[str, ...], groups: set[str]) -> list[Requirement]:
    """Return what pyproject.toml asks for."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    texts = list(document["project"]["dependencies"])
    for extra in extras:
        texts += document["project"]["optional-dependencies"][extra]
    pending = list(groups)
    while pending:
        for entry in document["dependency-groups"][pending.pop()]:
            if isinstance(entry, dict):
                pending.append(entry["include-group"])
            else:
                texts.append(entry)
    return [Requirement(text) for text in texts]


def pinned(name: str) -> dict[str, list[str]]:
    """Return the versions of each package in a file of pins."""
    pins: dict[str, list[str]] = {}
    for package, version, _ in PINNED.findall((ROOT / name).read_text()):
        pins.setdefault(canonicalize_name(package), []).append(version)
    return pins


def assert_pinned(requirements: list[Requirement], pins: dict[str, list[str]]) -> None:
    for requirement in requirements:
        versions = pins.get(canonicalize_name(requirement.name))

        assert versions, f"{requirement.name} is not pinned: run make requirements"
        assert all(version in requirement.specifier for version in versions), requirement


@pytest.mark.parametrize("name", FILES)
def test_every_dependency_is_pinned_as_pyproject_asks(name: str) -> None:
    assert_pinned(declared(*FILES[name]), pinned(name))


@pytest.mark.parametrize("name", OWN)
def test_an_environment_of_its_own_is_pinned_as_its_file_asks(name: str) -> None:
    lines = (ROOT / f"{name}.in").read_text().splitlines()
    asked = [Requirement(line) for line in lines if line and not line.startswith("#")]

    assert_pinned(asked, pinned(f"{name}.txt"))


def test_the_image_has_the_versions_that_are_tested() -> None:
    tested = pinned("requirements/dev.txt")
    for package, versions in pinned("docker/requirements.txt").items():
        assert set(versions) <= set(tested[package]), f"{package}: run make requirements"


@pytest.mark.parametrize("name", [*FILES, *(f"{name}.txt" for name in OWN)])
def test_every_pin_has_hashes(name: str) -> None:
    text = (ROOT / name).read_text()
    entries = [entry for entry in re.split(r"\n(?=[A-Za-z0-9])", text) if "==" in entry.split("\n")[0]]

    # What Spark 3.5 is tried with is pyspark and py4j alone.
    assert len(entries) > (1 if name == f"{OWN[2]}.txt" else 20)
    assert all("--hash=sha256:" in entry for entry in entries)


def test_no_file_names_a_registry_or_a_path_of_a_machine() -> None:
    names = ("py" + "pi.org", "pythonhosted" + ".org", "npmjs" + ".org", "deb.debian" + ".org", "/wo" + "rk/")
    result = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    for path in result.stdout.splitlines():
        content = (ROOT / path).read_text(errors="replace") if (ROOT / path).is_file() else ""

        assert not [name for name in names if name in content], path
