"""Take memory without a name, which processes share and which needs no folder that can be written."""

import os
import tempfile
from multiprocessing import reduction
from typing import Any, Self

import msgspec

from service.artifact import Artifact, unseal


def take_memory(size_bytes: int) -> int:
    """Return a file descriptor of memory that is all zeros."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("segserve")
    else:  # not Linux
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    os.ftruncate(fd, size_bytes)
    return fd


class SharedArtifact:
    """Hold an artifact for processes that are started later; pass it to `multiprocessing`.

    `multiprocessing` writes what a new process gets into a pipe, whose other end it holds open meanwhile. A
    new process that is killed before it has read more than fits into a pipe leaves the supervisor waiting for
    ever.
    Source: multiprocessing/popen_spawn_posix.py, `Popen._launch`; pipe(7), "Pipe capacity".
    """

    def __init__(self, fd: int) -> None:
        """Take memory that `of` has filled."""
        self._fd = fd

    @classmethod
    def of(cls, artifact: Artifact) -> Self:
        """Copy an artifact's files into memory."""
        content = msgspec.msgpack.encode(artifact.sealed_files)
        fd = take_memory(len(content))
        with os.fdopen(os.dup(fd), "wb") as file:
            file.write(content)
        return cls(fd)

    def read(self) -> Artifact:
        """Return the artifact, verified again."""
        content = os.pread(self._fd, os.fstat(self._fd).st_size, 0)  # processes share the descriptor's offset
        return unseal(msgspec.msgpack.decode(content, type=dict[str, bytes]))

    def __reduce__(self) -> Any:
        """Hand the memory, not its content, to the process that is being started."""
        return _receive, (reduction.DupFd(self._fd),)


def _receive(handed_over: Any) -> SharedArtifact:
    return SharedArtifact(handed_over.detach())
