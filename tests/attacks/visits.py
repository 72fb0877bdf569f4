"""Scans and masks of two visits of which one is no image, given to `msnmo compare-visits`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from msnmo.apply.compare_visits import main as compare_visits
from msnmo.core.names import folder_of
from tests.attacks.attack import Attack, Place, refused
from tests.attacks.nifti import PACKED, SPECIAL
from tests.check.hostile import write_good

SECONDS = 30.0
"""What is no file is refused before anything is computed."""
PARTS = ("flair", "mask", "brain")
IDS = ("P_ses-1", "P_ses-2")
FILES: Mapping[str, Callable[[Path], object]] = {
    **SPECIAL,
    "a file cut short": lambda path: path.write_bytes(PACKED[: len(PACKED) // 2]),
    "nothing": lambda path: None,
}


def _visits(place: Place) -> dict[str, list[Path]]:
    """Write scans, lesion and brain masks of two visits, as `msnmo apply` names them."""
    files: dict[str, list[Path]] = {part: [] for part in PARTS}
    for number, name in enumerate(IDS):
        folder = place.given / folder_of(f"sub-{name}") / "anat"
        write_good(folder, number)
        lesion = folder / f"sub-{name}_desc-lesion_mask.nii.gz"
        brain = folder / f"sub-{name}_desc-brain_mask.nii.gz"
        (folder / "mask.nii.gz").rename(lesion)
        brain.write_bytes(lesion.read_bytes())
        for part, path in zip(PARTS, (folder / "flair.nii.gz", lesion, brain), strict=True):
            files[part].append(path)
    return files


def _in_place(
    part: str, visit: int, make: Callable[[Path], object], applied: bool
) -> Callable[[Place], None]:
    def run(place: Place) -> None:
        files = _visits(place)
        path = files[part][visit]
        path.unlink()
        make(path)
        options: list[object] = ["--applied", place.given, "--ids", *IDS]
        if not applied:
            options = ["--masks", *files["mask"], "--brains", *files["brain"]]
        words = (*files["flair"], "--out", place.out, *options)
        refused(place.run(compare_visits, *words, seconds=SECONDS), str(path))
        assert not place.out.exists()

    return run


def _out_is(make: Callable[[Path], object]) -> Callable[[Place], None]:
    def run(place: Place) -> None:
        files = _visits(place)
        make(place.out)
        words = (*files["flair"], "--out", place.out, "--applied", place.given, "--ids", *IDS)
        refused(place.run(compare_visits, *words, seconds=SECONDS), str(place.out))

    return run


ATTACKS = [
    *(
        Attack("two visits", f"{name} as {part} {visit + 1}", _in_place(part, visit, make, False))
        for part in PARTS
        for visit in (0, 1)
        for name, make in FILES.items()
    ),
    *(
        Attack("two visits", f"{name} as {part} that was applied", _in_place(part, 1, make, True))
        for part in ("mask", "brain")
        for name, make in FILES.items()
    ),
    *(
        Attack("two visits", f"{name} as the folder of results", _out_is(make))
        for name, make in {
            "a pipe": os.mkfifo,
            "a device": lambda path: path.symlink_to("/dev/zero"),
        }.items()
    ),
]
