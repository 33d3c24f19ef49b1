"""Write `licences.md`: under which licence each package comes that the image, or an extra, brings along."""

import json
import re
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageMetadata, PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = Path(__file__).with_name("licences.md")
_PIN: Final = re.compile(r"^([A-Za-z0-9._-]+)==", re.MULTILINE)
_CLASSIFIER: Final = "License :: OSI Approved :: "
_LONGEST: Final = 60
"""Characters; some packages put the whole text into the field."""
_WITH_BLAS: Final = (
    "BSD-3-Clause; in it OpenBLAS (BSD-3-Clause) and libgfortran (GPL-3.0 with GCC's runtime exception)"
)
_SAID_ELSEWHERE: Final = {
    "fastapi-offline": "MIT; in it Swagger UI (Apache-2.0)",
    "numpy": _WITH_BLAS,
    "pynacl": "Apache-2.0; in it libsodium (ISC)",
    "scipy": _WITH_BLAS,
}
"""What the metadata leave out."""
_KINDS: Final = {"Apache License": "Apache-2.0", "MIT License": "MIT"}
"""Licences by a line of their text."""

TABLES: Final = (
    ("In the image", ("docker/requirements.txt",), ()),
    ("In the extra `aws`, and to build the wheel", ("requirements/aws.txt",), ("docker/requirements.txt",)),
)


def render() -> str:
    """Return the page, from the metadata of what is installed here."""
    parts = [
        "# Licences of what segserve brings along",
        "",
        "None is chosen yet for segserve itself: that is its owner's to decide.",
        "",
        "As each package's own metadata say. Versions are in the files of pins, with hashes; texts in",
        "the packages, in the image below `/opt/segserve/lib/*.dist-info`. Written by `make docs`.",
    ]
    for title, files, without in TABLES:
        names = sorted(_pinned(files) - _pinned(without))
        parts += ["", f"## {title}", "", "| package | licence |", "|---|---|"]
        parts += [f"| {name} | {licence_of(name)} |" for name in names if _is_here(name)]
    parts += ["", "## Files of others in our own code", "", "| file | licence |", "|---|---|"]
    parts += [f"| {name} | {licence} |" for name, licence in _vendored()]
    return "\n".join([*parts, ""])


def licence_of(name: str) -> str:
    """Return the licence that an installed package names.

    Raises:
        ValueError: It names none: find out, and say so in this file.
    """
    if name in _SAID_ELSEWHERE:
        return _SAID_ELSEWHERE[name]
    metadata = distribution(name).metadata
    fields = metadata.get_all("Classifier") or []
    classifiers = [field.removeprefix(_CLASSIFIER) for field in fields if field.startswith(_CLASSIFIER)]
    short = _field(metadata, "License").strip()
    found = _field(metadata, "License-Expression") or ", ".join(classifiers)
    if not found and 0 < len(short) <= _LONGEST and "\n" not in short:
        found = short
    return found or _read_kind(name)


def _field(metadata: PackageMetadata, name: str) -> str:
    return str(metadata[name]) if name in metadata else ""


def _read_kind(name: str) -> str:
    """Return the licence by the text that is in the package."""
    for path in distribution(name).files or []:
        if "LICEN" in path.name.upper():
            text = path.read_text()
            kind = next((kind for mark, kind in _KINDS.items() if mark in text), None)
            if kind is not None:
                return f"{kind} (by its text)"
    raise ValueError(f"{name} names no licence")


def _pinned(files: tuple[str, ...]) -> set[str]:
    return {name for file in files for name in _PIN.findall((ROOT / file).read_text())}


def _is_here(name: str) -> bool:
    """Tell whether a package is installed: some pins are for other systems alone."""
    try:
        return isinstance(distribution(name), Distribution)
    except PackageNotFoundError:
        return False


def _vendored() -> Iterator[tuple[str, str]]:
    """Yield each vendored library, by the file of its licence."""
    for path in sorted((ROOT / "service").rglob("*LICENSE*")):
        text = path.read_text()
        kind = next((name for mark, name in _KINDS.items() if mark in text), None)
        if kind is None:
            raise ValueError(f"{path.name} is of no licence that is known here")
        yield f"`{path.relative_to(ROOT)}`", kind
    versions = ROOT / "service" / "serving" / "static" / "vendor" / "versions.json"
    names = ", ".join(f"{name} {number}" for name, number in json.loads(versions.read_text()).items())
    yield f"`{versions.relative_to(ROOT)}`: {names}", "as above"
