"""The store is readable at any moment: with several writers, and when one is killed half-way."""

import multiprocessing
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service.artifact import Artifact, Provenance, read_artifact
from service.errors import ModelNotFoundError, StoreError
from service.store import CHANNELS, Store

PROVENANCE = Provenance(python="3.11", libraries={}, git_revision=None, data_digest="0" * 64)


@pytest.fixture(name="store")
def _store(tmp_path: Path) -> Store:
    return Store(tmp_path / "models")


def add(store: Store, artifact: Artifact) -> str:
    return store.add(artifact.files, provenance=PROVENANCE)


def test_versions_of_the_same_data_in_the_same_second_differ(store: Store, artifact: Artifact) -> None:
    versions = [add(store, artifact) for _ in range(20)]

    assert len(set(versions)) == 20
    assert sorted(store.versions()) == sorted(versions)
    assert store.latest() == versions[-1]
    assert {read_artifact(store.resolve(version)).model.digest for version in versions} == {
        artifact.model.digest
    }


def test_a_clock_that_stands_still_overwrites_nothing(tmp_path: Path, artifact: Artifact) -> None:
    noon = datetime(2026, 11, 23, 12, tzinfo=UTC)
    times = iter([noon, noon, noon, noon + timedelta(microseconds=1)])
    store = Store(tmp_path / "models", now=lambda: next(times))
    first, second = add(store, artifact), add(store, artifact)

    assert first != second
    assert sorted(store.versions()) == sorted([first, second])


def test_the_version_is_in_the_artifact_it_names(store: Store, artifact: Artifact) -> None:
    version = add(store, artifact)

    assert read_artifact(store.resolve(version)).manifest.model_version == version


def test_files_beside_the_artifact_are_kept(store: Store, artifact: Artifact, tmp_path: Path) -> None:
    rejects = tmp_path / "rejects.csv"
    rejects.write_text("file,line\n")
    version = store.add(artifact.files, provenance=PROVENANCE, beside={"rejects.csv": rejects})

    assert (store.root / version / "rejects.csv").read_text() == "file,line\n"


def test_an_empty_store_says_how_to_make_a_model(store: Store) -> None:
    assert store.versions() == []
    assert store.latest() is None
    with pytest.raises(ModelNotFoundError, match=r"segserve train customers\.csv"):
        store.resolve()


def test_an_unknown_version_is_answered_with_those_there_are(store: Store, artifact: Artifact) -> None:
    version = add(store, artifact)

    with pytest.raises(ModelNotFoundError, match=version):
        store.resolve("20200101T000000Z-00000000")
    with pytest.raises(ModelNotFoundError, match="does not hold"):
        store.resolve("../../etc")


def test_production_is_served_before_latest_and_can_be_rolled_back(store: Store, artifact: Artifact) -> None:
    first, second, third = (add(store, artifact) for _ in range(3))

    assert store.resolve().parent.name == third
    store.promote(first)
    store.promote(second)
    store.promote(second)
    assert store.resolve().parent.name == second
    assert store.resolve("latest").parent.name == third
    assert store.rollback() == first
    assert store.resolve("production").parent.name == first
    with pytest.raises(ModelNotFoundError, match="no earlier production"):
        store.rollback()


def test_of_two_who_roll_back_at_once_one_is_told_that_there_is_nothing_left(
    store: Store, artifact: Artifact
) -> None:
    first, second = add(store, artifact), add(store, artifact)
    store.promote(first)
    store.promote(second)
    with ThreadPoolExecutor(2) as pool, store._locked():
        waiting = [pool.submit(store.rollback) for _ in range(2)]
        wait(waiting, timeout=0.2)  # both have seen that there is something, and wait for the lock
    results = [future.exception() or future.result() for future in waiting]

    assert [result for result in results if isinstance(result, str)] == [first]
    assert [type(result) for result in results if not isinstance(result, str)] == [ModelNotFoundError]


def test_unfinished_and_foreign_folders_are_not_versions(store: Store, artifact: Artifact) -> None:
    version = add(store, artifact)
    (store.root / "20261123T120000Z-deadbeef").mkdir()
    (store.root / ".unfinished-x").mkdir()
    (store.root / "notes").mkdir()

    assert store.versions() == [version]


def test_damaged_channels_are_reported_with_the_remedy(store: Store, artifact: Artifact) -> None:
    add(store, artifact)
    (store.root / CHANNELS).write_text("{")

    with pytest.raises(StoreError, match="Delete it to go on"):
        store.resolve()
    (store.root / CHANNELS).unlink()
    assert store.resolve().is_file()


def test_a_store_that_cannot_be_written_is_an_error(tmp_path: Path, artifact: Artifact) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreError, match="cannot be written"):
        add(Store(tmp_path / "file" / "models"), artifact)


def _add_many(root: Path, store_path: Path, n: int) -> list[str]:
    store = Store(root)
    artifact = read_artifact(Store(store_path).resolve())
    return [store.add(artifact.files, provenance=PROVENANCE) for _ in range(n)]


def test_writers_in_several_processes_lose_nothing(store: Store, store_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        results = pool.starmap(_add_many, [(store.root, store_path, 15)] * 3)
    added = [version for versions in results for version in versions]

    assert len(set(added)) == 45
    assert sorted(store.versions()) == sorted(added)
    assert store.latest() in added


def test_writers_in_several_threads_lose_nothing(store: Store, artifact: Artifact) -> None:
    with ThreadPoolExecutor(4) as pool:
        added = list(pool.map(lambda _: add(store, artifact), range(24)))

    assert len(set(added)) == 24
    assert sorted(store.versions()) == sorted(added)


KILLED = """
import os, signal, sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from service import store as subject
from service.artifact import Provenance, read_artifact

step, left = sys.argv[1], int(sys.argv[2])

def killing(function):
    def call(*args, **kwargs):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return call

owner, name = {"fsync": (os, "fsync"), "rename": (Path, "rename"), "replace": (Path, "replace"),
               "open": (Path, "open"), "mkdir": (Path, "mkdir"), "chmod": (Path, "chmod")}[step]
setattr(owner, name, killing(getattr(owner, name)))
artifact = read_artifact(subject.Store(Path(sys.argv[4])).resolve())
subject.Store(Path(sys.argv[3])).add(
    artifact.files, provenance=Provenance(python="", libraries={}, git_revision=None, data_digest=""))
"""


def test_a_writer_killed_at_any_step_leaves_a_readable_store(
    store: Store, artifact: Artifact, store_path: Path
) -> None:
    before = add(store, artifact)
    killed = 0
    for step in ("fsync", "rename", "replace", "open", "mkdir", "chmod"):
        for count in range(1, 8):
            arguments = [step, str(count), str(store.root), str(store_path)]
            result = subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False, env=os.environ)
            killed += result.returncode == -signal.SIGKILL
            assert result.returncode in {0, -signal.SIGKILL}
            for version in store.versions():
                assert read_artifact(store.resolve(version)).model.digest == artifact.model.digest
            assert before in store.versions()
            assert store.resolve().is_file()
            if result.returncode == 0:
                break
    assert killed >= 10
    assert add(store, artifact) in store.versions()
