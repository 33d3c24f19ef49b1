"""A storm of SIGTERM while it is being ignored leaves no trace, in whichever thread it arrives."""

import os
import signal
import subprocess
import sys
from contextlib import suppress

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends signals")

SWITCHES = 5000
"""Without precautions about one in 300 is caught between two handlers."""

ENDING = f"""
import signal, sys, threading, time
from service.termination import ignore_sigterm

class Broken:
    def __del__(self):
        raise ValueError("of another kind")

report = sys.unraisablehook
threading.Thread(target=time.sleep, args=[60], daemon=True).start()
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
for _ in range({SWITCHES}):
    sys.unraisablehook = report
    signal.signal(signal.SIGTERM, lambda *_: None)
    ignore_sigterm()
Broken()
print("done", flush=True)
"""


def test_a_signal_between_two_handlers_is_ignored_without_a_word() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", ENDING], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    while process.poll() is None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGTERM)
    out, err = process.communicate()

    assert (process.returncode, out) == (0, "done\n")
    assert "race condition" not in err
    assert err.count("Traceback") == err.count("of another kind") == 1
