"""A cohort in which every scan but the good ones has one thing wrong, each another."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np

SHAPE = (44, 52, 40)
AFFINE = np.array([[-4.0, 0, 0, 90], [0, 4, 0, -110], [0, 0, 4, -70], [0, 0, 0, 1]])
COLUMNS = (
    "subject",
    "session",
    "diagnosis",
    "flair",
    "lesion_mask",
    "brain_mask",
    "stripped",
    "site",
)


@dataclass
class Case:
    """One scan that is wrong: how it is made, and what the check must say of it.

    Parameters
    ----------
    name : str
        Subject id, and folder of its files.
    severity, found : str
        Of the finding; `found` is part of it.
    make : callable
        Given the scan's folder, writes over its good files.
    changes : dict
        Cells of its row.
    scan : str
        What the finding calls it, where that is not ``sub-{name}``.
    """

    name: str
    severity: str
    found: str
    make: Callable[[Path], None] = lambda folder: None
    changes: dict[str, str] = field(default_factory=dict)
    scan: str = ""


def head(seed: int) -> np.ndarray:
    """A head: a bright brain in a darker skull in air, each of its own noise."""
    i, j, k = np.meshgrid(*[np.linspace(-1, 1, n) for n in SHAPE], indexing="ij")
    radius = np.sqrt((i / 0.86) ** 2 + (j / 0.9) ** 2 + (k / 0.95) ** 2)
    generator = np.random.default_rng(seed)
    image = np.where(radius < 1, 400.0, 0.0) + np.where(radius < 0.75, 400.0, 0.0)
    image += generator.normal(0, 30, SHAPE) * (image > 0) + generator.uniform(0, 20, SHAPE)
    return np.round(np.clip(image, 0, None)).astype(np.int16)


def lesions(seed: int) -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    i, j, k = np.random.default_rng(seed).integers(16, 26, 3)
    mask[i : i + 3, j : j + 3, k : k + 2] = 1
    return mask


def image_of(data: np.ndarray, affine: np.ndarray = AFFINE) -> nib.Nifti1Image:
    image = nib.Nifti1Image(data, affine)
    image.header.set_xyzt_units("mm", "sec")
    image.set_qform(affine, 1)
    image.set_sform(affine, 1)
    return image


def write_good(folder: Path, seed: int) -> None:
    folder.mkdir(parents=True)
    image_of(head(seed)).to_filename(folder / "flair.nii.gz")
    image_of(lesions(seed)).to_filename(folder / "mask.nii.gz")


def flair(change: Callable[[nib.Nifti1Image], nib.Nifti1Image | None]) -> Callable[[Path], None]:
    """Make a case by a change of the scan's image."""
    return _changed("flair.nii.gz", change)


def mask(change: Callable[[nib.Nifti1Image], nib.Nifti1Image | None]) -> Callable[[Path], None]:
    """Make a case by a change of the lesion mask's image."""
    return _changed("mask.nii.gz", change)


def _changed(
    name: str, change: Callable[[nib.Nifti1Image], nib.Nifti1Image | None]
) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        image = nib.load(folder / name)
        image = nib.Nifti1Image(np.asarray(image.dataobj), image.affine, image.header)
        changed = change(image)
        (image if changed is None else changed).to_filename(folder / name)

    return make


def raw(change: Callable[[bytearray], bytes | None], name: str = "flair.nii.gz"):
    """Make a case by a change of the uncompressed file's bytes."""

    def make(folder: Path) -> None:
        content = bytearray(gzip.decompress((folder / name).read_bytes()))
        changed = change(content)
        (folder / name).write_bytes(gzip.compress(bytes(content if changed is None else changed)))

    return make


def packed(change: Callable[[bytes], bytes], name: str = "flair.nii.gz"):
    """Make a case by a change of the compressed file's bytes."""

    def make(folder: Path) -> None:
        (folder / name).write_bytes(change((folder / name).read_bytes()))

    return make


def _header(change: Callable[[nib.Nifti1Header], None]) -> Callable[[bytearray], None]:
    def apply(content: bytearray) -> None:
        header = nib.Nifti1Header(bytes(content[:348]), check=False)
        change(header)
        content[:348] = header.binaryblock

    return apply


def _set(name: str, value: object) -> Callable[[Path], None]:
    return raw(_header(lambda header: header.__setitem__(name, value)))


def _flat_sform(header: nib.Nifti1Header) -> None:
    header["srow_z"] = header["srow_y"]


def _zoomed(factor: float) -> Callable[[nib.Nifti1Image], nib.Nifti1Image]:
    def change(image: nib.Nifti1Image) -> nib.Nifti1Image:
        return image_of(np.asarray(image.dataobj), AFFINE @ np.diag([factor, factor, factor, 1]))

    return change


def _values(change: Callable[[np.ndarray], np.ndarray], affine: np.ndarray = AFFINE):
    return lambda image: image_of(change(np.asarray(image.dataobj)), affine)


def _with_nan(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(data: np.ndarray) -> np.ndarray:
        data = data.astype(np.float32)
        data[20, 20, 20] = value
        return data

    return change


def _coloured(data: np.ndarray) -> np.ndarray:
    colour = np.zeros(data.shape, np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))
    colour["R"] = np.clip(data // 8, 0, 255)
    return colour


def _conflict(image: nib.Nifti1Image) -> None:
    image.header.set_qform(np.diag([4.0, 4, 4, 1]), 1)
    image.header.set_sform(AFFINE, 1)


def _no_forms(image: nib.Nifti1Image) -> nib.Nifti1Image:
    plain = nib.Nifti1Image(np.asarray(image.dataobj), None)
    plain.header.set_zooms((4, 4, 4))
    plain.header.set_xyzt_units("mm")
    return plain


def _blank(data: np.ndarray) -> np.ndarray:
    data[:, :, 18:20] = 0
    return data


def _shifted(millimetres: float) -> np.ndarray:
    moved = AFFINE.copy()
    moved[0, 3] += millimetres
    return moved


def _brain(folder: Path, data: np.ndarray, affine: np.ndarray = AFFINE) -> None:
    image_of(data.astype(np.uint8), affine).to_filename(folder / "brain.nii.gz")


def _small_brain(folder: Path) -> None:
    _brain(folder, head(0)[:, :, :] > 1e6)


def _brain_elsewhere(folder: Path) -> None:
    _brain(folder, head(0) > 600, _shifted(4.0))


def _second_rater(folder: Path) -> None:
    image_of(np.roll(lesions(7), 8, axis=2)).to_filename(folder / "other.nii.gz")


def _same_rater(folder: Path) -> None:
    (folder / "other.nii.gz").write_bytes((folder / "mask.nii.gz").read_bytes())


def _copied(name: str, source: str):
    def make(folder: Path) -> None:
        target = folder / name
        target.write_bytes((folder.parent / source / name).read_bytes())

    return make


def _folder_for_file(folder: Path) -> None:
    (folder / "flair.nii.gz").unlink()
    (folder / "flair.nii.gz").mkdir()


def _renamed(name: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (folder / "flair.nii.gz").rename(folder / name)

    return make


TWO = "{name}/mask.nii.gz;{name}/other.nii.gz"
BRAIN = {"brain_mask": "{name}/brain.nii.gz"}
CASES = [
    # rows of the scan table
    Case("missing", "error", "No such file", lambda f: (f / "flair.nii.gz").unlink()),
    Case("aFolder", "error", "a folder or device", _folder_for_file),
    Case("slash", "error", "'../slash'", changes={"subject": "../slash"}, scan="row {row}"),
    Case("prefix", "error", "'sub-prefix'", changes={"subject": "sub-prefix"}, scan="row {row}"),
    Case("accent", "error", "'Éva'", changes={"subject": "Éva"}, scan="row {row}"),
    Case("label", "error", "'RRMS'", changes={"diagnosis": "RRMS"}),
    Case("noDiagnosis", "error", "no diagnosis", changes={"diagnosis": ""}),
    Case("noMask", "error", "no lesion mask", changes={"lesion_mask": ""}),
    Case("maybe", "error", "'maybe'", changes={"stripped": "maybe"}),
    Case("ending", "error", "flair.mgz", _renamed("flair.mgz"), {"flair": "{name}/flair.mgz"}),
    Case("home", "error", "/flair.nii.gz': No such file", changes={"flair": "~/flair.nii.gz"}),
    Case("idTwice", "error", "sub-good1", changes={"subject": "good1"}, scan="sub-good1"),
    Case("capitals", "error", "'GOOD2' here", changes={"subject": "GOOD2"}, scan="sub-GOOD2"),
    Case(
        "twoDiagnoses",
        "error",
        "NMOSD here and MS",
        changes={"subject": "good3", "session": "2", "diagnosis": "NMOSD"},
        scan="sub-good3_ses-2",
    ),
    Case("sameFile", "error", "good4/flair.nii.gz", changes={"flair": "good4/flair.nii.gz"}),
    # files that are none
    Case("empty", "error", "an empty file", packed(lambda content: b"")),
    Case("text", "error", "BadGzipFile", packed(lambda content: b"This is no scan.")),
    Case("truncated", "error", "EOFError", packed(lambda content: content[: len(content) // 2])),
    Case(
        "checksum",
        "error",
        "CRC",
        packed(lambda content: content[:-8] + b"\0\0\0\0" + content[-4:]),
    ),
    Case("bitRot", "error", "", packed(lambda c: c[:9000] + bytes([c[9000] ^ 255]) + c[9001:])),
    Case("notPacked", "error", "an uncompressed NIfTI file", packed(gzip.decompress)),
    Case("headerAlone", "error", "too small a file", raw(lambda content: content[:352])),
    Case(
        "pair",
        "error",
        "no header of a single NIfTI file",
        raw(lambda c: c.__setitem__(slice(344, 348), b"ni1\0")),
    ),
    Case("random", "error", "", raw(lambda c: bytes(np.random.default_rng(0).bytes(5000)))),
    # headers
    Case("fourD", "error", "shape (44, 52, 40, 2)", flair(_values(lambda d: np.stack([d, d], -1)))),
    Case("twoD", "error", "shape (44, 52)", flair(_values(lambda d: d[:, :, 20]))),
    Case(
        "hugeDims", "error", "too small a file", _set("dim", [3, 32767, 32767, 32767, 1, 1, 1, 1])
    ),
    Case("negativeDims", "error", "", _set("dim", [3, -44, 52, 40, 1, 1, 1, 1])),
    Case("noDims", "error", "", _set("dim", [0, 44, 52, 40, 1, 1, 1, 1])),
    Case("unknownType", "error", "", _set("datatype", 77)),
    Case("slope", "error", "NaN or infinite", _set("scl_slope", 3e38)),
    Case("offset", "error", "byte 0", _set("vox_offset", 0)),
    Case("smallVoxels", "error", "0.04", flair(_zoomed(0.01))),
    Case("largeVoxels", "error", "40 x 40 x 40 mm", flair(_zoomed(10))),
    Case("view", "error", "22 x 26 x 20 mm", flair(_zoomed(0.125))),
    Case("flat", "error", "", raw(_header(_flat_sform))),
    Case("nanForm", "error", "nan", _set("srow_x", [np.nan, 0, 0, 0])),
    Case("metres", "error", "units metres", _set("xyzt_units", 1)),
    Case("conflict", "warning", "sform and qform differ", flair(_conflict)),
    Case(
        "noForms",
        "warning",
        "neither sform nor qform",
        flair(_no_forms),
        {"lesion_mask": "", "diagnosis": ""},
    ),
    # voxels
    Case("nan", "error", "1 voxel is NaN", flair(_values(_with_nan(np.nan)))),
    Case("infinite", "error", "1 voxel is NaN or infinite", flair(_values(_with_nan(np.inf)))),
    Case("constant", "error", "7 in every voxel", flair(_values(lambda d: np.full_like(d, 7)))),
    Case("complex", "error", "complex64", flair(_values(lambda d: d.astype(np.complex64)))),
    Case("colour", "error", "data type", flair(_values(_coloured))),
    Case("labels", "error", "2 values: 0, 1", flair(_values(lambda d: (d > 300).astype(np.int16)))),
    Case("phase", "warning", "negative", flair(_values(lambda d: d - 500))),
    Case(
        "clipped", "warning", "at the largest value", flair(_values(lambda d: np.minimum(d, 780)))
    ),
    Case("lostSlices", "warning", "2 with a single value", flair(_values(_blank))),
    Case("notStripped", "error", "faces are not zero", changes={"stripped": "yes"}),
    Case(
        "skullGone",
        "warning",
        "litres of non-zero voxels",
        flair(_values(lambda d: np.where(d > 640, d, 0))),
    ),
    # masks
    Case("maskShape", "error", "shape (44, 52, 39)", mask(_values(lambda d: d[:, :, :-1]))),
    Case("maskPlace", "error", "affine", mask(_values(lambda d: d, _shifted(1.0)))),
    Case("maskTruncated", "error", "EOFError", packed(lambda c: c[:100], "mask.nii.gz")),
    Case("maskFourD", "error", "(44, 52, 40, 2)", mask(_values(lambda d: np.stack([d, d], -1)))),
    Case(
        "maskLabels",
        "error",
        "values 0, 1, 2",
        mask(_values(lambda d: d * (1 + (np.arange(40) % 2)).astype("u1"))),
    ),
    Case(
        "maskSoft",
        "error",
        "values 0, 0.3",
        mask(_values(lambda d: d * np.where(np.arange(40) % 2, 0.3, 1).astype("f4"))),
    ),
    Case("maskNegative", "error", "-1", mask(_values(lambda d: -d.astype(np.int16)))),
    Case("maskNan", "error", "NaN", mask(_values(_with_nan(np.nan)))),
    Case("maskEmpty", "warning", "an empty mask", mask(_values(lambda d: d * 0))),
    Case("maskInverted", "error", "ml of lesions", mask(_values(lambda d: 1 - d))),
    Case(
        "maskInAir",
        "error",
        "100% of them outside",
        mask(_values(lambda d: np.roll(d, 18, axis=0))),
    ),
    Case("ratersApart", "warning", "no voxel in common", _second_rater, {"lesion_mask": TWO}),
    Case("raterTwice", "warning", "the same voxels", _same_rater, {"lesion_mask": TWO}),
    Case("brainSmall", "error", "0.00 litres", _small_brain, BRAIN),
    Case("brainElsewhere", "error", "affine", _brain_elsewhere, BRAIN),
    # scans beside each other
    Case("copy", "error", "the same voxels as sub-good5", _copied("flair.nii.gz", "good5")),
    Case("maskCopy", "warning", "a mask of sub-good6", _copied("mask.nii.gz", "good6")),
    Case(
        "sites",
        "warning",
        "at the sites",
        changes={"subject": "good7", "session": "2", "site": "B"},
        scan="sub-good7_ses-2",
    ),
]
GOOD = [f"good{number}" for number in range(1, 13)]
# their other row, file or copy is bad, and which of the two is right cannot be told
SUSPECT = {"sub-good1", "sub-good2", "sub-good3", "sub-good4", "sub-good5"}


def make_hostile_cohort(folder: Path) -> list[Case]:
    """Write the cohort and its scans.tsv; return the cases with their names and rows filled in."""
    rows = []
    for seed, name in enumerate(GOOD):
        write_good(folder / name, seed)
        session = {"good3": "1", "good7": "1"}.get(name, "")
        rows.append(_row(name, {"session": session}))
    for seed, case in enumerate(CASES, start=100):
        write_good(folder / case.name, seed)
        case.make(folder / case.name)
        rows.append(_row(case.name, case.changes))
        case.scan = (case.scan or f"sub-{case.name}").format(row=len(rows) + 1)
    lines = ["\t".join(COLUMNS), *("\t".join(row) for row in rows)]
    (folder / "scans.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return CASES


def _row(name: str, changes: dict[str, str]) -> list[str]:
    cells = dict.fromkeys(COLUMNS, "") | {
        "subject": name,
        "diagnosis": "MS",
        "flair": f"{name}/flair.nii.gz",
        "lesion_mask": f"{name}/mask.nii.gz",
        "stripped": "no",
        "site": "A",
    }
    cells |= {key: value.format(name=name) for key, value in changes.items()}
    return [cells[column] for column in COLUMNS]
