"""Requests to end that are put off: none is lost, whenever it comes."""

import signal

import pytest

from msnmo.core.errors import REQUESTS, leaving_on_request
from msnmo.core.signals import made_and_removed, signals_put_off

CHANGES = 2 * (1 + len(REQUESTS))
"""Calls by which a block changes all handlers and changes them back."""


@pytest.fixture
def raised_at(monkeypatch):
    """Raise a signal before or after the n-th change of a handler."""
    change = signal.signal

    def prepare(number, place, before):
        count = 0

        def changed(which, handler):
            nonlocal count
            count += 1
            due = count == place
            if due and before:
                signal.raise_signal(number)
            was = change(which, handler)
            if due and not before:
                signal.raise_signal(number)
            return was

        monkeypatch.setattr(signal, "signal", changed)

    yield prepare
    monkeypatch.undo()


def put_off(*numbers):
    with leaving_on_request(), signals_put_off():
        for number in numbers:
            signal.raise_signal(number)


def test_a_request_is_heard_at_the_end_of_the_block():
    with pytest.raises(SystemExit, match="143"):
        put_off(signal.SIGTERM)


def test_of_two_requests_the_first_ends_it():
    with pytest.raises(SystemExit, match="129"):
        put_off(signal.SIGHUP, signal.SIGTERM)


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("place", range(1, CHANGES + 1))
@pytest.mark.parametrize("number", REQUESTS, ids=lambda number: number.name)
def test_no_request_is_lost_while_handlers_are_changed(raised_at, number, place, before):
    def command():
        with leaving_on_request():
            raised_at(number, place, before)
            with signals_put_off():
                pass

    with pytest.raises(SystemExit, match=str(128 + number)):
        command()


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("place", range(1, 2 * CHANGES + 1))
def test_what_was_made_is_removed_whenever_the_request_comes(raised_at, place, before):
    made, removed = [], []

    def command():
        with leaving_on_request():
            raised_at(signal.SIGHUP, place, before)
            with made_and_removed(lambda: made.append(1), removed.append):
                pass

    with pytest.raises(SystemExit, match="129"):
        command()
    assert len(removed) >= len(made)


def test_handlers_are_those_of_before():
    def handlers():
        return [signal.getsignal(number) for number in (signal.SIGINT, *REQUESTS)]

    with leaving_on_request():
        was = handlers()
        with signals_put_off() as hear:
            assert not set(was) & set(handlers())
            with signals_put_off():
                pass
            hear()
            assert handlers() == was
        assert handlers() == was
