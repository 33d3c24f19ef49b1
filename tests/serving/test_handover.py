"""What is handed over to another process is the same artifact, its signature included."""

from multiprocessing import get_context
from pathlib import Path

from service.artifact import Artifact, read_artifact
from service.serving.handover import SharedArtifact
from service.signing import PrivateKey
from tests.conftest import DEADLINE_S
from tests.untrusted import archived, signed


def copy(shared: SharedArtifact, path: Path) -> None:
    """Write what is read as an archive; the second reading finds as much as the first."""
    shared.read()
    path.write_bytes(archived(shared.read().sealed_files))


def test_another_process_reads_the_same_artifact(tmp_path: Path, artifact: Artifact) -> None:
    path = tmp_path / "model.tar.gz"
    path.write_bytes(archived(signed(artifact.files, PrivateKey.generate())))
    whole = read_artifact(path)
    shared = SharedArtifact.of(whole)
    process = get_context("spawn").Process(target=copy, args=(shared, tmp_path / "copy.tar.gz"))
    process.start()
    process.join(DEADLINE_S)

    assert process.exitcode == 0
    assert whole.signature is not None
    assert read_artifact(tmp_path / "copy.tar.gz") == whole
    assert shared.read() == whole
