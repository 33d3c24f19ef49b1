"""Keep model versions in a folder that is always readable, whoever writes and whenever they are killed.

Layout: `STORE/<version>/model.tar.gz`, and `STORE/channels.json` for what is in production. A version is
written under a hidden name, synced and renamed: it is there whole or not at all.
"""

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from service import artifact
from service.artifact import ARCHIVE, VERSION_PATTERN, Provenance, Signer
from service.durable import lock_folder, make_folder, sync_folder, write_synced
from service.errors import CorruptArtifactError, ModelNotFoundError, StoreError

CHANNELS: Final = "channels.json"
_LOCK: Final = ".lock"
_UNFINISHED: Final = ".unfinished-"


@dataclass(frozen=True, slots=True)
class Channels:
    """Hold which versions the store points at."""

    latest: str | None = None
    production: str | None = None
    history: tuple[str, ...] = ()
    """What was in production before, oldest first."""


class Store:
    """Add, list, resolve, promote and roll back model versions below one folder."""

    def __init__(self, root: Path, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Name the folder, which is made when the first version is added, and the clock."""
        self.root = root
        self._now = now

    def add(
        self,
        files: Mapping[str, bytes],
        *,
        provenance: Provenance,
        beside: Mapping[str, Path] | None = None,
        sign: Signer | None = None,
    ) -> str:
        """Write a new version and return its id.

        Args:
            files: The artifact's files by name, without the manifest.
            provenance: Goes into the manifest.
            beside: Files to copy next to the artifact, by name.
            sign: Makes the signature of the manifest.

        Raises:
            StoreError: The folder cannot be written.
        """
        with self._writing(), self._staging() as staging:
            for name, source in (beside or {}).items():
                write_synced(staging / name, source.read_bytes())
            version = self._publish(staging, files, provenance, sign)
        with self._channels_locked() as channels:
            self._write_channels(Channels(version, channels.production, channels.history))
        return version

    def receive(self, archive: Path, *, version: str) -> bool:
        """Take in a version that was made elsewhere, verified; tell whether it was not there before.

        Args:
            archive: Its `model.tar.gz`.
            version: What it must be.

        Raises:
            ArtifactError: It is damaged, or another version.
            StoreError: The folder cannot be written.
        """
        found = artifact.read_artifact(archive).manifest.model_version
        if found != version:
            raise CorruptArtifactError(f"the artifact says that it is {found}, and should be {version}")
        if (self.root / version / ARCHIVE).is_file():
            return False
        with self._writing(), self._staging() as staging:
            write_synced(staging / ARCHIVE, archive.read_bytes())
            sync_folder(staging)
            staging.chmod(0o755)
            try:
                staging.rename(self.root / version)
            except OSError:
                if not (self.root / version / ARCHIVE).is_file():
                    raise
                return False  # another process was faster
            sync_folder(self.root)
        return True

    def versions(self) -> list[str]:
        """Return the ids of all versions, newest first."""
        if not self.root.is_dir():
            return []
        latest = self._read_channels().latest
        names = [
            entry.name
            for entry in self.root.iterdir()
            if VERSION_PATTERN.fullmatch(entry.name) and (entry / ARCHIVE).is_file()
        ]
        # Two of the same second: the one written last is the newest.
        return sorted(names, key=lambda name: (name.split("-")[0], name == latest, name), reverse=True)

    def latest(self) -> str | None:
        """Return the newest version, None in an empty store."""
        return next(iter(self.versions()), None)

    def production(self) -> str | None:
        """Return the version in production, None when none was promoted."""
        return self._read_channels().production

    def resolve(self, name: str | None = None) -> Path:
        """Return the artifact of a version, of the channel `latest` or `production`, or of what to serve.

        Args:
            name: None stands for production, else the latest.

        Raises:
            ModelNotFoundError: There is no such version; says which there are.
        """
        if name is None:
            name = self.production() or self.latest()
        elif name == "latest":
            name = self.latest()
        elif name == "production":
            name = self.production()
        versions = self.versions()
        if not versions:
            raise ModelNotFoundError(
                f"the model store {self.root} holds no model yet: "
                "make one with 'segserve train customers.csv', or try 'segserve demo'"
            )
        if name not in versions:
            known = ", ".join(versions[:3]) + (", ..." if len(versions) > 3 else "")
            wanted = "a model in production" if name is None else f"the model {name[:80]!r}"
            raise ModelNotFoundError(f"the model store {self.root} does not hold {wanted}; it holds {known}")
        return self.root / name / ARCHIVE

    def promote(self, version: str) -> None:
        """Put a version into production; `rollback` undoes it.

        Raises:
            ModelNotFoundError: There is no such version.
        """
        promoted = self.resolve(version).parent.name
        with self._channels_locked() as channels:
            if channels.production == promoted:
                return
            before = (channels.production,) if channels.production else ()
            self._write_channels(Channels(channels.latest, promoted, channels.history + before))

    def rollback(self) -> str:
        """Put back what was in production before and return it.

        Raises:
            ModelNotFoundError: Nothing was in production before.
        """
        nothing = ModelNotFoundError(
            f"the model store {self.root} has no earlier production model to roll back to"
        )
        if not self._read_channels().history:
            raise nothing
        with self._channels_locked() as channels:
            if not channels.history:  # another was faster
                raise nothing
            *history, previous = channels.history
            self._write_channels(Channels(channels.latest, previous, tuple(history)))
        return previous

    def _publish(
        self, staging: Path, files: Mapping[str, bytes], provenance: Provenance, sign: Signer | None
    ) -> str:
        """Give the version a name that no other has, and make it visible."""
        while True:
            version, content = artifact.pack(files, provenance=provenance, created=self._created(), sign=sign)
            write_synced(staging / ARCHIVE, content)
            sync_folder(staging)
            staging.chmod(0o755)
            try:
                staging.rename(self.root / version)
            except OSError:
                if not (self.root / version).exists():
                    raise
                continue  # the same digest in the same microsecond: the clock moves on
            sync_folder(self.root)
            return version

    def _created(self) -> datetime:
        """Return the time of a new version: never before the newest one's, wherever the clock was put."""
        now = self._now()
        newest = max((time for name in self.versions() if (time := _time_of(name))), default=now)
        return now if now >= newest else newest.replace(microsecond=now.microsecond)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Turn what the system says of a folder that cannot be written into one sentence."""
        try:
            yield
        except OSError as exc:
            raise StoreError(f"the model store {self.root} cannot be written: {exc.strerror}") from exc

    @contextmanager
    def _staging(self) -> Iterator[Path]:
        """Provide a hidden folder to write a version in, which its writer keeps locked while it lives."""
        make_folder(self.root)
        with self._locked():
            self._sweep()
            staging = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=self.root))
            held = lock_folder(staging)
        try:
            yield staging
        finally:
            shutil.rmtree(staging, ignore_errors=True)
            os.close(held)

    def _sweep(self) -> None:
        """Remove what writers that were killed have left; within `_locked`."""
        for path in self.root.glob(f"{_UNFINISHED}*"):
            try:
                if path.is_dir():
                    os.close(lock_folder(path))
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink()  # channels are written within the lock, so this one's writer is dead
            except OSError:
                continue  # somebody is writing it

    def _read_channels(self) -> Channels:
        try:
            document = json.loads((self.root / CHANNELS).read_bytes())
            return Channels(document["latest"], document["production"], tuple(document["history"]))
        except FileNotFoundError:
            return Channels()
        except (OSError, ValueError, KeyError, TypeError) as exc:
            raise StoreError(
                f"{self.root / CHANNELS} cannot be read. Delete it to go on: "
                "no version is lost, but which one is in production must then be said again"
            ) from exc

    @contextmanager
    def _channels_locked(self) -> Iterator[Channels]:
        """Hold off other writers while the channels are read and written."""
        with self._writing(), self._locked():
            yield self._read_channels()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.root / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _write_channels(self, channels: Channels) -> None:
        temporary = self.root / f"{_UNFINISHED}{os.getpid()}.json"
        try:
            write_synced(temporary, f"{json.dumps(asdict(channels), indent=1)}\n".encode())
            temporary.replace(self.root / CHANNELS)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(self.root)


def find_artifact(wish: str | None, *, store: Path) -> Path:
    """Return the artifact at a path, or of a version, channel or default of the store.

    Raises:
        ModelNotFoundError: The store does not hold it.
    """
    if wish is not None and ("/" in wish or Path(wish).exists()):
        return Path(wish)
    return Store(store).resolve(wish)


def _time_of(version: str) -> datetime | None:
    """Return the time in a version's id, None where it is none."""
    try:
        return datetime.strptime(version.split("-", maxsplit=1)[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
