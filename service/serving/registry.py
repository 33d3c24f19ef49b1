"""Know which models a multi-model server has loaded, alike in every worker.

Workers are processes, and a request may reach any of them: what one loads or unloads all must know before
the answer to it is sent. The truth is a journal in a file. Whoever changes it holds a lock, first reads what
others have added, then appends a line and counts the change in a page of memory that all share. A look at
that count tells each worker, in a fraction of a microsecond, whether it has something to read.
"""

import fcntl
import mmap
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec
import orjson

_HEADER: Final = struct.Struct("=QQQQQ")
"""Changes so far; how often the journal was written anew; where in the file it begins; its bytes; and its
bytes when it was last written anew."""
_START: Final = mmap.PAGESIZE
"""Of the journals, behind the page that is shared."""
_COMPACT_BYTES: Final = 1024 * 1024
_COMPACT_RATIO: Final = 4


class Entry(msgspec.Struct, frozen=True):
    """Hold what is known of a loaded model everywhere, whether or not this worker has used it yet."""

    name: str
    url: str
    digest: str
    """Of the model when it was loaded: no worker serves another under its name."""
    serial: int
    """Counts loads; later ones are larger."""


class Registry:
    """Keep the entries of one process."""

    def __init__(self, *, on_removed: Callable[[str], None]) -> None:
        """Call `on_removed` with each name that is no longer loaded."""
        self._entries: dict[str, Entry] = {}
        self._last_serial = 0
        self._on_removed = on_removed

    def __len__(self) -> int:
        """Return how many models are loaded."""
        return len(self._entries)

    def get(self, name: str) -> Entry | None:
        """Return the entry of a model, None where it is not loaded."""
        return self._entries.get(name)

    def page(self, *, after: int, size: int) -> list[Entry]:
        """Return the first entries with a serial above `after`, in the order of their loading."""
        return list(islice((entry for entry in self._entries.values() if entry.serial > after), size))

    def refresh(self) -> None:
        """Learn what other workers have changed."""

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Keep others from changing anything, with all that they have changed known."""
        yield

    def add(self, name: str, *, url: str, digest: str) -> Entry:
        """Add a model; within `changing`."""
        entry = Entry(name, url, digest, self._last_serial + 1)
        self._apply_added(entry)
        return entry

    def remove(self, name: str) -> None:
        """Remove a model; within `changing`."""
        self._apply_removed(name)

    def _apply_added(self, entry: Entry) -> None:
        self._entries[entry.name] = entry
        self._last_serial = entry.serial

    def _apply_removed(self, name: str) -> None:
        if self._entries.pop(name, None):
            self._on_removed(name)


class SharedRegistry(Registry):
    """Keep the entries of several processes."""

    def __init__(self, path: Path, *, on_removed: Callable[[str], None]) -> None:
        """Open the journal, which may be new."""
        super().__init__(on_removed=on_removed)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with self._locked(fcntl.LOCK_EX):
            if os.fstat(self._file).st_size < _START:
                os.ftruncate(self._file, _START)
        self._page = mmap.mmap(self._file, _START)
        self._seen = (0, 0, 0, 0, 0)

    def is_current(self) -> bool:
        """Tell whether nothing has changed since the last look."""
        changes: int = _HEADER.unpack_from(self._page)[0]
        return changes == self._seen[0]

    def refresh(self) -> None:
        """Learn what other workers have changed."""
        if not self.is_current():
            with self._locked(fcntl.LOCK_SH):
                self._replay()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Keep others from changing anything, with all that they have changed known."""
        with self._locked(fcntl.LOCK_EX):
            self._replay()
            yield

    def add(self, name: str, *, url: str, digest: str) -> Entry:
        """Add a model; within `changing`."""
        entry = super().add(name, url=url, digest=digest)
        self._append(_addition(entry))
        return entry

    def remove(self, name: str) -> None:
        """Remove a model; within `changing`."""
        super().remove(name)
        self._append(_removal(name))

    def _append(self, line: bytes) -> None:
        changes, rewrites, start, size, base = self._seen
        if size - base > max(_COMPACT_BYTES, _COMPACT_RATIO * base):
            line = b"".join((b"%d\n" % self._last_serial, *map(_addition, self._entries.values())))
            # Beside the old journal, which counts until the header says otherwise, whoever dies in between.
            start, size = 0 if len(line) <= start else start + size, 0
            rewrites, base = rewrites + 1, len(line)
        os.pwrite(self._file, line, _START + start + size)
        self._seen = (changes + 1, rewrites, start, size + len(line), base)
        _HEADER.pack_into(self._page, 0, *self._seen)

    def _replay(self) -> None:
        """Read what has been added since the last look, or all that was written anew."""
        seen, self._seen = self._seen, _HEADER.unpack_from(self._page)
        _, rewrites, start, size, _ = self._seen
        is_anew = rewrites != seen[1]
        begin = 0 if is_anew else seen[3]
        lines = os.pread(self._file, size - begin, _START + start + begin).splitlines()
        before, self._entries = self._entries, {} if is_anew else self._entries
        for line in lines:
            self._apply(orjson.loads(line))
        if is_anew:
            for name, entry in before.items():
                if self._entries.get(name) != entry:
                    self._on_removed(name)

    def _apply(self, change: Any) -> None:
        if isinstance(change, int):
            self._last_serial = change
        elif isinstance(change, str):
            self._apply_removed(change)
        else:
            self._apply_added(Entry(*change))

    @contextmanager
    def _locked(self, kind: int) -> Iterator[None]:
        fcntl.flock(self._file, kind)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)


def _addition(entry: Entry) -> bytes:
    return orjson.dumps([entry.name, entry.url, entry.digest, entry.serial]) + b"\n"


def _removal(name: str) -> bytes:
    return orjson.dumps(name) + b"\n"
