"""Disks that are full or read-only: one clear sentence, nothing half-written, nothing lost."""

import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from service.artifact import read_artifact
from service.store import Store
from tests.conftest import DEADLINE_S, Starter
from tests.faults.conftest import Mounter, check_one_sentence, segserve

FULL = "No space left on device"
READ_ONLY = "Read-only file system"
BODY = b"[[25, 1250.0]]"


def make_read_only(folder: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)


def fill(folder: Path, *, but_kib: int) -> None:
    """Take all room on a disk but so much."""
    left = shutil.disk_usage(folder).free - but_kib * 1024
    (folder / "ballast").write_bytes(bytes(left))


def job_tree(prefix: Path, folder: Path, sample_path: Path) -> Path:
    """Make what a training job finds below a prefix; return its channel, which lies elsewhere."""
    data = folder / "data"
    data.mkdir()
    shutil.copy(sample_path, data)
    (prefix / "input" / "config").mkdir(parents=True)
    return data


def files_in(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and path.name not in {"ballast", ".lock"}
    }


@pytest.mark.parametrize("but_kib", [0, 8, 40])
def test_training_onto_a_full_disk_leaves_the_store_as_it_was(
    mount_small: Mounter, store_path: Path, sample_path: Path, but_kib: int
) -> None:
    disk = mount_small(1024)
    shutil.copytree(store_path, disk / "models")
    fill(disk, but_kib=but_kib)
    before = files_in(disk)
    done = segserve("train", str(sample_path), "--k", "4", "--store", str(disk / "models"))

    check_one_sentence(done, naming=FULL)
    assert files_in(disk) == before
    store = Store(disk / "models")
    assert read_artifact(store.resolve()).manifest.model_version == store.latest()
    (disk / "ballast").unlink()
    assert segserve("train", str(sample_path), "--k", "4", "--store", str(disk / "models")).returncode == 0
    assert len(store.versions()) == 2


@pytest.mark.parametrize(
    "command",
    [
        ("report", "--store", "{store}", "-o", "{disk}/report.html"),
        ("score", "{sample}", "--store", "{store}", "-o", "{disk}/scored.csv"),
        ("sample-data", "--n", "50000", "-o", "{disk}/sample.csv"),
    ],
    ids=lambda command: command[0],
)
def test_a_file_that_does_not_fit_is_not_there_at_all(
    mount_small: Mounter, store_path: Path, sample_path: Path, command: tuple[str, ...]
) -> None:
    disk = mount_small(32)
    names = {"store": store_path, "disk": disk, "sample": sample_path}
    done = segserve(*(word.format(**names) for word in command))

    check_one_sentence(done, naming=FULL)
    assert list(disk.iterdir()) == []


def test_a_training_job_on_a_full_disk_writes_its_failure_and_no_half_model(
    mount_small: Mounter, sample_path: Path, tmp_path: Path
) -> None:
    prefix = mount_small(48)
    data = job_tree(prefix, tmp_path, sample_path)
    done = segserve("train", SERVICE_PREFIX=str(prefix), SM_CHANNEL_TRAIN=str(data))

    check_one_sentence(done, naming=FULL)
    assert FULL in (prefix / "output" / "failure").read_text()
    assert files_in(prefix / "model") == set()


def test_a_training_job_that_cannot_even_write_its_failure_shows_no_trace(
    mount_small: Mounter, sample_path: Path, tmp_path: Path
) -> None:
    prefix = mount_small(64)
    data = job_tree(prefix, tmp_path, sample_path)
    make_read_only(prefix)
    done = segserve("train", SERVICE_PREFIX=str(prefix), SM_CHANNEL_TRAIN=str(data))

    check_one_sentence(done, naming=READ_ONLY)
    assert "The failure file cannot be written: Read-only file system" in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ("train", "{sample}", "--k", "4", "--store", "{disk}/models"),
        ("models", "promote", "latest", "--store", "{disk}/models"),
        ("report", "--store", "{disk}/models", "-o", "{disk}/report.html"),
        ("score", "{sample}", "--store", "{disk}/models", "-o", "{disk}/scored.csv"),
    ],
    ids=lambda command: command[0],
)
def test_a_read_only_store_is_read_and_not_written(
    mount_small: Mounter, store_path: Path, sample_path: Path, command: tuple[str, ...]
) -> None:
    disk = mount_small(1024)
    shutil.copytree(store_path, disk / "models")
    make_read_only(disk)
    done = segserve(*(word.format(disk=disk, sample=sample_path) for word in command))

    check_one_sentence(done, naming=READ_ONLY)
    assert segserve("models", "list", "--store", str(disk / "models")).returncode == 0


def test_a_server_needs_no_disk_that_can_be_written(
    mount_small: Mounter, store_path: Path, start: Starter
) -> None:
    disk = mount_small(1024)
    shutil.copytree(store_path, disk / "models")
    make_read_only(disk)
    server = start("--store", str(disk / "models"), "--workers", "2", TMPDIR=str(disk))

    assert httpx.post(f"{server.url}/invocations", content=BODY, timeout=DEADLINE_S).status_code == 200
    assert server.stop() == 0


def test_many_models_in_many_workers_need_a_folder_and_say_which(mount_small: Mounter) -> None:
    disk = mount_small(64)
    make_read_only(disk)
    done = segserve(
        *("serve", "--port", "0", "--workers", "2"), SAGEMAKER_MULTI_MODEL="true", SERVICE_REGISTRY=str(disk)
    )

    check_one_sentence(done, naming="set SERVICE_REGISTRY")
