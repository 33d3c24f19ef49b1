"""Keep what belongs to one local SageMaker in one folder, and tell whether it is running."""

import fcntl
import json
import os
import shutil
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from service.errors import ConfigurationError

DEFAULT_STATE: Final = ".segserve/local"
_IGNORE: Final = "*\n"


@dataclass(frozen=True, slots=True)
class Running:
    """Hold what is known of a service that runs, or did when it was killed."""

    pid: int
    url: str
    runtime: str
    started: str


class State:
    """Name the files of a folder."""

    def __init__(self, root: Path) -> None:
        """Use a folder, which need not exist."""
        self.root = root.resolve()
        self.resources_dir = self.root / "resources"
        self.logs_dir = self.root / "logs"
        self.runs_dir = self.root / "runs"
        self.jobs_dir = self.root / "jobs"
        self.server_log_path = self.root / "server.log"
        self._lock_path = self.root / "lock"
        self._running_path = self.root / "server.json"
        self._owner_path = self.root / "owner"
        self._handle: int | None = None

    def lock(self) -> None:
        """Own the folder until `unlock`, or the end of this process however it comes.

        Raises:
            ConfigurationError: Another process owns it, or it cannot be written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            (self.root / ".gitignore").write_text(_IGNORE)
            handle = os.open(self._lock_path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as exc:
            raise ConfigurationError(f"the folder {self.root} cannot be written: {exc.strerror}") from exc
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            running = self.running()
            where = f" on {running.url}" if running else ""
            raise ConfigurationError(
                f"segserve local is already running{where} with the state in {self.root}: "
                "stop it with 'segserve local down', or choose another folder with --state"
            ) from None
        self._handle = handle

    def unlock(self) -> None:
        """Let go of the folder."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def is_locked(self) -> bool:
        """Tell whether a process owns the folder."""
        try:
            with self._lock_path.open("r") as handle:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def owner(self) -> str:
        """Return an id that tells this folder's containers from others; made at the first call."""
        if not self._owner_path.exists():
            self._owner_path.write_text(uuid.uuid4().hex[:12])
        return self._owner_path.read_text()

    def clear_work(self) -> None:
        """Remove what an earlier run has left half done."""
        for folder in (self.runs_dir, self.jobs_dir):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True, exist_ok=True)

    def announce(self, running: Running) -> None:
        """Record where the service runs."""
        temporary = self._running_path.with_suffix(".new")
        temporary.write_text(json.dumps(asdict(running)))
        temporary.replace(self._running_path)

    def withdraw(self) -> None:
        """Record that it does not run any more."""
        self._running_path.unlink(missing_ok=True)

    def running(self) -> Running | None:
        """Return the service that runs, None when none does."""
        return self.last_known() if self.is_locked() else None

    def last_known(self) -> Running | None:
        """Return what was recorded last; of a service that was killed, too."""
        try:
            return Running(**json.loads(self._running_path.read_bytes()))
        except (FileNotFoundError, ValueError, TypeError):
            return None
