"""End a command: what went wrong in one sentence on stderr, and an exit code that says which kind it was."""

import contextlib
import logging
import os
import sys
from collections.abc import Callable
from typing import Final, NoReturn

from service.errors import (
    ArtifactError,
    CheckFailedError,
    ConfigurationError,
    ModelNotFoundError,
    ServiceError,
)

FAILED: Final = 1
USAGE: Final = 2
CANNOT_START: Final = 3
CHECK_FAILED: Final = 4


def run(command: Callable[[], object]) -> int:
    """Run a command and return its exit code; an error is one message on stderr, never a trace."""
    try:
        command()
    except SystemExit as exc:  # typer's own way out: 0 for help, 2 for usage
        return exc.code if isinstance(exc.code, int) else FAILED
    except ConfigurationError as exc:
        return _report(f"Error: {exc}", USAGE)
    except (ModelNotFoundError, ArtifactError) as exc:
        return _report(f"Error: {exc}", CANNOT_START)
    except CheckFailedError as exc:
        return _report(str(exc), CHECK_FAILED)
    except ServiceError as exc:
        return _report(f"Error: {exc}", FAILED)
    return 0


def leave(code: int) -> NoReturn:
    """Exit, after a failure without the interpreter's orderly end.

    What was broken off may have left threads of Arrow amid a file. They call back into the interpreter, which
    can crash it while it ends: an interrupted training was seen to exit with 139.
    """
    if not code:
        sys.exit()
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # nobody reads it, or it is closed
            stream.flush()
    os._exit(code)


def _report(sentence: str, code: int) -> int:
    sys.stderr.write(f"{sentence}\n")
    return code
