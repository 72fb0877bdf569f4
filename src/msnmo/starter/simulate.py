"""Write scans as the starter learns from: simulated FLAIR brains in model space, and their masks.

They come as a cohort: a scan table that the workflow takes, marked as simulated. Each scan is
stripped by a mask that errs as engines do, and has a contrast, resolution and noise of its own.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd

from msnmo.cohort.bids_sidecars import SIMULATE
from msnmo.core.arguments import at_least
from msnmo.core.command import program
from msnmo.core.counts import counted
from msnmo.core.errors import other_disk, run_command
from msnmo.core.extras import require_extra
from msnmo.core.files import write_json, write_tsv
from msnmo.core.grid import Grid
from msnmo.core.paths import path_argument
from msnmo.core.saving import save_volume
from msnmo.core.seeds import derive_seed
from msnmo.core.writable import require_empty
from msnmo.demo.lesions import Diagnosis
from msnmo.starter.render import Scan, simulate

LARGEST = 256


def write_scans(out: Path, count: int, size: int, seed: int) -> pd.DataFrame:
    """Write scans and their table; both classes in turn.

    Parameters
    ----------
    out : Path
        Folder; made if missing.
    count : int
    size : int
        Edge of each scan in voxels.
    seed : int
        Equal seeds give equal files.
    """
    rows = []
    for number in range(count):
        diagnosis: Diagnosis = get_args(Diagnosis)[number % 2]
        subject = f"sim{number + 1:04d}"
        scan = simulate(derive_seed(seed, "simulated", subject), diagnosis, size)
        rows.append(_write(out, subject, diagnosis, scan))
    table = pd.DataFrame(rows)
    write_json(
        out / "dataset_description.json",
        {
            "Name": "simulated FLAIR brains of msnmo",
            "BIDSVersion": "1.9.0",
            "DatasetType": "raw",
            "GeneratedBy": [{"Name": SIMULATE}],
        },
    )
    write_tsv(out / "scans.tsv", table)
    return table


def _write(out: Path, subject: str, diagnosis: str, scan: Scan) -> dict[str, str]:
    folder = Path(f"sub-{subject}", "anat")
    affine = np.diag([*scan.voxel_mm, 1.0])
    affine[:3, 3] = -np.array(scan.voxel_mm) * (np.array(scan.intensity.shape) - 1) / 2
    grid = Grid.from_affine(tuple(scan.intensity.shape), affine)
    flair = folder / f"sub-{subject}_FLAIR.nii.gz"
    mask = folder / f"sub-{subject}_label-lesion_mask.nii.gz"
    save_volume(out / flair, (1000 * scan.intensity).numpy(), grid)
    save_volume(out / mask, scan.lesion[0].numpy(), grid, np.uint8)
    return {
        "subject": subject,
        "diagnosis": diagnosis,
        "flair": flair.as_posix(),
        "lesion_mask": mask.as_posix(),
        "stripped": "yes",
        "bias_corrected": "yes",
        "simulated": "yes",
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Write scans from the command line."""
    parser = argparse.ArgumentParser(
        prog=program("msnmo.starter.simulate"),
        description=__doc__,
        epilog="Example:\n  msnmo simulate --out simulated --scans 20",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=path_argument, required=True, help="folder of the scans")
    parser.add_argument("--scans", type=at_least(1), default=20, help="how many (%(default)s)")
    parser.add_argument(
        "--size", type=at_least(32), default=96, help="edge in voxels, 256 at most (%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="equal seeds give equal files")
    given = parser.parse_args(arguments)
    if given.size > LARGEST:
        parser.error(f"argument --size: {LARGEST} at most")
    require_empty(given.out)
    require_extra("locations", "msnmo simulate")  # its brains are made from the MNI template
    with other_disk("give an --out on another disk"):
        table = write_scans(given.out, given.scans, given.size, given.seed)
    print(f"{counted(len(table), 'scan')}: {given.out / 'scans.tsv'}")


if __name__ == "__main__":
    run_command(main)
