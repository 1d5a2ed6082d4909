"""SIGINT, which Ctrl-C sends: how a run is asked to save and stop."""

from __future__ import annotations

import signal


def react_to_interrupt() -> None:
    """Raise KeyboardInterrupt on SIGINT even if this process was started with SIGINT ignored.

    A shell without job control, such as one that runs a script, starts background jobs that way,
    and their children inherit it. Python then installs no handler: `cobatrain compare` could not
    be stopped by SIGINT at all. Every `cobatrain` process calls this, also those that `compare`
    starts. The price: Ctrl-C in a script's terminal also stops a `cobatrain` in its background.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
