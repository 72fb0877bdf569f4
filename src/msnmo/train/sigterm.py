"""What a scheduler's request to stop (SIGTERM) does to a training."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import NoReturn

EXIT_CODE = 128 + signal.SIGTERM


def leave_on_sigterm(message: str) -> None:
    """Print `message` to stderr and end the process with exit code 143 as soon as SIGTERM comes.

    A Python signal handler would run only after the operation under way; at full size on a CPU that
    takes longer than the half minute between a scheduler's SIGTERM and its SIGKILL. So a thread
    waits for the signal. Leaving at any moment is safe: every file is written under a temporary
    name and renamed.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    # the wake-up is written for signals that have a Python handler only
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.set_wakeup_fd(writer)
    threading.Thread(target=_leave, args=(reader, message), daemon=True).start()


def _leave(reader: int, message: str) -> NoReturn:
    while os.read(reader, 1)[0] != signal.SIGTERM:
        pass  # another signal, which has its own handler
    try:
        print(f"msnmo: error: {message}", file=sys.stderr, flush=True)
    finally:  # whoever read our stderr may have been stopped first
        os._exit(EXIT_CODE)
