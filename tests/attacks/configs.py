"""Configs in which a value, or the file itself, means harm."""

from __future__ import annotations

import json
import math
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from msnmo.check.check_cohort import main as check
from msnmo.core.errors import InputError
from msnmo.settings.config import complete_config, default_config
from tests.attacks.attack import MOST_LETTERS, SECONDS, UNSEEN, Attack, Place, refused
from tests.check.hostile import write_good

VALUES: dict[str, object] = {
    "NaN": float("nan"),
    "infinity": float("inf"),
    "-1": -1,
    "huge": 10**30,
    "a word": "$(touch ran)",
    "null": None,
    "a list": [[["a"]]],
    "a list of a huge number": [10**30],
    "a list of 200,000 numbers": list(range(2, 200_002)),
    "long": "x" * 100_000,
    "escape": "\x1b[31m",
}


def _leaves(value: object, place: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _leaves(inner, (*place, name))
    else:
        yield place


KEYS = [".".join(place) for place in _leaves(default_config())]


def _complete(given: dict[str, Any]) -> None:
    """What every command does with a config first; what it takes must be finite."""
    whole = complete_config(given)
    json.dumps(whole, allow_nan=False)
    assert all(math.isfinite(each) for each in _numbers(whole))
    # what a later step takes of it: no number that no machine can count to
    assert all(abs(each) < 1e15 for each in _numbers(whole)), "a number beyond all measure"


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        for each in value.values():
            yield from _numbers(each)
    elif isinstance(value, list):
        for each in value:
            yield from _numbers(each)
    elif isinstance(value, (int, float)):
        yield value


def _key(place_of: str, value: object) -> Callable[[Place], None]:
    def run(_: Place) -> None:
        config: Any = value
        for part in reversed(place_of.split(".")):
            config = {part: config}
        # a list of so many takes YAML longer than what is tested
        long = isinstance(value, list) and len(value) > 1000
        given = config if long else yaml.safe_load(yaml.safe_dump(config))
        # within this process, as there are so many
        signal.alarm(int(SECONDS))
        try:
            _complete(given)
        except InputError as error:
            said = str(error)
            assert place_of.rpartition(".")[2] in said
            assert not UNSEEN.search(said), said[:1000]
            assert len(said) < MOST_LETTERS
        finally:
            signal.alarm(0)

    return run


LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)
DICTIONARIES = "a0: &a0 {k: 1, l: 1, m: 1, n: 1}\n" + "".join(
    f"a{n}: &a{n} {{{', '.join(f'{key}: *a{n - 1}' for key in 'klmnopqrs')}}}\n"
    for n in range(1, 12)
)
MERGES = "a0: &a0 {k: 1, l: 1}\n" + "".join(
    f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 12)
)
FILES: dict[str, str | bytes] = {
    "an object of Python": "scans: !!python/object/apply:os.system ['touch ran']\n",
    "a module of Python": "scans: !!python/module:os\n",
    "a tag": "scans: !evil a\n",
    "a billion laughs": LAUGHS,
    "a billion laughs for a number": f"{LAUGHS}seed: *a11\n",
    "a billion laughs for a list": f"{LAUGHS}seeds: *a11\n",
    "a billion laughs for a section": f"{LAUGHS}train: *a11\n",
    "a billion laughs for a method's": f"{LAUGHS}method_settings: {{unet: {{train: *a11}}}}\n",
    "a billion dictionaries": DICTIONARIES,
    "a billion dictionaries for a number": f"{DICTIONARIES}seed: *a11\n",
    "a billion dictionaries for a section": f"{DICTIONARIES}train: *a11\n",
    "a billion dictionaries for a method's": f"{DICTIONARIES}method_settings: {{unet: *a11}}\n",
    "a billion merges": MERGES,
    "a template of Python": "__use_yte__: true\nscans: ?__import__('os').system('touch ran')\n",
    "an alias of itself": "a: &a [*a]\n",
    "nested 10,000 times": "[" * 10_000,
    "a list": "- 1\n",
    "a number": "1\n",
    "empty": "",
    "NUL": b"\0" * 100,
    "no text": bytes(range(128, 256)) * 10,
    "UTF-16 without a mark": "scans: a\n".encode("utf-16-le"),
    "tabs": "n4:\n\tshrink: 4\n",
    "a key twice": "seed: 1\nseed: {a: 1}\n",
    "a key that is a list": "[a, b]: 1\n",
    "a key that is null": "null: 1\n",
    "a key that is NaN": ".nan: 1\n",
    "a key that is long": f"{'k' * 100_000}: 1\n",
    "a key with an escape": '"\\e[31m": 1\n',
    "a key that is a number": "1: 1\n",
    "a key that is unknown": "exec: touch ran\n",
    "200 keys that are unknown": "".join(f"k{n}: 1\n" for n in range(200)),
    "two documents": "seed: 1\n---\nseed: 2\n",
    "a date": "seed: 2024-01-01\n",
    "a date that is none": "seed: 2024-13-41\n",
    "a time in base 60": "seed: 1:1:1:1:1:1:1:1:1:1\n",
    "binary": "scans: !!binary aGVsbG8=\n",
    "a set": "methods: !!set {joint, unet}\n",
    "a merge of anything": "<<: 3\n",
    "a script": "%YAML 1.1\n---\nscans: <script>alert(1)</script>\n",
    "a pickle": b"cos\nsystem\n(S'touch ran'\ntR.",
}


def _file(content: str | bytes) -> Callable[[Place], None]:
    return _in_place(
        lambda path: path.write_bytes(content.encode() if isinstance(content, str) else content)
    )


def _in_place(make: Callable[[Path], object]) -> Callable[[Place], None]:
    """A config given to `msnmo check`, with a cohort of a scan."""

    def run(place: Place) -> None:
        write_good(place.given / "good", 0)
        table = place.given / "scans.tsv"
        table.write_text("subject\tdiagnosis\tflair\tlesion_mask\ngood\t\tgood/flair.nii.gz\t\n")
        path = place.given / "my.yaml"
        make(path)
        options = ("--scans", table, "--out", place.out, "--processes", 1)
        refused(place.run(check, *options, "--configfile", path))

    return run


SPECIAL: dict[str, Callable[[Path], object]] = {
    "not there": lambda path: None,
    "a folder": Path.mkdir,
    "a link to itself": lambda path: path.symlink_to(path),
    "a pipe": os.mkfifo,
    "an endless device": lambda path: path.symlink_to("/dev/zero"),
}

ATTACKS = [
    *(
        Attack(
            "config",
            f"{place} is {name}",
            _key(place, value),
        )
        for place in KEYS
        for name, value in VALUES.items()
    ),
    *(Attack("config", f"file: {name}", _file(content)) for name, content in FILES.items()),
    *(Attack("config", f"place: {name}", _in_place(make)) for name, make in SPECIAL.items()),
]
