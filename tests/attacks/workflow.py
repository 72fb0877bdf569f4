"""Configs, scan tables and words of the command line that mean harm, given to `snakemake`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from msnmo.core.files import read_tsv
from tests.attacks.attack import SECONDS, Attack, Ended, Place, done, refused
from tests.attacks.configs import DICTIONARIES, LAUGHS, MERGES
from tests.attacks.tables import FILES as TABLES
from tests.attacks.tables import GOOD
from tests.check.hostile import write_good
from tests.workflow.dag import ROOT
from tests.workflow.warm import snakemake

IN_WORDS = ("expected", "found", "remedy")
SHELL = "a'b\"c $(touch ran) `touch ran`; touch ran & | > ran #"
"""A name of a file or folder that a shell would run."""
SEGMENTING: dict[str, object] = {"methods": ["only_seg"], "folds": {"k": 2}}
"""What a cohort of one class can be planned for."""
SLOWER = 3.0
"""Times the usual patience: it reads all rules and plans."""


def _run(place: Place, *words: str, dry: bool = True, **config: object) -> Ended:
    """Run `snakemake` of the checkout in the folder ``out``, with a config of these keys."""
    _write_cohort(place)
    write_config(place, json.dumps({"scans": str(place.given / "scans.tsv")} | config))
    return _of_config(place, "my.yaml", *words, dry=dry)


def write_config(place: Place, content: str | bytes) -> None:
    path = place.given / "my.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def _write_cohort(place: Place) -> None:
    if not (place.given / "good").exists():
        write_good(place.given / "good", 0)
        rows = ["\t".join(GOOD), "\t".join(GOOD.values())]
        (place.given / "scans.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def _of_config(place: Place, name: str, *words: str, dry: bool = True) -> Ended:
    place.out.mkdir(exist_ok=True)
    options = ["--snakefile", str(ROOT / "Snakefile"), "--cores", "1", *(["-n"] * dry)]
    named = ["--configfile", str(place.given / name)] if name else []
    variables = os.environ | {
        "HOME": str(place.folder / "home"),
        "TMPDIR": str(place.folder / "tmp"),
        # Snakemake's own, of the files of workflows
        "XDG_CACHE_HOME": str(place.out / ".snakemake/cache"),
        "OMP_NUM_THREADS": "1",
    }
    with place.watched():
        try:
            ended = snakemake(
                [*options, *(words or ["check"]), *named], place.out, variables, SLOWER * SECONDS
            )
        except TimeoutError as hung:
            return Ended(None, str(hung), "")
    written = [path.name for path in place.out.iterdir() if path.name != ".snakemake"]
    code, said = ended
    if dry or code:
        assert not written, f"written by a dry run, or by one that was refused: {written}"
    assert not list(place.folder.rglob("ran")), "what a value holds was run"
    return Ended(code, said, "")


def _keyed(key: str, value: object) -> dict[str, object]:
    section, _, name = key.partition(".")
    return {section: {name: value}} if name else {section: value}


def _refused_value(key: str, value: object) -> Callable[[Place], None]:
    def run(place: Place) -> None:
        refused(_run(place, **_keyed(key, value)), f"config: {key}", *IN_WORDS)

    return run


def _refused_place(key: str, make: Callable[[Path], object]) -> Callable[[Place], None]:
    """What a path of the config names is no file."""

    def run(place: Place) -> None:
        path = place.given / "named.tsv"
        make(path)
        config = SEGMENTING | _keyed(key, str(path))
        refused(_run(place, "all", **config), "named.tsv", *IN_WORDS)

    return run


def _refused_config(content: str | bytes) -> Callable[[Place], None]:
    def run(place: Place) -> None:
        write_config(place, content)
        refused(_of_config(place, "my.yaml"), *IN_WORDS)

    return run


def _refused_in_place(make: Callable[[Path], object]) -> Callable[[Place], None]:
    """What stands in the place of the config is no file."""

    def run(place: Place) -> None:
        make(place.given / "my.yaml")
        refused(_of_config(place, "my.yaml"), "my.yaml", *IN_WORDS)

    return run


def _refused_table(content: bytes) -> Callable[[Place], None]:
    def run(place: Place) -> None:
        _write_cohort(place)
        (place.given / "scans.tsv").write_bytes(content)
        refused(_run(place), "scans.tsv", *IN_WORDS)

    return run


def _refused_words(*words: str) -> Callable[[Place], None]:
    def run(place: Place) -> None:
        ended = _run(place, *words, dry=False)
        refused(ended, "no target")

    return run


def _planned(**config: object) -> Callable[[Place], None]:
    """Nothing is wrong with a value: it is a name like others."""

    def run(place: Place) -> None:
        done(_run(place, "all", **(SEGMENTING | config)))

    return run


def _start_is_planned(make: Callable[[Path], object]) -> Callable[[Place], None]:
    """A training says what is wrong of weights to start from: the plan does not wait for them."""

    def run(place: Place) -> None:
        path = place.given / "named.safetensors"
        make(path)
        _planned(train={"start_from": str(path)})(place)

    return run


def _planned_row(**row: str) -> Callable[[Place], None]:
    """A row that cannot be used is told of, and the check of the others is planned."""

    def run(place: Place) -> None:
        _write_cohort(place)
        with (place.given / "scans.tsv").open("a", encoding="utf-8", newline="") as table:
            table.write("\t".join((GOOD | row).values()) + "\n")
        ended = _run(place)
        done(ended)
        assert "scans.tsv, row 3" in ended.said, ended.said[-2000:]

    return run


def _checked(place: Place) -> None:
    """The check itself, of names that a shell would run, in a folder of such a name."""
    _write_cohort(place)
    (place.given / "good").rename(place.given / SHELL)
    table = place.given / "scans.tsv"
    table.write_text(table.read_text().replace("good/", f"{SHELL}/"))
    for _ in range(2):
        done(_run(place, "accept_cohort", dry=False, results=SHELL))
    results = place.out / SHELL
    assert read_tsv(results / "cohort.tsv", {"scan": str})["scan"].tolist() == ["sub-good"]
    assert not list(results.rglob(".tmp-*"))


REFUSED: dict[str, tuple[str, object]] = {
    "a brace in results": ("results", "{scan}"),
    "an option as results": ("results", "-rf"),
    "a line end in results": ("results", "a\nb"),
    "an escape in results": ("results", "\x1b]0;title\x07"),
    "an address as results": ("results", "http://127.0.0.1:1/x"),
    "nobody's home as results": ("results", "~nobody-of-this-name/x"),
    "a variable that is not set in results": ("results", "$MSNMO_NOT_SET/x"),
    "a list as results": ("results", ["a"]),
    "5,000 letters as results": ("results", "x" * 5_000),
    "a device as results": ("results", "/dev/null/x"),
    "a command as a method": ("methods", ["$(touch ran)"]),
    "commands as labels": ("diagnoses", ["$(touch ran)", "; touch ran"]),
    "a command as an engine": ("skull_strip.engine", "surface; touch ran"),
    "a million repeats": ("folds.repeats", 1_000_000),
    "a million folds": ("folds.k", 1_000_000),
    "a size beyond all memory": ("resize.size", [16 * 10**8] * 3),
    "a key that is unknown": ("exec", "touch ran"),
    "decisions that are not there": ("decisions", "none.tsv"),
}
PLACES: dict[str, Callable[[Path], object]] = {
    "nothing": lambda path: None,
    "a pipe": os.mkfifo,
    "an endless device": lambda path: path.symlink_to("/dev/zero"),
    "a link to itself": lambda path: path.symlink_to(path),
}
NAMED = ("scans", "apply.bundle")
CONFIGS: dict[str, str | bytes] = {
    "an object of Python": "scans: !!python/object/apply:os.system ['touch ran']\n",
    "a template of Python": "__use_yte__: true\nscans: ?__import__('os').system('touch ran')\n",
    "a billion laughs": f"{LAUGHS}seeds: *a11\n",
    "a billion dictionaries": f"{DICTIONARIES}train: *a11\n",
    "a billion merges": MERGES,
    "nested 10,000 times": "[" * 10_000,
    "a list": "- 1\n",
    "no text": bytes(range(128, 256)) * 10,
    "two documents": "seed: 1\n---\nseed: 2\n",
}
OF_TABLES = ("empty", "UTF-16", "a pickle", "a column twice", "megabytes in a line")
ROWS: dict[str, dict[str, str]] = {
    "path traversal in a subject": {"subject": "../../../etc"},
    "a command in a subject": {"subject": "$(touch ran)"},
    "a script as a diagnosis": {"subject": "b", "diagnosis": "<script>alert(1)</script>"},
    "an escape in a subject": {"subject": "\x1b]0;title\x07"},
}
WORDS: dict[str, Sequence[str]] = {
    "a command as a target": ("$(touch ran)",),
    "a file of the system as a target": ("results/../../../../etc/none",),
    "an escape as a target": ("\x1b]0;title\x07",),
}

ATTACKS = [
    *(Attack("workflow", name, _refused_value(*given)) for name, given in REFUSED.items()),
    *(
        Attack("workflow", f"{name} as {key}", _refused_place(key, make))
        for key in NAMED
        for name, make in PLACES.items()
    ),
    *(
        Attack("workflow", f"{name} as decisions", _refused_place("decisions", make))
        for name, make in PLACES.items()
        if name != "nothing"
    ),
    *(
        Attack("workflow", f"{name} as train.start_from", _start_is_planned(make))
        for name, make in PLACES.items()
    ),
    *(
        Attack("workflow", f"config: {name}", _refused_config(text))
        for name, text in CONFIGS.items()
    ),
    *(
        Attack("workflow", f"in the place of the config {name}", _refused_in_place(make))
        for name, make in PLACES.items()
    ),
    *(Attack("workflow", f"table: {name}", _refused_table(TABLES[name])) for name in OF_TABLES),
    *(Attack("workflow", f"row: {name}", _planned_row(**row)) for name, row in ROWS.items()),
    *(Attack("workflow", name, _refused_words(*words)) for name, words in WORDS.items()),
    Attack("workflow", "a name that a shell would run as results", _planned(results=SHELL)),
    Attack("workflow", "a check of names that a shell would run", _checked),
]
