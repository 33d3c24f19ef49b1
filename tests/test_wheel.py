"""The wheel holds the package, all of it and nothing else."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import service

ROOT = Path(__file__).parents[1]


@pytest.fixture(name="wheel", scope="module")
def _wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(folder), str(ROOT)],
        capture_output=True,
        check=True,
    )
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "service"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}

    assert names == {name for name in tracked.stdout.splitlines() if (ROOT / name).is_file()}


def test_the_wheel_names_its_command_and_extras(wheel: Path) -> None:
    info = f"segserve-{service.__version__}.dist-info"
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(f"{info}/METADATA").decode()
        entry_points = archive.read(f"{info}/entry_points.txt").decode()

    assert "segserve = service.__main__:main" in entry_points
    assert "Provides-Extra: train" in metadata
    assert "Requires-Python: >=3.11" in metadata
    assert not [
        line
        for line in metadata.splitlines()
        if line.startswith("Requires-Dist: scikit-learn") and "extra" not in line
    ]
