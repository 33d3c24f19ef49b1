"""Whatever an archive holds: it is the model that was packed, or it is refused in a sentence."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.archive import write_archive
from service.artifact import MANIFEST, MODEL, Artifact, read_artifact
from service.errors import ArtifactError


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    return tmp_path / "model.tar.gz"


def read(path: Path, content: bytes) -> Artifact | None:
    """Return the artifact, None where it is refused; anything else that is raised is a failure."""
    path.write_bytes(content)
    found, problem = None, ""
    try:
        found = read_artifact(path)
    except ArtifactError as exc:
        problem = str(exc)

    assert "\n" not in problem
    assert len(problem) < 600
    return found


CUTS = st.tuples(st.floats(0, 1), st.binary(max_size=8), st.integers(0, 8))
"""Where in the bytes, as a share; what is put there; and how many bytes it replaces."""


def changed(content: bytes, cuts: list[tuple[float, bytes, int]]) -> bytes:
    for share, piece, length in cuts:
        start = int(share * len(content))
        content = content[:start] + piece + content[start + length :]
    return content


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(CUTS, min_size=1, max_size=3))
def test_a_changed_archive_is_the_model_or_refused(
    artifact: Artifact, store_path: Path, path: Path, cuts: list[tuple[float, bytes, int]]
) -> None:
    found = read(path, changed(next(store_path.glob("*/model.tar.gz")).read_bytes(), cuts))

    assert found is None or found.model == artifact.model


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from([MODEL, MANIFEST]), cuts=st.lists(CUTS, min_size=1, max_size=3))
def test_a_changed_document_is_the_model_or_refused(
    artifact: Artifact, path: Path, name: str, cuts: list[tuple[float, bytes, int]]
) -> None:
    files = {**artifact.files, MANIFEST: artifact.sealed}
    files[name] = changed(files[name], cuts)
    found = read(path, write_archive(files))

    assert found is None or found.model == artifact.model


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=400))
def test_bytes_are_refused(path: Path, content: bytes) -> None:
    assert read(path, content) is None


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    files=st.dictionaries(
        st.sampled_from([MODEL, MANIFEST, "training.json", "report.html"]), st.binary(max_size=60), max_size=4
    )
)
def test_any_files_are_refused(path: Path, files: dict[str, bytes]) -> None:
    assert read(path, write_archive(files)) is None
