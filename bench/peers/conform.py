"""Check other servers and print their table: `python -m bench.peers conform FOLDER [NAME]`.

Environments, logs and verdicts are kept in FOLDER.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from service.conformance.clause import Needs
from service.conformance.clauses import CLAUSES
from service.conformance.http_checks import run_checks
from service.conformance.samples import CSV, JSON, Sample
from service.conformance.server import OK
from service.conformance.wire import Address, NoAnswerError, ask
from service.errors import ConfigurationError

APPS_DIR: Final = Path(__file__).parent / "apps"
PORT: Final = 18080
START_S: Final = 90
STOP_S: Final = 20
RECORDS: Final = b"[[25, 1250.0], [45, 3000.5]]"
FRAME: Final = b'{"dataframe_split": {"columns": ["a", "b"], "data": [[25, 1250.0], [45, 3000.5]]}}'
FRAME_CSV: Final = Sample(b"a,b\n25,1250.0\n45,3000.5\n", CSV)
MARKS: Final = {"pass": "yes", "fail": "**no**", "warn": "warning", "skip": "-"}


@dataclass(frozen=True, slots=True)
class Peer:
    """Hold how to start a server, and what it takes."""

    name: str
    packages: Sequence[str]
    shown: Sequence[str]
    """The packages whose versions matter."""
    command: Sequence[str]
    """Its first word is a program of the environment."""
    requests: Sequence[Sample]
    variables: Mapping[str, str] = field(default_factory=dict)


PEERS: Final = (
    Peer("segserve", (), ("segserve",), ("segserve", "demo", "--port", f"{PORT}"), ()),
    Peer(
        "gunicorn + Flask",
        ("flask", "gunicorn", "scikit-learn"),
        ("Flask", "gunicorn"),
        ("gunicorn", "--bind", f"0.0.0.0:{PORT}", "--workers", "2", "flask_app:app"),
        (Sample(RECORDS, JSON),),
    ),
    Peer(
        "FastAPI tutorial",
        ("fastapi[standard]", "scikit-learn"),
        ("fastapi", "uvicorn"),
        ("uvicorn", "--host", "0.0.0.0", "--port", f"{PORT}", "fastapi_app:app"),
        (Sample(RECORDS, JSON),),
    ),
    Peer(
        "MLflow",
        ("mlflow", "scikit-learn"),
        ("mlflow", "uvicorn"),
        (
            "mlflow",
            "models",
            "serve",
            "-m",
            "mlflow-model",
            "-h",
            "0.0.0.0",
            "-p",
            f"{PORT}",
            "--env-manager",
            "local",
        ),
        (Sample(FRAME, JSON), FRAME_CSV),
    ),
    Peer(
        "MLServer",
        ("mlserver", "mlserver-mlflow", "uvloop<0.22"),  # its workers do not start with a newer uvloop
        ("mlserver", "mlserver-mlflow"),
        ("mlserver", "start", "."),
        (Sample(FRAME, JSON), FRAME_CSV),
        {
            "MLSERVER_HTTP_PORT": f"{PORT}",
            "MLSERVER_MODEL_NAME": "segments",
            "MLSERVER_MODEL_IMPLEMENTATION": "mlserver_mlflow.MLflowRuntime",
            "MLSERVER_MODEL_URI": "./mlflow-model",
        },
    ),
    Peer(
        "BentoML",
        ("bentoml", "scikit-learn", "fastapi"),
        ("bentoml",),
        ("bentoml", "serve", "bentoml_service:Segments", "--port", f"{PORT}"),
        (Sample(b'{"data": %s}' % RECORDS, JSON),),
    ),
)


def main(folder: Path, names: Sequence[str]) -> None:
    """Check each peer, keep its verdicts in FOLDER/NAME.json, and print the table of all that were kept."""
    folder.mkdir(parents=True, exist_ok=True)
    for peer in PEERS:
        if not names or peer.name in names:
            document = check(peer, folder.absolute())
            _kept(folder, peer).write_text(json.dumps(document, indent=2))
    print(
        table(
            {
                peer.name: json.loads(_kept(folder, peer).read_bytes())
                for peer in PEERS
                if _kept(folder, peer).exists()
            }
        )
    )


def check(peer: Peer, folder: Path) -> dict[str, Any]:
    """Start a server in an environment of its own, and check it."""
    programs = _environment(peer, folder)
    work = folder / f"{_slug(peer)}-work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    for path in APPS_DIR.glob("*.py"):
        shutil.copy(path, work)
    if peer.packages:
        subprocess.run([programs / "python", "fit.py", "."], cwd=work, check=True)
    search = f"{programs}{os.pathsep}{os.environ['PATH']}"
    _refuse_taken_port()
    with (folder / f"{_slug(peer)}.log").open("wb") as log:
        process = subprocess.Popen(
            [programs / peer.command[0], *peer.command[1:]],
            cwd=work,
            env={**os.environ, **peer.variables, "PATH": search, "SERVICE_PREFIX": str(work)},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait(process, peer)
            verdicts = list(run_checks(f"http://127.0.0.1:{PORT}", requests=peer.requests))
        finally:
            _stop(process)
    return {
        "versions": {name: _version(programs, name) for name in peer.shown},
        "command": " ".join([*(f"{name}={value}" for name, value in peer.variables.items()), *peer.command]),
        "verdicts": [verdict.as_dict() for verdict in verdicts],
    }


def table(documents: Mapping[str, Any]) -> str:
    """Return the table as Markdown."""
    names = list(documents)
    found = {
        name: {verdict["clause"]: verdict["outcome"] for verdict in document["verdicts"]}
        for name, document in documents.items()
    }
    lines = [f"| clause | | {' | '.join(names)} |", "|---" * (len(names) + 2) + "|"]
    for clause in CLAUSES.values():
        if clause.needs is Needs.URL:
            cells = [MARKS[found[name][clause.id]] for name in names]
            lines.append(f"| {clause.id} {clause.sentence} | {clause.force.value} | {' | '.join(cells)} |")
    for outcome in ("pass", "fail", "warn", "skip"):
        counts = [str(list(found[name].values()).count(outcome)) for name in names]
        lines.append(f"| **{outcome}** | | {' | '.join(counts)} |")
    return "\n".join(lines)


def _environment(peer: Peer, folder: Path) -> Path:
    """Return the folder of programs of an environment with the peer's packages; ours is there already."""
    if not peer.packages:
        return Path(sys.executable).parent
    environment = folder / f"{_slug(peer)}-venv"
    if not (environment / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        subprocess.run(
            [environment / "bin" / "python", "-m", "pip", "install", "--quiet", *peer.packages], check=True
        )
        (environment / "ready").touch()
    return environment / "bin"


def _wait(process: subprocess.Popen[bytes], peer: Peer) -> None:
    """Wait for a healthy ping; a peer that answers, but never so, is checked as it is."""
    end = time.monotonic() + START_S
    status = None
    while time.monotonic() < end and process.poll() is None:
        try:
            status = ask(Address("127.0.0.1", PORT), "GET", "/ping", timeout_s=5).status
        except NoAnswerError:
            status = None
        if status == OK:
            return
        time.sleep(0.2)
    if status is None:
        raise ConfigurationError(f"{peer.name} does not answer; see its log")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a server and what it has started, gently first: some start workers in sessions of their own."""
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _refuse_taken_port() -> None:
    """End when somebody else listens where the peers are to listen."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("0.0.0.0", PORT))


def _version(programs: Path, package: str) -> str:
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    return subprocess.run(
        [programs / "python", "-c", code], check=True, capture_output=True, text=True
    ).stdout.strip()


def _slug(peer: Peer) -> str:
    return "".join(sign if sign.isalnum() else "-" for sign in peer.name.lower())


def _kept(folder: Path, peer: Peer) -> Path:
    return folder / f"{_slug(peer)}.json"
