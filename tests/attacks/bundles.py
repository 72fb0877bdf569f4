"""Bundles that somebody else made: every field of bundle.json, and every file, meaning harm."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msnmo.apply.__main__ import main as apply
from msnmo.apply.ensemble import CPU, load_ensemble
from msnmo.bundle.contents import read_bundle
from msnmo.core.files import sha256
from tests.attacks.attack import Attack, Place, done, refused, refused_or_done
from tests.check.hostile import write_good

# as bundle.json holds them, a number for each place in a list
DECIDING = (
    *("format", "network_version", "method", "labels.0", "threshold", "temperature"),
    *("certain_from", "preprocessing.skull_strip.engine", "preprocessing.skull_strip.frac"),
    *("preprocessing.n4.shrink", "preprocessing.n4.iterations", "preprocessing.n4.iterations.0"),
    *("preprocessing.n4.tolerance", "preprocessing.resize.size", "preprocessing.resize.size.0"),
    *("preprocessing.resize.image_order", "preprocessing.zscore.over", "folds", "folds.0.fold"),
    *("folds.0.size", "folds.0.weights", "folds.0.weights_sha256"),
    *("folds.0.settings.model.base_channels", "folds.0.settings.model.window"),
    *("folds.0.reference.lesion_logits", "folds.0.reference.class_logits.0"),
    *("training_seals.salt", "training_seals.seals"),
)
"""Fields that decide what is said of a scan: of them every hostile value is refused."""
TELLING = (
    *("warning", "localisation", "versions.msnmo", "git.commit", "training_cohort.simulated"),
    *("training_cohort.simulated.scans", "performance", "folds.0.training_scans"),
)
"""Fields that tell of the bundle: a hostile value is refused, or changes nothing."""
VALUES: dict[str, object] = {
    "NaN": float("nan"),
    "infinity": float("inf"),
    "1e999": "RAW:1e999",
    "-1": -1,
    "0": 0,
    "huge": 10**30,
    "a word": "hostile",
    "null": None,
    "an empty list": [],
    "nested": {"a": {"b": {"c": [[[[]]]]}}},
    "long": "x" * 1_000_000,
}
# values that such a field may have, so that they are no attack
ALLOWED = {
    ("preprocessing.skull_strip.frac", "0"),
    ("preprocessing.n4.iterations.0", "0"),
    ("preprocessing.n4.tolerance", "0"),
    ("folds.0.fold", "0"),
}


def _put(content: Any, place: str, value: object) -> None:
    *parts, last = [int(part) if part.isdigit() else part for part in place.split(".")]
    for part in parts:
        content = content[str(part) if isinstance(content, dict) else part]
    content[str(last) if isinstance(content, dict) else last] = value


def _copy(place: Place) -> Path:
    return shutil.copytree(place.get("bundle"), place.given / "bundle")


def _linked(place: Place) -> Path:
    """A copy whose description alone is a file of its own."""
    folder = place.given / "bundle"
    folder.mkdir()
    for path in place.get("bundle").iterdir():
        if path.name in ("bundle.json", "SHA256SUMS"):
            shutil.copy(path, folder)
        else:
            os.link(path, folder / path.name)
    return folder


def _seal(folder: Path) -> None:
    """Write checksums of what is there now, as who means harm does."""
    files = sorted(path for path in folder.iterdir() if path.name != "SHA256SUMS")
    lines = [f"{sha256(path)}  {path.name}\n" for path in files if path.is_file()]
    (folder / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")


def _open(arguments: list[str]) -> None:
    """What `msnmo apply` does with a bundle before any scan."""
    bundle = read_bundle(Path(arguments[0]))
    assert all([bundle.size, bundle.labels, bundle.certainty.rule, bundle.remedy])
    print(bundle.simulated, bundle.unverified, bundle.localisation, bundle.training_seals)
    load_ensemble(bundle, CPU)


def _field(place_of: str, value: object, *, may_be: bool) -> Callable[[Place], None]:
    def run(place: Place) -> None:
        folder = _linked(place)
        path = folder / "bundle.json"
        content = json.loads(path.read_text(encoding="utf-8"))
        _put(content, place_of, value)
        text = json.dumps(content).replace('"RAW:1e999"', "1e999")
        path.write_text(text, encoding="utf-8")
        (folder / "SHA256SUMS").unlink()
        _seal(folder)
        hold = refused_or_done if may_be else refused
        hold(place.run(_open, folder), "bundle")

    return run


def _files(change: Callable[[Path], object], *, sealed: bool = False) -> Callable[[Place], None]:
    """Of a bundle whose files are changed, `msnmo apply` itself must not take a single scan."""

    def run(place: Place) -> None:
        folder = _copy(place)
        change(folder)
        if sealed:
            _seal(folder)
        write_good(place.given / "good", 0)
        scan = place.given / "good/flair.nii.gz"
        options = ("--bundle", folder, "--out", place.out, "--device", "cpu")
        refused(place.run(apply, *options, scan), "bundle")
        assert not list(place.out.rglob("*_mask.nii.gz"))

    return run


def _text(name: str, text: str | bytes) -> Callable[[Path], object]:
    content = text.encode() if isinstance(text, str) else text
    return lambda folder: (folder / name).write_bytes(content)


def _instead(name: str, make: Callable[[Path], object]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return change


def _turned(name: str, part: float) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[int(part * (len(content) - 1))] ^= 1
        (folder / name).write_bytes(content)

    return change


def _cut(name: str, part: float) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        os.truncate(folder / name, int(part * (folder / name).stat().st_size))

    return change


NAMES = ("bundle.json", "SHA256SUMS", "config.yaml", "MODEL_CARD.md", "fold-0.safetensors")
INSTEAD: dict[str, Callable[[Path], object]] = {
    "nothing": lambda path: None,
    "a pipe": os.mkfifo,
    "a folder": Path.mkdir,
    "a link out": lambda path: path.symlink_to("/etc/passwd"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "an endless device": lambda path: path.symlink_to("/dev/zero"),
}
FOREIGN = (
    *("pandas.py", "numpy.so", "__init__.py", "msnmo", "sitecustomize.py", ".env", "pickle.pkl"),
    *("fold-9.safetensors", "SHA256SUMS.bak", "a b", "-rf", "$(touch ran)", "\x1b[31m", ".hidden"),
)
SUMS = {
    "a path out": "0" * 64 + "  ../secret\n",
    "an absolute path": "0" * 64 + "  /etc/passwd\n",
    "an escape": "0" * 64 + "  \x1b[31m\n",
    "no lines": "",
    "words": "all is well\n",
    "NUL": "\0" * 1000,
    "two megabytes": ("0" * 64 + "  a\n") * 30_000,
    "invalid UTF-8": b"\xff\xfe",
    "upper case": "A" * 64 + "  bundle.json\n",
    "MD5": "d41d8cd98f00b204e9800998ecf8427e  bundle.json\n",
}
JSON = {
    "empty": "",
    "null": "null",
    "a list": "[]",
    "a number": "1",
    "NaN": "NaN",
    "nested 100,000 times": '{"a": ' * 100_000 + "1" + "}" * 100_000,
    "lists nested 100,000 times": "[" * 100_000,
    "a number of a million digits": '{"format": ' + "1" * 1_000_000 + "}",
    "a key twice": '{"format": 1, "format": 2}',
    "invalid UTF-8": b'{"format": "\xff"}',
    "UTF-16": '{"format": 1}'.encode("utf-16"),
    "a pickle": b"cos\nsystem\n(S'touch ran'\ntR.",
    "a surrogate": '{"format": "\\ud800"}',
    "70 MB": b'{"a": "' + bytes([120]) * 70_000_000 + b'"}',
}


def _whole(place: Place) -> None:
    """A bundle that nobody touched is taken: or nothing here would be tested."""
    done(place.run(_open, _copy(place)))


def _is_allowed(place: str, value: str) -> bool:
    return (place, value) in ALLOWED


ATTACKS = [
    Attack("bundles", "none at all: the bundle as it was made", _whole),
    *(
        Attack(
            "bundles",
            f"{place} is {name}",
            _field(place, value, may_be=_is_allowed(place, name)),
        )
        for place in DECIDING
        for name, value in VALUES.items()
    ),
    *(
        Attack("bundles", f"{place} is {name}", _field(place, value, may_be=True))
        for place in TELLING
        for name, value in VALUES.items()
    ),
    *(
        Attack("bundles", f"{name} replaced by {what}", _files(_instead(name, make)))
        for name in NAMES
        for what, make in INSTEAD.items()
    ),
    *(
        Attack("bundles", f"{name} turned at {part:.2f}", _files(_turned(name, part)))
        for name in NAMES
        for part in (0.0, 0.33, 0.95)
    ),
    *(
        Attack("bundles", f"{name} cut to {part:.0%}", _files(_cut(name, part)))
        for name in NAMES
        for part in (0.0, 0.5, 0.99)
    ),
    *(
        Attack("bundles", f"a foreign file {name}", _files(_text(name, "open('ran', 'w')")))
        for name in FOREIGN
    ),
    *(
        Attack("bundles", f"SHA256SUMS of {name}", _files(_text("SHA256SUMS", text)))
        for name, text in SUMS.items()
    ),
    *(
        Attack("bundles", f"bundle.json of {name}", _files(_text("bundle.json", text), sealed=True))
        for name, text in JSON.items()
    ),
]
