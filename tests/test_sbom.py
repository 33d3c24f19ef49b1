"""The bill of materials is held to the pins: nothing missing, nothing unexpected, all with a licence."""

import copy
from typing import Any

import pytest

from docs.sbom import complete, differences, expected, pinned


@pytest.fixture(name="found")
def _found() -> dict[str, Any]:
    """Return what Syft finds in an image that is as it should be."""
    python = [
        {"type": "library", "name": name, "version": version, "purl": f"pkg:pypi/{name}@{version}"}
        for name, version in expected().items()
    ]
    debian = {"type": "library", "name": "libc6", "version": "2.36-9", "purl": "pkg:deb/debian/libc6@2.36-9"}
    return {
        "bomFormat": "CycloneDX",
        "serialNumber": "urn:uuid:0",
        "metadata": {"timestamp": "2026-11-23T00:00:00Z", "component": {"name": "segserve"}},
        "components": [*python, debian, {"type": "operating-system", "name": "debian", "version": "12"}],
    }


def test_the_image_is_expected_to_have_every_pin_that_is_not_left_out() -> None:
    left_out = set(pinned()) - set(expected())

    assert left_out == {"cffi", "pycparser", "pygments", "prettytable", "wcwidth"}
    assert {"numpy", "scikit-learn", "pynacl", "segserve-kernel"} <= set(expected())


def test_what_is_as_pinned_differs_in_nothing(found: dict[str, Any]) -> None:
    assert list(differences(complete(found), expected())) == []


def test_licences_are_written_as_the_format_has_them(found: dict[str, Any]) -> None:
    components = {component["name"]: component for component in complete(found)["components"]}

    assert components["fastapi"]["licenses"] == [{"license": {"id": "MIT"}}]
    assert components["packaging"]["licenses"] == [{"expression": "Apache-2.0 OR BSD-2-Clause"}]
    assert components["orjson"]["licenses"] == [{"expression": "MPL-2.0 AND (Apache-2.0 OR MIT)"}]
    assert "OpenBLAS" in components["numpy"]["licenses"][0]["license"]["name"]
    assert components["preact"]["purl"].startswith("pkg:npm/preact@")


def test_nothing_in_it_differs_from_run_to_run(found: dict[str, Any]) -> None:
    other = copy.deepcopy(found)
    other["serialNumber"] = "urn:uuid:1"
    other["metadata"]["timestamp"] = "2027-01-01T00:00:00Z"

    assert complete(found) == complete(other)


@pytest.mark.parametrize(
    ("name", "changed", "said"),
    [
        ("numpy", None, "is pinned and not in the image"),
        ("numpy", {"version": "1.0"}, "numpy 1.0 is in the image, and"),
        ("numpy", {"name": "nunpy"}, "is in the image, and no pin"),
        ("numpy", {"purl": "pkg:nuget/numpy@1"}, "nobody knows why"),
        ("libc6", None, "nothing of the base's distribution"),
    ],
)
def test_what_is_missing_or_unexpected_is_told(
    found: dict[str, Any], name: str, changed: dict[str, str] | None, said: str
) -> None:
    place = next(i for i, component in enumerate(found["components"]) if component["name"] == name)
    if changed is None:
        del found["components"][place]
    else:
        found["components"][place].update(changed)

    assert any(said in line for line in differences(complete(found), expected()))


def test_a_package_without_a_licence_is_told(found: dict[str, Any]) -> None:
    assert "numpy has no licence" in list(differences(found, expected()))
