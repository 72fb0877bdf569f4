"""Work that goes on beside the caller, such as writing one scan while a network sees the next."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

THREADS = 2
WAITING = 2
"""Calls that wait beyond those that run: each holds a scan's maps in memory."""

Call = Callable[..., None]


@contextlib.contextmanager
def in_background(threads: int = THREADS, waiting: int = WAITING) -> Iterator[Call]:
    """Yield a function that runs another function with its arguments on a thread.

    It returns at once, unless the largest number of calls is already waiting. When the block ends,
    all calls are done. If a call fails, its error is raised by a later call or at the end of the
    block. Calls that have not begun are then dropped, and running ones end before the error is
    raised. So no call still writes when the caller removes what was written.

    Parameters
    ----------
    threads : int
        Calls that run at one time; numpy, scipy and gzip compute in threads side by side.
    waiting : int
        Calls that may wait.
    """
    given: deque[Future[Any]] = deque()
    pool = ThreadPoolExecutor(threads, "background")

    def call(function: Callable[..., Any], *arguments: Any) -> None:
        while len(given) >= threads + waiting:
            given.popleft().result()
        given.append(pool.submit(function, *arguments))

    try:
        yield call
        while given:
            given.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
