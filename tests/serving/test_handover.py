"""What one process hands over to another is the same artifact, its signature included."""

import pickle
from multiprocessing import get_context, reduction
from pathlib import Path

import pytest

from service.artifact import Artifact, read_artifact
from service.serving.handover import SharedArtifact
from service.signing import PrivateKey
from tests.untrusted import archived, signed


def read_digest(shared: SharedArtifact) -> tuple[str, bytes | None]:
    found = shared.read()
    return found.model.digest, found.signature


def test_another_process_reads_the_same_artifact(tmp_path: Path, artifact: Artifact) -> None:
    path = tmp_path / "model.tar.gz"
    path.write_bytes(archived(signed(artifact.files, PrivateKey.generate())))
    whole = read_artifact(path)
    shared = SharedArtifact.of(whole)
    path.unlink()

    assert whole.signature is not None
    assert [shared.read() for _ in range(2)] == [whole, whole]
    with get_context("spawn").Pool(1) as pool, pytest.raises(RuntimeError):
        pool.apply(read_digest, (shared,))  # only a process that is being started is handed memory
