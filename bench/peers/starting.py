"""Start a server of the comparison in a folder of its own, on cores of its own."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.peers.contenders import JOBLIB, Contender
from bench.servers import ROOT, Server, free_port, launched

APPS_DIR: Final = Path(__file__).parent / "apps"
_MARKED: Final = ".conf"
"""The suffix of files in which the marks are filled in, too."""
_PREPARE_S: Final = 120


@dataclass(frozen=True, slots=True)
class Model:
    """Hold where the one model is that all of them serve."""

    store: Path
    """Of segserve."""
    joblib: Path

    @property
    def artifact(self) -> Path:
        """Return the latest artifact of the store; version ids sort by time."""
        return max(self.store.glob("*/model.tar.gz"))


@contextmanager
def started(
    contender: Contender, programs: Path, model: Model, *, workers: int, cores: Collection[int]
) -> Iterator[Server]:
    """Run a server while the block runs; it may use some cores only.

    Raises:
        RuntimeError: It does not start.
    """
    port = free_port()
    with tempfile.TemporaryDirectory(prefix=f"{contender.name}-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # the workers of nginx are nobody
        marks = {
            "@PORT@": str(port),
            "@WORKERS@": str(workers),
            "@FOLDER@": name,
            "@STORE@": str(model.store),
            "@ARTIFACT@": str(model.artifact),
        }
        environment = {
            **{key: _fill(value, marks) for key, value in contender.variables.items()},
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT) if contender.environment is None else name,
            "HOME": name,
        }
        _prepare(folder, contender, programs, model, marks)
        command = [_fill(word, marks) for word in contender.command]
        pinned = ["taskset", "--cpu-list", ",".join(map(str, sorted(cores)))] if cores else []
        with launched(
            contender.name,
            [*pinned, *_located(command, programs)],
            port=port,
            ping=contender.ping,
            folder=folder,
            variables=environment,
        ) as server:
            yield server


def spread(server: Server, cores: Collection[int]) -> None:
    """Let all of a running server use other cores."""
    for pid in server.family():
        for task in Path(f"/proc/{pid}/task").iterdir():
            try:
                os.sched_setaffinity(int(task.name), cores)
            except ProcessLookupError:
                continue  # a thread that has just ended


def _prepare(
    folder: Path, contender: Contender, programs: Path, model: Model, marks: Mapping[str, str]
) -> None:
    """Copy what a server needs to its folder, which the first time takes longer."""
    if not contender.programs and contender.environment is None:
        return
    prepared = model.joblib.parent / f"prepared-{contender.name}"
    if not prepared.exists():
        shutil.copytree(APPS_DIR, prepared)
        (prepared / "ml").mkdir()
        shutil.copy(model.joblib, prepared / JOBLIB)
        if contender.before:
            subprocess.run(
                _located(contender.before, programs),
                cwd=prepared,
                check=True,
                capture_output=True,
                timeout=_PREPARE_S,
            )
    shutil.copytree(prepared, folder, dirs_exist_ok=True)
    for path in folder.iterdir():
        if path.suffix == _MARKED:
            path.write_text(_fill(path.read_text(), marks))


def _located(command: Collection[str], programs: Path) -> list[str]:
    """Return a command with the full path of its program, where that is one of the environment."""
    first, *rest = command
    path = programs / first
    return [str(path) if path.exists() else first, *rest]


def _fill(text: str, marks: Mapping[str, str]) -> str:
    for mark, value in marks.items():
        text = text.replace(mark, value)
    while "@SPARE@" in text:
        text = text.replace("@SPARE@", str(free_port()), 1)
    return text
