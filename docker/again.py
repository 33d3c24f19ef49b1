"""Build the image once more without the cache, and tell whether its layers are those of the first.

`python docker/again.py IMAGE [OPTION...]`; the options go to `docker build`.

An engine archives a layer by walking through its folder or by comparing it with the one below, and takes
the second way now and then, when it already knows the layer below. The two go through the same files in
different orders, which no Dockerfile can help: such layers count as the same, and it is said.
"""

import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

_MOST_SHOWN: Final = 20
_NOTHING: Final[Mapping[str, object]] = {}


def main(image: str, *options: str) -> int:
    """Build, compare and remove the second image; return 1 if a file differs."""
    again = f"{image}-again"
    _docker("build", "--quiet", "--no-cache", *options, "--tag", again, ".")
    try:
        layers = _layers(image)
        if layers == _layers(again):
            print(f"built twice, the same {len(layers)} layers: {', '.join(map(_short, layers))}")
            return 0
        with tempfile.TemporaryDirectory() as folder:
            first, second = _save(image, Path(folder) / "first"), _save(again, Path(folder) / "second")
            found = list(differences(first, second))
        if not found:
            print("built twice, the same files; the engine archived some in another order:")
            for one, other in zip(layers, _layers(again), strict=True):
                print(f"  {_short(one)}" + (f" and {_short(other)}" if one != other else ""))
            return 0
        print(f"{image} and a second build of it differ:", *found, sep="\n  ")
        return 1
    finally:
        _docker("image", "rm", "--force", again)


def differences(first: list[Path], second: list[Path]) -> Iterator[str]:
    """Yield the first files that differ, of each layer that does.

    Args:
        first: The archives of an image's layers, lowest first.
        second: Those of the other.
    """
    if len(first) != len(second):
        yield f"{len(first)} layers and {len(second)}"
    for number, (one, other) in enumerate(zip(first, second, strict=False)):
        ours, theirs = _facts(one), _facts(other)
        paths = [path for path in sorted({*ours, *theirs}) if ours.get(path) != theirs.get(path)]
        if paths:
            yield f"layer {number}: {len(paths)} files differ"
        for path in paths[:_MOST_SHOWN]:
            yield f"  {path}: {_difference(ours.get(path, _NOTHING), theirs.get(path, _NOTHING))}"


def _difference(first: Mapping[str, object], second: Mapping[str, object]) -> str:
    if not first or not second:
        return "only in the first" if first else "only in the second"
    return ", ".join(f"{key} {first[key]} and {second[key]}" for key in first if first[key] != second[key])


def _facts(archive: Path) -> dict[str, Mapping[str, object]]:
    found: dict[str, Mapping[str, object]] = {}
    with tarfile.open(archive) as layer:
        for member in layer:
            content = layer.extractfile(member) if member.isreg() else None
            found[member.name] = {
                "kind": member.type.decode(),
                "mode": oct(member.mode),
                "owner": f"{member.uid}:{member.gid}",
                "date": member.mtime,
                "link": member.linkname,
                "size": member.size,
                "sha256": hashlib.sha256(content.read()).hexdigest()[:12] if content else "",
            }
    return found


def _layers(image: str) -> list[str]:
    found: list[str] = json.loads(_docker("image", "inspect", "-f", "{{json .RootFS.Layers}}", image))
    return found


def _short(layer: str) -> str:
    return layer.removeprefix("sha256:")[:12]


def _save(image: str, folder: Path) -> list[Path]:
    """Return the archives of an image's layers, lowest first."""
    folder.mkdir()
    _docker("save", "--output", str(folder / "image.tar"), image)
    with tarfile.open(folder / "image.tar") as archive:
        archive.extractall(folder, filter="data")
    return [folder / name for name in json.loads((folder / "manifest.json").read_text())[0]["Layers"]]


def _docker(*arguments: str) -> str:
    """Return what docker prints; where it fails, so does this, after docker's own words."""
    done = subprocess.run(["docker", *arguments], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"docker {arguments[0]} failed: see above")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
