"""Names of people: where scans are given ids, nothing that is said or written tells a name."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msnmo.apply.__main__ import main as apply
from msnmo.cohort.dicom_patients import read_salt
from msnmo.settings.config import complete_config, nameless, shareable
from tests.attacks.attack import Attack, Place, done, refused
from tests.check.hostile import write_good

NAMES = {
    "a name": "Mustermann_Anna",
    "a name and a birth date": "Mustermann Anna 1970-01-31",
    "a name with its mark": "Müstermann_Anna",
    "a BIDS name": "sub-Mustermann_ses-19700131_FLAIR",
    "a name in brackets": "scan (Mustermann, Anna)",
    "a name with a line end": "Mustermann\nAnna",
    "a name as an option": "Mustermann=Anna",
    "a name with an escape": "\x1b[31mMustermann",
}
WORDS = ("ustermann", "Anna", "1970")
FAULTS: dict[str, Callable[[Path], object]] = {
    "that is not there": Path.unlink,
    "that is cut": lambda path: os.truncate(path, 3000),
    "that is empty": lambda path: os.truncate(path, 0),
    "that is a pipe": lambda path: (path.unlink(), os.mkfifo(path)),
    "that is a link to itself": lambda path: (path.unlink(), path.symlink_to(path.name)),
}


def _named(name: str, change: Callable[[Path], object], *, folder: bool) -> Callable[[Place], None]:
    def run(place: Place) -> None:
        write_good(place.given / "good", 0)
        path = place.given / (f"{name}/flair.nii.gz" if folder else f"{name}.nii.gz")
        path.parent.mkdir(exist_ok=True)
        (place.given / "good/flair.nii.gz").rename(path)
        change(path)
        options = ("--bundle", place.get("bundle"), "--out", place.out, "--device", "cpu")
        ended = place.run(apply, *options, path, "--ids", "X1")
        refused(ended, "sub-X1")
        found = sorted(place.out.rglob("*"))
        told = [ended.said, *(str(each) for each in found)]
        told += [each.read_text("utf-8", "replace") for each in found if each.is_file()]
        assert len(told) > 2
        # the folder of this test may have a number that is a year
        told = [each.replace(str(place.folder), "") for each in told]
        for word in WORDS:
            assert not [each for each in told if word in each], word

    return run


def _salt(content: bytes, mode: int = 0o600) -> Callable[[Place], None]:
    def run(place: Place) -> None:
        path = place.given / "secret.salt"
        path.write_bytes(content)
        path.chmod(mode)
        refused(place.run(lambda _: print(read_salt(path) and "taken")), "secret.salt")

    return run


def _handed_on(where: str) -> Callable[[Place], None]:
    def run(place: Place) -> None:
        folder = place.given / "nifti"
        folder.mkdir()
        (place.given / "link").symlink_to(folder)
        path = place.given / where
        refused(place.run(lambda _: print(read_salt(path, [folder]) and "taken")), where)

    return run


def _kept_by_git(place: Place) -> None:
    path = place.given / "secret.salt"
    path.write_bytes(os.urandom(32).hex().encode())
    path.chmod(0o600)
    for command in (["init", "-q"], ["add", "secret.salt"]):
        subprocess.run(["git", "-C", place.given, *command], check=True)
    refused(place.run(lambda _: print(read_salt(path) and "taken")), "secret.salt", "git")


def _made_secret(place: Place) -> None:
    path = place.out / "secret.salt"
    done(place.run(lambda _: print(len(read_salt(path)))))
    assert path.stat().st_mode & 0o077 == 0


PATHS = {
    "scans": "/home/mustermann/Anna/scans.tsv",
    "results": "/data/mustermann/Anna",
    "decisions": "/home/mustermann/Anna/decisions.tsv",
    "apply.bundle": "/home/mustermann/Anna",
    "train.start_from": "/home/mustermann/Anna/w.safetensors",
    "method_settings.unet.train.start_from": "/home/mustermann/Anna/w.safetensors",
}


def _config(
    key: str, path: str, share: Callable[[Any], dict], *, last: bool
) -> Callable[[Place], None]:
    def run(_: Place) -> None:
        config: Any = path
        for part in reversed(key.split(".")):
            config = {part: config}
        text = json.dumps(share(complete_config(config)))
        assert "mustermann" not in text
        assert "/" not in text.replace("</", "") or not last or path not in text

    return run


def _in_bundle(word: str) -> Callable[[Place], None]:
    """Nothing of the cohort is in any file of the bundle made from it."""

    def run(place: Place) -> None:
        for path in place.get("bundle").iterdir():
            assert word.encode() not in path.read_bytes(), path

    return run


CONSTANT = {
    "empty": b"",
    "short": b"0123456789",
    "one letter": b"a" * 64,
    "two letters": b"ab" * 32,
    "a word again and again": b"password" * 8,
    "zeros": b"0" * 64,
    "NUL": bytes(64),
    "spaces": b" " * 64,
}
ATTACKS = [
    *(
        Attack("privacy", f"--ids and {name} in a file {fault}", _named(text, change, folder=False))
        for name, text in NAMES.items()
        if "\n" not in text and "\x1b" not in text
        for fault, change in FAULTS.items()
    ),
    *(
        Attack(
            "privacy",
            f"--ids and {name} as the folder of a file {fault}",
            _named(text, change, folder=True),
        )
        for name, text in NAMES.items()
        if "\n" not in text and "\x1b" not in text
        for fault, change in FAULTS.items()
    ),
    *(
        Attack("privacy", f"a salt of mode {mode:04o}", _salt(os.urandom(32).hex().encode(), mode))
        for mode in (0o644, 0o640, 0o604, 0o620, 0o602, 0o660, 0o666, 0o610, 0o777)
    ),
    *(Attack("privacy", f"a salt that is {name}", _salt(salt)) for name, salt in CONSTANT.items()),
    *(
        Attack("privacy", f"a salt at {where}", _handed_on(where))
        for where in ("nifti/s.salt", "nifti/sub/s.salt", "nifti/../nifti/s.salt", "link/s.salt")
    ),
    Attack("privacy", "a salt that git keeps", _kept_by_git),
    Attack("privacy", "a salt that is made is its owner's alone", _made_secret),
    *(
        Attack(
            "privacy",
            f"the path {key} in what a bundle holds",
            _config(key, path, shareable, last=True),
        )
        for key, path in PATHS.items()
    ),
    *(
        Attack(
            "privacy",
            f"the folders of {key} in what a page shows",
            _config(key, path, nameless, last=True),
        )
        for key, path in PATHS.items()
    ),
    *(
        Attack("privacy", f"{what} of the cohort in a bundle", _in_bundle(word))
        for what, word in {
            "a subject": "sub-A",
            "a session": "ses-1",
            "a learned scan": "secret1",
            "a site": "Zwieselbach",
            "a path": "training é",
            "the table": "cohort.tsv",
            "a fingerprint": "01" * 32,
        }.items()
    ),
]
