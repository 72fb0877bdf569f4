"""`msnmo apply`, ended in the middle: what is there is whole, and a second call completes it."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from msnmo.apply.__main__ import main as apply
from tests.attacks.attack import Attack, Place, begin, done, said_of
from tests.check.hostile import write_good

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
SHARES = (0.2, 0.5, 0.8)
"""Of the time that a call takes which nobody disturbs."""
SCAN = "sub-good"


@dataclass(frozen=True)
class Undisturbed:
    """What a call writes that nobody disturbs, by name, and how long it takes."""

    files: dict[str, str]
    seconds: float


def undisturbed(place: Place) -> Undisturbed:
    """Apply the bundle to a scan."""
    arguments = _arguments(place)
    started = time.monotonic()
    done(place.run(apply, *arguments))
    return Undisturbed(_written(place.out), time.monotonic() - started)


def _arguments(place: Place) -> list[str]:
    if not (place.given / "good").exists():
        write_good(place.given / "good", 0)
    options = ("--bundle", place.get("bundle"), "--out", place.out, "--device", "cpu")
    return [str(each) for each in (*options, place.given / "good/flair.nii.gz", "--ids", "good")]


def _written(out: Path) -> dict[str, str]:
    """Return the digests of tables and images: pages and records tell of times as well."""
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.name.endswith((".nii.gz", ".tsv"))
    }


def _at_work(place: Place) -> list[int]:
    """Return the processes that were started to work in the attack's folder for scratch files."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            if os.fsencode(place.folder / "tmp") in (each / "environ").read_bytes():
                found.append(int(each.name))
        except OSError:  # gone, or another user's
            continue
    return found


def _ended(number: signal.Signals, share: float) -> Callable[[Place], None]:
    def run(place: Place) -> None:
        whole: Undisturbed = place.get("applied")
        child = begin(place.folder, apply, _arguments(place))
        time.sleep(share * whole.seconds)
        os.kill(child, number)
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        killed = number == signal.SIGKILL
        # on a machine that has little else to do it may have been done before
        assert code in (0, -number if killed else 128 + number), (code, said_of(place.folder))
        assert "Traceback" not in "".join(said_of(place.folder))
        anat = f"{SCAN}/anat/"
        there = {name for name in _written(place.out) if name.startswith(anat)}
        assert there in (set(), {name for name in whole.files if name.startswith(anat)})
        if not killed:
            assert not _at_work(place), "what it started goes on"
            assert not list((place.folder / "tmp").iterdir())
            assert not list(place.out.rglob(".tmp-*"))
        for each in _at_work(place):  # SIGKILL leaves a step, which ends of itself
            os.kill(each, signal.SIGKILL)
        for each in (place.folder / "tmp").iterdir():
            each.rename(place.folder.with_name(f"{place.folder.name}.left"))
        done(place.run(apply, *_arguments(place)))
        assert _written(place.out) == whole.files

    return run


ATTACKS = [
    Attack("kills of msnmo apply", f"{number.name} at {share:.0%}", _ended(number, share))
    for number in SIGNALS
    for share in SHARES
]
