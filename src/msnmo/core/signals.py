"""Requests to end, put off while what they would leave behind is known to nobody."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, TypeVar

from msnmo.core.errors import REQUESTS

Made = TypeVar("Made")
Handler = Callable[[int, FrameType | None], Any]


class _Requests:
    """Requests that are noted instead of heard, from `put_off` to `hear`."""

    def __init__(self) -> None:
        self.usual: dict[int, Handler] = {}
        self.came: list[tuple[int, FrameType | None]] = []

    def put_off(self) -> None:
        for number in (signal.SIGINT, *REQUESTS):
            if callable(handler := signal.getsignal(number)):
                self.usual[number] = handler
                signal.signal(number, self._note)

    def hear(self) -> None:
        # all handlers first: what comes meanwhile is noted, or heard by its own, and never lost
        for number, handler in self.usual.items():
            if signal.getsignal(number) == self._note:
                signal.signal(number, handler)
        requests = list(self.came)
        self.came.clear()
        for number, frame in requests:
            # a handler may have changed the others, so that the way out is not broken off
            if signal.getsignal(number) == self.usual[number]:
                self.usual[number](number, frame)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.came.append((number, frame))


@contextlib.contextmanager
def signals_put_off() -> Iterator[Callable[[], None]]:
    """Hear no request to end until the function that this gives is called, or the block ends."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    requests = _Requests()
    try:
        requests.put_off()
        yield requests.hear
    finally:
        requests.hear()


@contextlib.contextmanager
def made_and_removed(make: Callable[[], Made], remove: Callable[[Made], None]) -> Iterator[Made]:
    """Yield what one function makes and another removes, also if a signal ends the process.

    Parameters
    ----------
    make : callable
    remove : callable
        Takes what was made. It is called once more if a signal interrupted the way to it.
    """
    with signals_put_off() as hear:
        made = make()
        try:
            try:
                hear()
                yield made
            finally:
                with signals_put_off():
                    remove(made)
        except BaseException:
            remove(made)
            raise
