"""Read the contents of a bundle without trusting any of it."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from msnmo.bundle.signature import SIGNATURE, verify_signature
from msnmo.cohort.simulated import Simulated
from msnmo.core.errors import Finding, InputError, bad_input
from msnmo.core.files import read_json, sha256
from msnmo.core.fingerprint import seal
from msnmo.core.provenance import NOT_KNOWN
from msnmo.core.schemas import MOST_LETTERS, read_schema, refuse_misfit, shorten
from msnmo.core.starter import or_the_shipped
from msnmo.evaluate.verdict import Verdict
from msnmo.networks import NETWORK_VERSION
from msnmo.settings.methods import CLASSIFICATION, Method, Task, get_method
from msnmo.settings.sections import Preprocessing

FORMAT = 1
DESCRIPTION, CHECKSUMS = "bundle.json", "SHA256SUMS"
MARK = ".snakemake_timestamp"
"""An empty file that Snakemake leaves in folders that it made."""
MOST_BYTES_OF_SUMS = 2**20
NOT_FOR_DIAGNOSIS = "Research output, not for diagnosis."
COPY_AGAIN = "copy the bundle again from its source, or make it again"
SCHEMA = read_schema(Path(__file__).with_name("bundle.schema.yaml"))
SUM = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9_.-]+)")


@dataclass(frozen=True)
class Certainty:
    """When a class named by an ensemble is called uncertain.

    Parameters
    ----------
    certain_from : float
        The class is uncertain if its mean probability is below this (0.5 to 1).
    """

    certain_from: float

    @property
    def rule(self) -> str:
        """The rule in words."""
        return (
            "uncertain if the folds' networks do not all name the same class, or if the mean "
            f"probability of the named class is below {self.certain_from:g}"
        )

    def doubts(self, named: float, agreeing: int, folds: int) -> list[str]:
        """Return the reasons why a class is uncertain; empty if it is not.

        Parameters
        ----------
        named : float
            Mean probability of the named class.
        agreeing, folds : int
            Number of folds whose own network names that class, and of all folds.
        """
        doubts = []
        if agreeing < folds:
            doubts.append(f"{folds - agreeing} of {folds} folds name the other class")
        if named < self.certain_from:
            doubts.append(f"mean probability {named:.2f}, below {self.certain_from:g}")
        return doubts


@dataclass(frozen=True)
class Seals:
    """Seals of the scans that the folds learned from (`msnmo.core.fingerprint`).

    Parameters
    ----------
    salt : str
        Hexadecimal.
    seals : frozenset of str
        Hexadecimal. Nothing says which scan or fold a seal belongs to.
    """

    salt: str
    seals: frozenset[str]

    def know(self, digest: str) -> bool:
        """Whether a scan with this fingerprint is among them."""
        return seal(digest, self.salt) in self.seals


@dataclass(frozen=True)
class Bundle:
    """Trained folds and all that is needed to apply them.

    Parameters
    ----------
    path : Path
        Its folder.
    content : dict
        Contents of bundle.json.
    id : str
        Digest of bundle.json, which has the digests of the weights. Equal ids mean equal bundles.
    classes : bool
        Whether classes are asked for, of a bundle that names them only on request.
    """

    path: Path
    content: dict[str, Any]
    id: str
    classes: bool = False

    @property
    def method(self) -> Method:
        """The method that was trained."""
        return get_method(self.content["method"])

    @property
    def tasks(self) -> frozenset[Task]:
        """What is told of a scan; a bundle may name classes on request alone."""
        if "classes_on_request" in self.content and not self.classes:
            return self.method.tasks - CLASSIFICATION
        return self.method.tasks

    @property
    def unasked(self) -> str | None:
        """Why no class is named, of a bundle that names classes on request and was not asked."""
        if self.tasks == self.method.tasks:
            return None
        return f"named only with --class. {self.content['classes_on_request']}"

    @property
    def labels(self) -> tuple[str, str]:
        """The labels of class 0 and of class 1."""
        return self.content["labels"]["0"], self.content["labels"]["1"]

    @property
    def size(self) -> tuple[int, int, int]:
        """Shape of model space in voxels."""
        x, y, z = self.content["preprocessing"]["resize"]["size"]
        return x, y, z

    def preprocessing(self, engine: str = "auto") -> dict[str, dict[str, Any]]:
        """Return the sections skull_strip, n4, resize and zscore that the folds were trained with.

        Parameters
        ----------
        engine : str
            Engine of skull stripping, if the bundle's is not installed; auto: the bundle's.
        """
        sections = self.content["preprocessing"]
        if engine == "auto":
            return sections
        return {**sections, "skull_strip": {**sections["skull_strip"], "engine": engine}}

    @property
    def threshold(self) -> float:
        """Lesion probability above which a voxel is lesion."""
        return self.content["threshold"]

    @property
    def mirrored(self) -> bool:
        """Whether a scan is also shown with left and right exchanged, and both answers averaged."""
        return self.content.get("mirrored", False)

    @property
    def temperature(self) -> float:
        """The divisor of the class logits; 1 if they are not calibrated."""
        return self.content["temperature"]

    @property
    def certainty(self) -> Certainty:
        """When a class is called uncertain."""
        return Certainty(self.content["certain_from"])

    @property
    def localisation(self) -> Verdict | None:
        """Whether maps of its networks find lesions on held-out scans; None if unknown."""
        told = self.content.get("localisation")
        return None if told is None else Verdict.from_json(told)

    @property
    def simulated(self) -> str:
        """The note on networks trained on simulated scans; empty if there are none."""
        told = self.content.get("training_cohort", {}).get("simulated")
        accuracy = self.content.get("accuracy", "")
        return "" if told is None else Simulated(**told).of_networks(accuracy)

    @property
    def training_seals(self) -> Seals | None:
        """Seals of the scans that the folds learned from; None in an older bundle."""
        if (told := self.content.get("training_seals")) is None:
            return None
        return Seals(told["salt"], frozenset(told["seals"]))

    @property
    def unverified(self) -> str:
        """A warning, if it is unknown whether this msnmo makes the same networks of the weights."""
        if "network_version" in self.content:
            return ""
        return (
            f"{self.path}: made before bundles had a network version and a reference pass, so "
            f"nothing can verify that its networks are unchanged. To be sure, {self.remedy}"
        )

    @property
    def remedy(self) -> str:
        """What to do if this msnmo makes other networks from the weights."""
        version = self.content.get("versions", {}).get("msnmo", NOT_KNOWN)
        commit = self.content.get("git", {}).get("commit", NOT_KNOWN)
        return (
            f"apply the bundle with the msnmo that made it (version {version}, commit {commit}), "
            "or train its folds again and make a new bundle with this version"
        )

    @property
    def runs(self) -> list[tuple[Path, dict[str, Any]]]:
        """Weights file and training of each fold: arguments of `msnmo.predict.fold.load_model`."""
        common = {"method": self.content["method"], "size": list(self.size)}
        return [(self.path / each["weights"], common | each) for each in self.content["folds"]]


def read_bundle(
    path: Path | str,
    verify: bool = True,
    signers: Path | str | None = None,
    classes: bool = False,
) -> Bundle:
    """Read a bundle's description, and compare its files with their checksums.

    Parameters
    ----------
    path : Path or str
        Its folder.
    verify : bool
        False reads only the description, as the workflow does at each start.
    signers : Path or str, optional
        OpenSSH's file of allowed signers. With it, one of them must have signed the checksums.
    classes : bool
        Whether classes are named if the bundle does so only on request.

    Raises
    ------
    InputError
        Names every file that is missing, damaged, of another kind or not the bundle's. Also raised
        if the networks are of another version, or if no allowed signer has signed.
    """
    path = Path(path)
    description = path / DESCRIPTION
    if not description.is_file():
        remedy = f"give the folder that `snakemake bundle` wrote{or_the_shipped(path)}"
        raise bad_input(path, "the folder of a bundle", f"no {DESCRIPTION} in it", remedy)
    _refuse_links([description])
    try:
        content = read_json(description)
    except InputError as error:
        raise InputError(replace(each, remedy=COPY_AGAIN) for each in error.findings) from error
    check_content(description, content)
    if verify:
        if signers is not None:
            verify_signature(path / CHECKSUMS, Path(signers))
        verify_checksums(path)
    digest = hashlib.sha256(description.read_bytes()).hexdigest()[:16]
    bundle = Bundle(path, content, digest, classes)
    _refuse_other_version(bundle)
    return bundle


def check_content(description: Path, content: dict[str, Any]) -> None:
    """Refuse a description with invalid content.

    Raises
    ------
    InputError
        Names every place.
    """
    refuse_misfit(description, content, SCHEMA, COPY_AGAIN)
    _check_simulated(description, content.get("training_cohort", {}))
    with _named_with_remedy(description):
        method = get_method(content["method"])
    _check_preprocessing(description, content["preprocessing"])
    _check_folds(description, content, method)


def _check_simulated(description: Path, cohort: dict[str, Any]) -> None:
    """Refuse more simulated scans than scans."""
    told = cohort.get("simulated")
    if told and told["scans"] > told["of"]:
        found = f"{told['scans']} of {told['of']}"
        where = f"{description}, training_cohort.simulated"
        raise bad_input(where, "no more simulated scans than scans", found, COPY_AGAIN)


def _check_folds(description: Path, content: dict[str, Any], method: Method) -> None:
    """Refuse repeated folds, folds of another size than model space, and absurd widths."""
    findings = []
    size = content["preprocessing"]["resize"]["size"]
    numbers = [each["fold"] for each in content["folds"]]
    files = [each["weights"] for each in content["folds"]]
    for place, fold in enumerate(content["folds"]):
        where = f"{description}, folds.{place}"
        if fold["fold"] in numbers[:place] or fold["weights"] in files[:place]:
            found = f"fold {fold['fold']} of {fold['weights']}, which was already named"
            findings.append(Finding(where, "each fold and its weights once", found, COPY_AGAIN))
        if fold.get("size", size) != size:
            expected = f"a fold trained at the size of model space, {_by(size)}"
            found = shorten(_by(fold["size"]), MOST_LETTERS)
            findings.append(Finding(where, expected, found, COPY_AGAIN))
        try:
            method.settings.from_mapping(fold["settings"]["model"])
        except InputError as error:
            findings += [
                replace(each, file=f"{where}, {each.file}", remedy=COPY_AGAIN)
                for each in error.findings
            ]
    if findings:
        raise InputError(findings)


def _by(size: object) -> str:
    return " x ".join(map(str, size)) if isinstance(size, list) else str(size)


def _refuse_other_version(bundle: Bundle) -> None:
    found = bundle.content.get("network_version", NETWORK_VERSION)
    if found != NETWORK_VERSION:
        raise bad_input(
            bundle.path / DESCRIPTION,
            f"networks of version {NETWORK_VERSION}, which this msnmo makes",
            f"networks of version {found}",
            bundle.remedy,
        )


def _refuse_links(files: Sequence[Path]) -> None:
    """Refuse links that lead out of a bundle: its checksums should cover its own files."""
    if out := [file for file in files if file.is_symlink() and not _lies_beside(file)]:
        remedy = "copy the bundle with its files, not as links (cp -rL)"
        raise InputError(
            Finding(str(file), "a file of the bundle", "a link out of it", remedy) for file in out
        )


def _lies_beside(file: Path) -> bool:
    try:
        return file.resolve().is_relative_to(file.parent.resolve())
    except (OSError, RuntimeError):  # circular links
        return False


def _check_preprocessing(description: Path, sections: dict[str, Any]) -> None:
    """Refuse settings that no config may have."""
    with _named_with_remedy(description):
        Preprocessing.from_mapping(sections)


@contextlib.contextmanager
def _named_with_remedy(description: Path) -> Iterator[None]:
    """Rewrite errors within the block as short errors of the bundle."""
    try:
        yield
    except InputError as error:
        raise InputError(
            Finding(
                f"{description}, {each.file}",
                each.expected,
                shorten(each.found, MOST_LETTERS),
                COPY_AGAIN,
            )
            for each in error.findings
        ) from error


def verify_checksums(path: Path) -> None:
    """Compare the files of a bundle with SHA256SUMS.

    A file that it does not name is refused too: its origin is unknown, and Python would run a
    ``pandas.py`` if started in that folder.

    Raises
    ------
    InputError
        Names every file that is missing, damaged, a link out of the bundle or not part of it.
    """
    sums = path / CHECKSUMS
    there = sorted(path.iterdir())
    _refuse_links(there)
    try:
        if not sums.is_file() or sums.stat().st_size > MOST_BYTES_OF_SUMS:
            raise FileNotFoundError("no file of checksums")
        lines = sums.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise bad_input(sums, "the bundle's checksums", str(error), COPY_AGAIN) from error
    matches = [match for line in lines if (match := SUM.fullmatch(line))]
    if not lines or len(matches) < len(lines):
        raise bad_input(sums, "lines of SHA-256 and file name", "another line", COPY_AGAIN)
    findings = []
    for expected, name in (match.groups() for match in matches):
        file = path / name
        found = sha256(file) if file.is_file() else "no such file"
        if found != expected:
            findings.append(Finding(str(file), f"SHA-256 {expected}", found, COPY_AGAIN))
    named = {match[2] for match in matches}
    findings += [
        Finding(
            str(file),
            f"only files that {CHECKSUMS} names",
            "a file that is not part of the bundle",
            f"find out what it is and remove it, or {COPY_AGAIN}",
        )
        for file in there
        if file.name not in named | {CHECKSUMS, SIGNATURE} and not _is_mark(file)
    ]
    weights = {each["weights"] for each in read_json(path / DESCRIPTION)["folds"]}
    findings += [
        Finding(str(sums), f"a checksum of {name}", "none", COPY_AGAIN)
        for name in sorted({DESCRIPTION, *weights} - named)
    ]
    if findings:
        raise InputError(findings)


def _is_mark(file: Path) -> bool:
    return file.name == MARK and file.is_file() and file.stat().st_size == 0
