"""Read file names in a BIDS dataset: subject, session, entities, words and suffix."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from msnmo.cohort.tree import InTree, other_form
from msnmo.core.errors import Finding, InputError

# index entities of BIDS: 1 and 01 are the same
INDICES = ("run", "echo", "flip", "inv", "split")
NONE = "none"
ENTITY = re.compile(r"([A-Za-z0-9]+)-(.+)")
# words in names that mean another image than the FLAIR
CONTRAST = re.compile(
    r"t1(w|rho|map|ce|c|gd|post|km)?|t2(w|star|starw|sw|map|starmap)?|pd(w|t2|t2map|map)?"
    r"|inplanet[12]|unit1|mp2?rage|megre|mese|mtw|mt[rsv]|mtsat|mtrmap|swi|qsm|chimap|dwi|adc|fa|md"
    r"|trace|sbref|bold|cbv|cbf|asl|m0scan|pet|ct|angio|dir|psir|stir",
    re.IGNORECASE,
)
DATATYPES = (
    *("func", "dwi", "fmap", "perf", "pet", "meg", "eeg", "ieeg", "micr", "nirs", "mrs", "beh"),
    "motion",
)


@dataclass(frozen=True)
class Ids:
    """The dataset's subjects and sessions as its folders write them, maybe with ``_`` and ``-``.

    Parameters
    ----------
    subjects : frozenset of str
        As ``sub-MS_02``.
    sessions : mapping of str to frozenset of str
        For each subject, as ``ses-2019-05-01``.
    """

    subjects: frozenset[str]
    sessions: Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, dataset: Path) -> Ids:
        """Return the ids in the names of a dataset's folders."""
        folders = [path for path in dataset.glob("sub-*") if path.is_dir()]
        sessions = {
            composed(folder.name): frozenset(
                composed(path.name) for path in folder.glob("ses-*") if path.is_dir()
            )
            for folder in folders
        }
        return cls(frozenset(sessions), sessions)

    def split(self, stem: str) -> tuple[str, str, list[str]]:
        """Return subject and session, without their prefixes, and the parts of a name after them.

        The longest id that is a folder's counts, else the text up to the next ``_``.
        """
        subject, rest = _taken(stem, "sub-", self.subjects)
        session, rest = _taken(rest, "ses-", self.sessions.get(f"sub-{subject}", frozenset()))
        return subject, session, [part for part in rest.split("_") if part]


def _taken(text: str, prefix: str, known: frozenset[str]) -> tuple[str, str]:
    """Return the id that a text begins with (empty if none) and the rest of the text."""
    if not text.startswith(prefix):
        return "", text
    ends = [place for place, letter in enumerate(f"{text}_") if letter == "_"]
    fitting = [end for end in ends if text[:end] in known]
    end = max(fitting, default=ends[0])
    return text[len(prefix) : end], text[end + 1 :]


@dataclass(frozen=True)
class Named:
    """A file and what its name says.

    Parameters
    ----------
    path : Path
    subject, session : str
        As the dataset's folders write them, without prefix; empty if there is none. Letters with
        marks are composed, as macOS stores them in two ways.
    entities : mapping of str to str
    words : tuple of str
        Parts of the name before the suffix that are no entity: ``T1w`` in ``T1w_desc-x_mask``.
    suffix : str
        Empty if the name ends with an entity, such as ``seg-lst``.
    folders : tuple of str
        The folders above it, from a subject's, a derivative's or the given folder on.
    """

    path: Path
    subject: str
    session: str
    entities: Mapping[str, str]
    words: tuple[str, ...]
    suffix: str
    folders: tuple[str, ...]

    @classmethod
    def of(cls, file: InTree, ids: Ids) -> Named:
        """Read a file's name."""
        subject, session, parts = ids.split(composed(stem_of(file.path)))
        words = [part for part in parts if not ENTITY.fullmatch(part)]
        suffix = words.pop() if words and parts[-1] == words[-1] else ""
        matches = filter(None, map(ENTITY.fullmatch, parts))
        entities = {match[1]: match[2] for match in matches}
        own = (file.root.name,) if file.root.name.startswith("sub-") else ()
        folders = tuple(map(composed, (*own, *file.folders)))
        return cls(file.path, subject, session, entities, tuple(words), suffix, folders)

    @property
    def visit(self) -> tuple[str, str]:
        """Subject and session."""
        return self.subject, self.session

    @property
    def contrast(self) -> str:
        """An image other than a FLAIR that the name or folder mentions; empty if none."""
        words = [*self.words, *filter(None, [self.entities.get("mod")])]
        if any("flair" in word.lower() for word in words):
            return ""
        others = [word for word in (*words, *self.folders) if CONTRAST.fullmatch(word)]
        others += [folder for folder in self.folders if folder in DATATYPES]
        return others[0] if others else ""

    def has(self, name: str) -> str | None:
        """Return the value of an entity, of ``suffix`` or of ``contrast``; None if absent."""
        more = {"suffix": self.suffix, "contrast": self.contrast, "ses": self.session}
        return {**self.entities, **more}.get(name) or None

    def lacks(self, wanted: Mapping[str, tuple[str, ...]]) -> list[str]:
        """Return the entities that have none of the wanted values. ``none`` means: no such entity.

        A file has ``folder`` if it lies anywhere below a folder with that name.
        """
        return [
            name
            for name, values in wanted.items()
            if not any(same(name, self.has(name) or NONE, value) for value in values)
            and not (name == "folder" and {*values} & {*self.folders})
        ]


def composed(text: str) -> str:
    """Return a text with composed letters: macOS writes ü as u and two dots."""
    return unicodedata.normalize("NFC", text)


def stem_of(path: Path) -> str:
    """Return an image's name without its ending."""
    return other_form(path) or path.name.removesuffix(".gz").removesuffix(".nii")


def same(entity: str, first: str | None, second: str | None) -> bool:
    """Whether two values of an entity are equal. For an index, 1 and 01 are equal."""
    if entity in INDICES and first and second and first.isdecimal() and second.isdecimal():
        return int(first) == int(second)
    return first == second


def wanted_entities(arguments: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the allowed values of each entity from ``run=1`` or ``desc=a,b`` arguments.

    Raises
    ------
    InputError
        Lists every argument of another form.
    """
    wanted, wrong = {}, []
    for argument in arguments:
        name, _, values = argument.partition("=")
        words = tuple(word for word in values.split(",") if word)
        if not name or not words:
            remedy = f"write run=1, or run={NONE} for names without run"
            wrong.append(Finding("command line", "ENTITY=VALUE", argument, remedy))
        wanted[name] = words
    if wrong:
        raise InputError(wrong)
    return wanted
