"""What a scheduler's request to stop (SIGTERM) does to a training."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

EXIT_CODE = 128 + signal.SIGTERM
# Schedulers kill some 30 s after they ask; what is not done by then would be killed anyway
GRACE_SECONDS = 20.0


def stop_on_sigterm(message: str, grace_seconds: float = GRACE_SECONDS) -> Callable[[], bool]:
    """Return a function that says whether SIGTERM has come.

    Whoever asks it in time can leave in good order. If the process has not ended by itself after
    the grace, it is ended with `message` on stderr and exit code 143: a Python signal handler runs
    only after the operation under way, which at full size on a CPU can take longer than a scheduler
    waits, so a thread waits for the signal. Leaving at any moment is safe: every file is written
    under a temporary name and renamed.
    """
    asked = threading.Event()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    # the wake-up is written for signals that have a Python handler only
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.set_wakeup_fd(writer)
    arguments = (reader, asked, grace_seconds, message)
    threading.Thread(target=_wait, args=arguments, daemon=True).start()
    return asked.is_set


def _wait(reader: int, asked: threading.Event, grace_seconds: float, message: str) -> NoReturn:
    while os.read(reader, 1)[0] != signal.SIGTERM:
        pass  # another signal, which has its own handler
    asked.set()
    threading.Event().wait(grace_seconds)
    leave(message)


def leave(message: str) -> NoReturn:
    """Print a message to stderr and end the process with exit code 143."""
    try:
        print(f"msnmo: error: {message}", file=sys.stderr, flush=True)
    finally:  # whoever read our stderr may have been stopped first
        os._exit(EXIT_CODE)
