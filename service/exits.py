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
INTERRUPTED: Final = 130
"""By Ctrl-C, as shells say it: 128 + SIGINT."""

_CODES: Final = (
    (ConfigurationError, USAGE),
    (ModelNotFoundError, CANNOT_START),
    (ArtifactError, CANNOT_START),
    (CheckFailedError, CHECK_FAILED),
)


def run(command: Callable[[], object]) -> int:
    """Run a command and return its exit code; an error is one message on stderr, never a trace."""
    try:
        command()
    except SystemExit as exc:  # typer's own way out: 0 for help, 2 for usage
        return exc.code if isinstance(exc.code, int) else FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # nobody reads the results, as behind `| head`
        return FAILED
    except ServiceError as exc:
        return _report(exc)
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


def _report(error: ServiceError) -> int:
    """Say what went wrong, and return the code for its kind."""
    prefix = "" if isinstance(error, CheckFailedError) else "Error: "
    sys.stderr.write(f"{prefix}{error}\n")
    return next((code for kind, code in _CODES if isinstance(error, kind)), FAILED)
