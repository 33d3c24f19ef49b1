"""Run a command that must not outlive who asked for it; started as a file, with nothing but the library.

    python -I -S guardian.py COMMAND [ARGUMENT...]

The one who asked holds the other end of stdin. When that end closes, also because its holder was killed, the
command's whole process group gets SIGTERM, and SIGKILL after a grace; a number on stdin beforehand is that
grace in seconds. Exits as the command does.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading

_GRACE_S = 5.0


def _signal_group(leader: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def _follow(process: "subprocess.Popen[bytes]") -> None:
    """Wait for the end of stdin, then end the command."""
    grace_s = _GRACE_S
    with contextlib.suppress(ValueError, OSError):
        grace_s = float(os.fdopen(0, "rb").read() or _GRACE_S)
    _signal_group(process.pid, signal.SIGTERM)
    try:
        process.wait(grace_s)
    except subprocess.TimeoutExpired:
        _signal_group(process.pid, signal.SIGKILL)


def main(command: list[str]) -> int:
    """Run the command until it ends or nobody wants it any more."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)  # noqa: S603
    # It ends when stdin does, never on its own. Only now, since a command inherits what is ignored.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_follow, args=[process], daemon=True).start()
    code = process.wait()
    _signal_group(process.pid, signal.SIGKILL)  # what the command has left behind
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
