"""Check an image without starting it: C2, C3, C5, C35, C44, C64, C115."""

import tarfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from service.conformance.hosting import Image
from service.conformance.verdict import NotApplicable, expect

INIT_PROGRAMS: Final = ("tini", "dumb-init", "init", "catatonit", "docker-init")
ROOT_USERS: Final = ("", "root", "0", "0:0", "root:root", "0:root", "root:0")
MOST_BYTES: Final = 10 * 10**9
"""C64. Source: AWS guide, "Serverless endpoints"."""
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"


class Inspection:
    """Hold an image and the archive of its model, to be looked at from outside."""

    def __init__(self, image: Image, archive: Path | None) -> None:
        """Look at an image, and at a model archive where there is one."""
        self.image = image
        self.archive = archive
        self.sent = ""
        self.received = ""

    def look(self, what: str, value: object) -> None:
        """Remember what was looked at."""
        self.sent, self.received = f"docker image inspect {self.image.name}: {what}", str(value)


def entry_point_is_a_program(inspection: Inspection) -> None:
    """C2."""
    entry_point = _entry_point(inspection)
    is_shell = [Path(word).name for word in entry_point[:2]] in (["sh", "-c"], ["bash", "-c"], ["dash", "-c"])
    expect(not is_shell, f"{entry_point[:1]} runs the server, and would get its signals")


def entry_point_is_no_init(inspection: Inspection) -> None:
    """C3."""
    entry_point = _entry_point(inspection)
    name = PurePosixPath(entry_point[0]).name if entry_point else ""
    expect(name not in INIT_PROGRAMS, f"{name} is the entry point")


def image_starts_as_root(inspection: Inspection) -> None:
    """C5."""
    user = inspection.image.config.get("User") or ""
    inspection.look("Config.User", repr(user))
    expect(user in ROOT_USERS, f"the image starts as {user}")


def archive_is_plain(inspection: Inspection) -> None:
    """C35."""
    path = inspection.archive
    if path is None:
        raise NotApplicable("no --model-tar was given")
    inspection.sent, inspection.received = f"tar -tzf {path.name}", ""
    expect(path.name.endswith(".tar.gz"), f"{path.name} is not named *.tar.gz")
    try:
        with tarfile.open(path, "r:gz") as archive:
            members = archive.getmembers()
    except (tarfile.TarError, EOFError, OSError) as exc:
        inspection.received = type(exc).__name__
        expect(False, f"{path.name} is no intact gzip tar")
    else:
        odd = [member.name for member in members if not (member.isfile() or member.isdir())]
        inspection.received = f"{len(members)} entries"
        expect(not odd, f"{', '.join(odd[:3])} is no plain file")
        expect(any(member.isfile() for member in members), "the archive holds no file")


def architecture_is_common(inspection: Inspection) -> None:
    """C44."""
    known = inspection.image.inspected
    platform = f"{known.get('Os', '')}/{known.get('Architecture', '')}"
    inspection.look("Os/Architecture", platform)
    expect(platform == "linux/amd64", f"the image is for {platform}")


def size_fits_serverless(inspection: Inspection) -> None:
    """C64."""
    size = int(inspection.image.inspected.get("Size", 0))
    inspection.look("Size", f"{size:,} bytes")
    expect(size <= MOST_BYTES, f"the image has {size / 10**9:.1f} GB")


def manifest_is_docker_s(inspection: Inspection) -> None:
    """C115: the classic store pushes Docker's type, the containerd store tells which it has."""
    descriptor = inspection.image.inspected.get("Descriptor") or {}
    kind = descriptor.get("mediaType", "")
    inspection.look("Descriptor.mediaType", kind or "none, so Docker's own")
    expect(kind in {"", DOCKER_MANIFEST}, f"the manifest is {kind}")


def _entry_point(inspection: Inspection) -> Sequence[str]:
    entry_point = inspection.image.config.get("Entrypoint") or []
    inspection.look("Config.Entrypoint", entry_point or "none")
    return [str(word) for word in entry_point]


CHECKS: Final = (
    ("C2", entry_point_is_a_program),
    ("C3", entry_point_is_no_init),
    ("C5", image_starts_as_root),
    ("C35", archive_is_plain),
    ("C44", architecture_is_common),
    ("C64", size_fits_serverless),
    ("C115", manifest_is_docker_s),
)
