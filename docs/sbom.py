"""Write the image's bill of materials (CycloneDX), and check it against the pins: `python -m docs.sbom`."""

import argparse
import json
import re
import runpy
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

from docs.licences import ROOT, licence_of

_PIN: Final = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", re.MULTILINE)
_PYTHON: Final = "pkg:pypi/"
_DEBIAN: Final = "pkg:deb/"
_VENDORED: Final = ROOT / "service" / "serving" / "static" / "vendor" / "versions.json"
_IDENTIFIER: Final = re.compile(r"[A-Za-z]+(?:-[A-Za-z0-9.]+)+|MIT|ISC")
"""Of SPDX, as far as our packages use them."""


def main() -> int:
    """Run Syft on an image, complete what it finds, and return 1 where that is not what is pinned."""
    parser = argparse.ArgumentParser(prog="python -m docs.sbom", description=__doc__)
    parser.add_argument("image", help="name of the image, in the engine that docker speaks to")
    parser.add_argument("target", type=Path, help="file to write")
    parser.add_argument("--syft", default="syft", help="the program")
    arguments = parser.parse_args()
    command = [arguments.syft, "scan", f"docker:{arguments.image}", "--quiet", "--output", "cyclonedx-json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)  # noqa: S603  # what we were told to run
    if done.returncode:
        sys.exit(f"{arguments.syft} could not read {arguments.image}: see above")
    document = complete(json.loads(done.stdout))
    arguments.target.parent.mkdir(parents=True, exist_ok=True)
    arguments.target.write_text(json.dumps(document, indent=1) + "\n")
    wrong = list(differences(document, expected()))
    for line in wrong:
        print(line, file=sys.stderr)  # noqa: T201  # what the command is for
    n_debian = len(list(_purls(document, _DEBIAN)))
    n_python = len(list(_purls(document, _PYTHON)))
    print(f"{arguments.target}: {n_python} packages of Python, {n_debian} of the base's distribution")  # noqa: T201
    return 1 if wrong else 0


def complete(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document with licences and vendored scripts, and without what differs from run to run."""
    components = [_with_licence(component) for component in document["components"]]
    vendored = json.loads(_VENDORED.read_text())
    components += [
        {"type": "library", "name": name, "version": version, "purl": f"pkg:npm/{name}@{version}"}
        for name, version in sorted(vendored.items())
    ]
    metadata = {key: value for key, value in document["metadata"].items() if key != "timestamp"}
    kept = {key: value for key, value in document.items() if key != "serialNumber"}
    return {**kept, "metadata": metadata, "components": components}


def pinned() -> dict[str, str]:
    """Return the pinned version of each package that is installed into the image."""
    return dict(_PIN.findall((ROOT / "docker" / "requirements.txt").read_text()))


def expected() -> dict[str, str]:
    """Return the version of each package that is still there after `docker/slim.py`, and the kernel's."""
    unused = runpy.run_path(str(ROOT / "docker" / "slim.py"))["UNUSED"]
    kernel = tomllib.loads((ROOT / "kernel" / "pyproject.toml").read_text())["project"]
    left = {
        name: version
        for name, version in pinned().items()
        if not any(fnmatch(f"{name.replace('-', '_')}-{version}.dist-info", pattern) for pattern in unused)
    }
    return {**left, kernel["name"]: kernel["version"]}


def differences(document: dict[str, Any], wanted: dict[str, str]) -> Iterator[str]:
    """Yield what is missing, unexpected, of another version or without a licence, in a sentence each."""
    found = dict(_purls(document, _PYTHON))
    for name in sorted({*found, *wanted}):
        if name not in found:
            yield f"{name} {wanted[name]} is pinned and not in the image"
        elif name not in wanted:
            yield f"{name} {found[name]} is in the image, and no pin of docker/requirements.txt"
        elif found[name] != wanted[name]:
            yield f"{name} {found[name]} is in the image, and {wanted[name]} is pinned"
    kinds = (_PYTHON, _DEBIAN, "pkg:npm/")
    for component in document["components"]:
        purl = component.get("purl", "")
        if purl and not purl.startswith(kinds):
            yield f"{purl} is in the image, and nobody knows why"
        if purl.startswith(_PYTHON) and component["name"] in pinned() and not component.get("licenses"):
            yield f"{component['name']} has no licence"
    if not any(_purls(document, _DEBIAN)):
        yield "nothing of the base's distribution was found"


def _purls(document: dict[str, Any], kind: str) -> Iterable[tuple[str, str]]:
    return (
        (component["name"], component["version"])
        for component in document["components"]
        if component.get("purl", "").startswith(kind)
    )


def _with_licence(component: dict[str, Any]) -> dict[str, Any]:
    """Return a component with the licence that docs/licences.md gives it."""
    if component.get("purl", "").startswith(_PYTHON) and component["name"] in pinned():
        return {**component, "licenses": [_licence(licence_of(component["name"]))]}
    return component


def _licence(text: str) -> dict[str, Any]:
    """Return a licence as CycloneDX writes it: an identifier or expression of SPDX, else a name."""
    if _IDENTIFIER.fullmatch(text):
        return {"license": {"id": text}}
    return {"expression": text} if _is_expression(text) else {"license": {"name": text}}


def _is_expression(text: str) -> bool:
    words = [word for word in re.split(r"[ ()]+", text) if word]
    names, operators = words[::2], words[1::2]
    return (
        len(words) % 2 == 1
        and all(_IDENTIFIER.fullmatch(name) for name in names)
        and set(operators) <= {"AND", "OR", "WITH"}
    )


if __name__ == "__main__":
    sys.exit(main())
