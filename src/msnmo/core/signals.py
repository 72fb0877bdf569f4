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


@contextlib.contextmanager
def signals_put_off() -> Iterator[Callable[[], None]]:
    """Hear no request to end until the function that this gives is called, or the block ends."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    usual: dict[int, Callable[[int, FrameType | None], Any]] = {}
    came: list[tuple[int, FrameType | None]] = []

    def hear() -> None:
        # once: a handler may change the handlers, so that the way out is not broken off
        handlers, requests = dict(usual), list(came)
        usual.clear()
        came.clear()
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number, frame in requests:
            handlers[number](number, frame)

    for number in (signal.SIGINT, *REQUESTS):
        if callable(handler := signal.getsignal(number)):
            usual[number] = handler
            signal.signal(number, lambda *heard: came.append(heard))
    try:
        yield hear
    finally:
        hear()


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
