"""How a training reacts to a scheduler's request to stop (SIGTERM)."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

EXIT_CODE = 128 + signal.SIGTERM
# Schedulers kill about 30 s after the request, so later work would be lost anyway
GRACE_SECONDS = 20.0


def stop_on_sigterm(message: str, grace_seconds: float = GRACE_SECONDS) -> Callable[[], bool]:
    """Return a function that says whether SIGTERM has come.

    Code that calls it in time can end cleanly. If the process has not ended by itself after the
    grace period, it is ended with `message` on stderr and exit code 143. A Python signal handler
    runs only after the current operation, which at full size on a CPU can take longer than a
    scheduler waits. So a thread waits for the signal. Ending at any moment is safe, as every file
    is written under a temporary name and then renamed.
    """
    asked = threading.Event()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    # the wake-up byte is written only for signals with a Python handler
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.set_wakeup_fd(writer)
    arguments = (reader, asked, grace_seconds, message)
    threading.Thread(target=_wait, args=arguments, daemon=True).start()
    return asked.is_set


def _wait(reader: int, asked: threading.Event, grace_seconds: float, message: str) -> NoReturn:
    while os.read(reader, 1)[0] != signal.SIGTERM:
        pass  # another signal, with its own handler
    asked.set()
    threading.Event().wait(grace_seconds)
    leave(message)


def leave(message: str) -> NoReturn:
    """Print a message to stderr and end the process with exit code 143."""
    try:
        print(f"msnmo: error: {message}", file=sys.stderr, flush=True)
    finally:  # the reader of our stderr may have been stopped first
        os._exit(EXIT_CODE)
