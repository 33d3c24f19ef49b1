"""Each peer's environment is pinned as it asks, with hashes."""

import re

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bench.peers.contenders import CONTENDERS
from bench.peers.environments import PINS_DIR
from tests.test_requirements import PINNED

NAMES = sorted({"readers", *(one.environment for one in CONTENDERS if one.environment)})


def test_every_environment_is_used_and_compiled() -> None:
    asked = sorted(path.stem for path in PINS_DIR.glob("*.in"))
    compiled = sorted(path.stem for path in PINS_DIR.glob("*.txt") if path.stem != "overrides")

    assert asked == compiled == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_what_is_asked_for_is_pinned_with_hashes(name: str) -> None:
    lines = (PINS_DIR / f"{name}.in").read_text().splitlines()
    asked = [Requirement(line.partition("#")[0]) for line in lines if line.partition("#")[0].strip()]
    text = (PINS_DIR / f"{name}.txt").read_text()
    pins = {canonicalize_name(package): version for package, version, _ in PINNED.findall(text)}

    entries = [entry for entry in re.split(r"\n(?=[A-Za-z0-9])", text) if "==" in entry.split("\n")[0]]

    assert len(pins) == len({entry.split("==")[0] for entry in entries}) > 3
    assert all("--hash=sha256:" in entry for entry in entries)
    for requirement in asked:
        assert pins[canonicalize_name(requirement.name)] in requirement.specifier
