"""Build an environment a server from hashed pins, once, and say what is in it."""

import json
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Final

from bench.peers.contenders import Contender
from bench.servers import ROOT

PINS_DIR: Final = Path(__file__).parent / "requirements"
CACHE_DIR: Final = ROOT / "build" / "peers"
_VERSIONS: Final = """
import importlib.metadata, json, sys
print(json.dumps({name: importlib.metadata.version(name) for name in sys.argv[1:]}))
"""


class UnavailableError(Exception):
    """A server cannot be measured here; the message says why."""


def programs_of(contender: Contender, *, cache: Path) -> Path:
    """Return the folder of programs of a server's environment, built first if need be.

    Raises:
        UnavailableError: It cannot be built, or the machine lacks a program.
    """
    for program in contender.programs:
        if shutil.which(program) is None:
            raise UnavailableError(f"{program} is not installed")
    if contender.environment is None:
        return Path(sys.executable).parent
    return build(contender.environment, cache=cache)


def build(name: str, *, cache: Path) -> Path:
    """Return the folder of programs of the environment with the pins of a name.

    Raises:
        UnavailableError: It cannot be built.
    """
    pins = PINS_DIR / f"{name}.txt"
    environment = cache / "venvs" / name
    mark = environment / "ready"
    digest = sha256(pins.read_bytes() + sys.version.encode()).hexdigest()
    if not mark.exists() or mark.read_text() != digest:
        shutil.rmtree(environment, ignore_errors=True)
        _uv("venv", "--quiet", "--python", sys.executable, str(environment))
        # Without dependencies: the pins are complete, and leave out what would break.
        options = ["--quiet", "--no-deps", "--require-hashes", "--compile-bytecode"]
        python = str(environment / "bin" / "python")
        _uv("pip", "install", *options, "--python", python, "--requirement", str(pins))
        mark.write_text(digest)
    return environment / "bin"


def versions(programs: Path, contender: Contender) -> dict[str, str]:
    """Return the versions of a server's packages, and of what it needs of the machine."""
    done = subprocess.run(
        [programs / "python", "-c", _VERSIONS, *contender.shown], check=True, capture_output=True, text=True
    )
    found: dict[str, str] = json.loads(done.stdout)
    for program in contender.programs:
        told = subprocess.run([program, "-v"], check=True, capture_output=True, text=True)
        found[program] = (told.stdout + told.stderr).strip().rpartition("/")[2]
    return found


def _uv(*arguments: str) -> None:
    """Run uv, of our own environment."""
    done = subprocess.run(
        [Path(sys.executable).with_name("uv"), *arguments], check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise UnavailableError(f"its environment cannot be built: {done.stderr.strip()[-500:]}")
