"""Build the image once more without the cache, and tell whether its layers are those of the first.

`python docker/again.py IMAGE [OPTION...]`; the options go to `docker build`.

An engine archives a layer by walking through its folder or by comparing it with the one below, and takes
the second way now and then, when it already knows the layer below. The two go through the same files in
different orders, which no Dockerfile can help. So where files agree and digests do not, it is built a third
time: of three builds two went the same way, and each layer must have one digest in both.
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

_BUILDS: Final = 3
"""With the one that is there; a third is made only where two archive the same files in different orders."""
_MOST_SHOWN: Final = 20
_NOTHING: Final[Mapping[str, object]] = {}


def main(image: str, *options: str) -> int:
    """Build, compare and remove other images; return 1 if a file differs."""
    again = f"{image}-again"
    built = [_layers(image)]
    try:
        while len(built) < _BUILDS and unsettled(built):
            _docker("build", "--quiet", "--no-cache", *options, "--tag", again, ".")
            built.append(_layers(again))
            if built[-1] != built[0] and (found := _differences(image, again)):
                print(f"{image} and a second build of it differ:", *found, sep="\n  ")
                return 1
    finally:
        _docker("image", "rm", "--force", again)
    left = unsettled(built)
    for number in left:
        digests = ", ".join(_short(layers[number]) for layers in built)
        print(f"layer {number} has the same files in each build, archived in another order: {digests}")
    print(
        f"built {len(built)} times: {len(built[0]) - len(left)} of {len(built[0])} layers are twice the same"
    )
    print(*(_short(layer) for layer in built[0]), sep=", ")
    return 0


def unsettled(built: list[list[str]]) -> list[int]:
    """Return the numbers of the layers that no two builds have given the same digest."""
    return [
        number for number, digests in enumerate(zip(*built, strict=False)) if len({*digests}) == len(built)
    ]


def _differences(image: str, again: str) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        return list(differences(_save(image, Path(folder) / "first"), _save(again, Path(folder) / "second")))


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
