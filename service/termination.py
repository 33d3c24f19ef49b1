"""End once: whoever is ending is told so no more."""

import signal
import sys

_RACE = f"Signal {signal.SIGTERM:d} ignored due to race condition"
"""What CPython says, with a trace, of a signal that came just before nobody handled it any more."""


def ignore_sigterm() -> None:
    """Ignore every further SIGTERM, from the main thread, where a Python function has handled it so far.

    One that comes amid this is ignored as well, without a word: the system may hand it to any thread, so that
    to hold it back in this one would not do.
    """
    report = sys.unraisablehook

    def report_others(unraisable: "sys.UnraisableHookArgs") -> None:
        if str(unraisable.exc_value) != _RACE:
            report(unraisable)

    sys.unraisablehook = report_others
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
