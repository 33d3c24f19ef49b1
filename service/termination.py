"""End once: whoever is ending is told so no more."""

import signal


def ignore_sigterm() -> None:
    """Ignore every further SIGTERM, from the main thread, where a Python function has handled it so far.

    One that came amid this would be reported with a trace, since nothing handles it any more: it is held back
    until the system throws it away.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
