"""Which part of the brain a lesion lies in: registration to the MNI template, and a stated rule."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from msnmo.apply.template import Region, load_template, regions_in_template
from msnmo.bundle.contents import NOT_FOR_DIAGNOSIS
from msnmo.core.errors import InputError, bad_input, run_command
from msnmo.core.files import read_json, write_json
from msnmo.core.geometry import sample_on_grid
from msnmo.core.grid import Grid
from msnmo.core.same_grid import check_same_grid
from msnmo.core.saving import save_volume
from msnmo.core.volumes import Volume, load_mask, load_volume
from msnmo.preprocess.n4 import use_one_thread

if TYPE_CHECKING:
    import ants

# Distance in mm at which a lesion still counts as lying at a region
VENTRICLE_MM, CORTEX_MM = 3.0, 1.5
RULE = (
    "A lesion is infratentorial if more than half of its voxels lie in the infratentorial space "
    "(brainstem, cerebellum); else periventricular if one of its voxels shares a side with the "
    f"lateral or third ventricles or has its centre within {VENTRICLE_MM:g} mm of theirs; else "
    "juxtacortical if one shares a side with cortical grey matter or has its centre within "
    f"{CORTEX_MM:g} mm of it; else deep. Regions come from the MNI template (ICBM 2009a) by "
    "registration of the scan, so a class near a border is as uncertain as the registration."
)
CLASSES = ("periventricular", "juxtacortical", "infratentorial", "deep")

STEP_MM = 2.0  # scan and template are registered on grids of this spacing
MARGIN_MM = 10.0  # of background around the brain
ITERATIONS = (100, 50, 20)  # of SyN, on 8, 4 and 2 mm
SEED = 1  # of the voxels at which the affine stage samples mutual information
BINS = 32
# A registration is believed with brain masks of at least this Dice, and ventricles of at most this
# brightness. Heads stored upside down or back to front reach a Dice of 0.95 to 0.98, as right ones
# do, since SyN bends any head to fit; but a brightness of 0.86 and 0.97 where right ones have 0.36
# to 0.59 (seven trials on five real scans).
LEAST_OVERLAP, MOST_BRIGHTNESS = 0.90, 0.75
REMEDY = "look at the scan and its brain mask, or run without locations"
QUALITY = ("brain_overlap", "mutual_information", "ventricle_brightness")
"""What `Regions` holds beside its labels, and the file beside the label map too."""


@dataclass(frozen=True, eq=False)
class Regions:
    """The template's regions in one scan, and how well the registration went.

    Parameters
    ----------
    labels : (I, J, K) ndarray of uint8
        `Region` of each voxel of the scan's own grid.
    brain_overlap : float
        Dice of the scan's brain mask and the template's, registered, on a grid of 2 mm; in [0, 1].
    mutual_information : float
        Between the scan and the template, registered, within both brains, in nats. Comparable
        among scans of one protocol, not beyond.
    ventricle_brightness : float
        Median intensity in the ventricles over that in the voxels of no region, mostly white
        matter. Fluid is dark in T2-FLAIR: near 1, these are no ventricles.
    """

    labels: np.ndarray
    brain_overlap: float
    mutual_information: float
    ventricle_brightness: float


def find_regions(
    brain_image: Volume, brain: np.ndarray, file: Path, transforms: Sequence[Path] = ()
) -> Regions:
    """Return where the template's regions lie in a scan.

    The scan is registered to the T1-weighted template by ANTs: centres of mass, an affine map, then
    SyN (Avants et al. 2008), all by mutual information, since grey and white matter change places
    between the two contrasts. Both are sampled at 2 mm in scanner mm first, so that any grid (left-
    handed, oblique, sheared, thick slices) meets the template the same way. The region map is then
    taken to the native grid, each voxel by its centre. One ITK thread and a fixed seed: two runs
    give equal labels.

    Parameters
    ----------
    brain_image : Volume
        Skull-stripped and bias-corrected scan on its native grid.
    brain : (I, J, K) ndarray of bool
        Its brain mask.
    file : Path
        The scan's file, for messages.
    transforms : sequence of Path, optional
        Where to write ANTs' warp (.nii.gz) and affine map (.mat), which take the scan to the
        template.

    Raises
    ------
    InputError
        Naming the file, if the registration fails or is not believable: brain masks that overlap
        by a Dice under 0.90, or ventricles whose brightness is over 0.75.
    """
    if not brain.any():
        raise _failed(file, "an empty brain mask")
    try:
        regions = _register(brain_image, brain, transforms)
    except RuntimeError as error:  # ITK says so when it finds no common voxels
        raise _failed(file, str(error)) from error
    overlap, brightness = regions.brain_overlap, regions.ventricle_brightness
    if not (overlap >= LEAST_OVERLAP and brightness <= MOST_BRIGHTNESS):
        found = f"brain masks of Dice {overlap:.2f}, ventricles {brightness:.2f} times as bright"
        raise _failed(file, found)
    return regions


def locate(labels: np.ndarray, regions: Regions, grid: Grid) -> list[str]:
    """Return the class of each lesion, ordered by id.

    In this order (`RULE` says it in words):

    =============== ==============================================================================
    infratentorial  more than half of the lesion's voxels are in the infratentorial space
    periventricular a voxel shares a side with the ventricles, or is within 3 mm of them
    juxtacortical   a voxel shares a side with cortical grey matter, or is within 1.5 mm of it
    deep            the rest
    =============== ==============================================================================

    The criteria of diagnosis ask for contact with ventricle or cortex (MAGNIMS: Filippi et al.,
    Lancet Neurol. 15:292, 2016; McDonald: Thompson et al., Lancet Neurol. 17:162, 2018), and
    programs take one voxel of 1 mm for contact. To that comes the error of registration. At the
    ventricles 3 mm is the reach of "juxtaventricular" lesions (Kim et al., Biol. Psychiatry 64:273,
    2008); at the cortex 1.5 mm is a 1 mm voxel's side or edge and no more, because the template's
    cortex, an average, is wider than any one brain's.

    Distances are between voxel centres, in mm along the voxel axes: exact but for sheared grids.

    Parameters
    ----------
    labels : (I, J, K) ndarray of int
        Ids of lesions, 1 to N, 0 outside.
    regions : Regions
        On the same grid.
    grid : Grid

    Returns
    -------
    list of str
        N of `CLASSES`.
    """
    count = int(labels.max(initial=0))
    if count == 0:
        return []
    inside = np.nonzero(labels)
    ids = labels[inside]
    sizes = np.bincount(ids, minlength=count + 1)

    def voxels_at(mask: np.ndarray) -> np.ndarray:
        return np.bincount(ids, weights=mask[inside], minlength=count + 1)

    ventricle = _near(regions.labels == Region.VENTRICLE, VENTRICLE_MM, grid)
    cortex = _near(regions.labels == Region.CORTEX, CORTEX_MM, grid)
    tests = {
        "infratentorial": voxels_at(regions.labels == Region.INFRATENTORIAL) > sizes / 2,
        "periventricular": voxels_at(ventricle) > 0,
        "juxtacortical": voxels_at(cortex) > 0,
    }
    classes = np.select(list(tests.values()), list(tests), default="deep")
    return [str(name) for name in classes[1:]]


def write_regions(path: Path, regions: Regions, grid: Grid) -> None:
    """Write regions as a label map, and beside it (.json) how well the registration went."""
    save_volume(path, regions.labels, grid, np.uint8)
    content = {
        "warning": NOT_FOR_DIAGNOSIS,
        "labels": {str(int(region)): region.name.lower() for region in Region},
        "rule": RULE,
        **{name: round(getattr(regions, name), 4) for name in QUALITY},
    }
    write_json(sidecar_of(path), content)


def read_regions(path: Path, grid: Grid) -> Regions:
    """Return the regions that `write_regions` wrote, checked to lie on the grid.

    Raises
    ------
    InputError
        Naming the file that is missing, damaged or of another scan.
    """
    labels, content = load_volume(path), read_json(sidecar_of(path))
    remedy = "delete the file and run again"
    if not labels.grid.matches(grid):
        raise bad_input(path, "regions on the grid of the scan", "another grid", remedy)
    try:
        numbers = (float(content[name]) for name in QUALITY)
        return Regions(labels.data.astype(np.uint8), *numbers)
    except (KeyError, TypeError, ValueError) as error:
        raise bad_input(sidecar_of(path), "how it was registered", repr(error), remedy) from error


def sidecar_of(path: Path) -> Path:
    """Return the JSON file beside a NIfTI file."""
    return Path(str(path).removesuffix(".gz").removesuffix(".nii") + ".json")


def _near(region: np.ndarray, distance_mm: float, grid: Grid) -> np.ndarray:
    """Return the voxels that are in a region, share a side with it or lie within a distance."""
    if not region.any():
        return region
    distance = ndimage.distance_transform_edt(~region, sampling=grid.voxel_mm)
    return (distance <= distance_mm) | ndimage.binary_dilation(region)


def _failed(file: Path, found: str) -> InputError:
    expected = (
        "a brain that can be registered to the MNI template (brain masks of Dice at least "
        f"{LEAST_OVERLAP:g}, ventricles at most {MOST_BRIGHTNESS:g} times as bright as the rest)"
    )
    return bad_input(file, expected, found, REMEDY)


def _register(brain_image: Volume, brain: np.ndarray, kept: Sequence[Path]) -> Regions:
    use_one_thread()
    import ants  # noqa: PLC0415

    ants.config.set_ants_deterministic(on=False, seed_value=SEED)  # the seed alone
    template = load_template()
    world = world_grid(brain, brain_image.grid)
    scan = sample_on_grid(np.where(brain, brain_image.data, 0), brain_image.grid, world)
    scan_brain = sample_on_grid(brain, brain_image.grid, world) >= 0.5
    coarse = world_grid(template.brain, template.grid)
    fixed = to_ants(sample_on_grid(template.t1, template.grid, coarse), coarse)
    moving = to_ants(scan, world)
    with tempfile.TemporaryDirectory(prefix="msnmo-") as folder:
        found = ants.registration(
            fixed, moving, "SyN", outprefix=f"{folder}/", reg_iterations=ITERATIONS
        )
        transforms = found["invtransforms"]
        template_brain = _carried(template.brain, template.grid, moving, transforms) > 0
        labels = carry(regions_in_template().data, template.grid, brain_image.grid, transforms)
        for made, path in zip(found["fwdtransforms"], kept, strict=bool(kept)):
            shutil.copyfile(made, path)
    both = scan_brain & template_brain
    return Regions(
        labels,
        float(2 * both.sum() / (scan_brain.sum() + template_brain.sum())),
        _mutual_information(scan[both], found["warpedfixout"].numpy()[both]),
        _ventricle_brightness(brain_image.data, brain, labels),
    )


def carry(labels: np.ndarray, grid: Grid, to: Grid, transforms: list[str]) -> np.ndarray:
    """Return small labels on another grid, through transforms that ANTs has written: nearest."""
    return _carried(labels, grid, to_ants(np.zeros(to.shape), to), transforms)


def _carried(
    labels: np.ndarray, grid: Grid, to: ants.ANTsImage, transforms: list[str]
) -> np.ndarray:
    """Return labels on the grid of an image, through transforms that ANTs has written."""
    import ants  # noqa: PLC0415

    moved = ants.apply_transforms(
        to, to_ants(labels, grid), transforms, interpolator="nearestNeighbor"
    )
    return np.rint(moved.numpy()).astype(np.uint8)


def to_ants(data: np.ndarray, grid: Grid) -> ants.ANTsImage:
    """Return an image in the coordinates of ITK, where x and y run to the left and to the back."""
    import ants  # noqa: PLC0415

    to_itk = np.diag([-1.0, -1.0, 1.0])
    arguments: dict[str, Any] = {
        "origin": tuple(to_itk @ grid.affine[:3, 3]),
        "spacing": tuple(grid.voxel_mm),
        "direction": to_itk @ grid.affine[:3, :3] / grid.voxel_mm,
    }
    return ants.from_numpy(np.ascontiguousarray(data, dtype=np.float32), **arguments)


def world_grid(brain: np.ndarray, grid: Grid) -> Grid:
    """Return a grid of `STEP_MM` along x, y and z that holds a brain and a margin."""
    box = ndimage.find_objects(brain.astype(np.uint8))[0]
    ends = np.meshgrid(*[(axis.start, axis.stop - 1) for axis in box], indexing="ij")
    corners = grid.affine[:3, :3] @ np.reshape(ends, (3, -1)) + grid.affine[:3, 3:]
    start = corners.min(axis=1) - MARGIN_MM
    affine = np.diag([STEP_MM, STEP_MM, STEP_MM, 1.0])
    affine[:3, 3] = start
    length = np.ceil((corners.max(axis=1) + MARGIN_MM - start) / STEP_MM).astype(int) + 1
    return Grid.from_affine(tuple(length), affine)


def _ventricle_brightness(image: np.ndarray, brain: np.ndarray, labels: np.ndarray) -> float:
    """Return the brightness that `Regions` describes; infinite if there is nothing to measure."""
    ventricle, rest = (
        image[brain & (labels == region)] for region in (Region.VENTRICLE, Region.ELSEWHERE)
    )
    if not ventricle.size or not rest.size or np.median(rest) <= 0:
        return np.inf
    return float(np.median(ventricle) / np.median(rest))


def _mutual_information(one: np.ndarray, other: np.ndarray) -> float:
    """Return the mutual information of two samples in nats, by a histogram of 32 x 32 bins.

    Values beyond the 1st and 99th centile are set to these.
    """
    first, second = (np.clip(values, *np.percentile(values, (1, 99))) for values in (one, other))
    joint = np.histogram2d(first, second, bins=BINS)[0] / len(one)
    apart = joint.sum(axis=0, keepdims=True) * joint.sum(axis=1, keepdims=True)
    some = joint > 0
    return float((joint[some] * np.log(joint[some] / apart[some])).sum())


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the regions of one preprocessed scan."""
    parser = argparse.ArgumentParser(prog="python -m msnmo.apply.location", description=__doc__)
    parser.add_argument("--image", type=Path, required=True, help="bias-corrected brain")
    parser.add_argument("--brain", type=Path, required=True, help="brain mask")
    parser.add_argument("--out", type=Path, required=True, help="label map; .json comes beside it")
    parser.add_argument(
        "--out-transforms",
        type=Path,
        nargs=2,
        default=(),
        metavar=("WARP", "AFFINE"),
        help="where to write what takes the scan to the template",
    )
    given = parser.parse_args(arguments)
    image, brain = load_volume(given.image), load_mask(given.brain)
    check_same_grid(given.brain, brain, given.image, image)
    regions = find_regions(image, brain.data, given.image, given.out_transforms)
    write_regions(given.out, regions, image.grid)
    quality = ", ".join(f"{name} {getattr(regions, name):.3f}" for name in QUALITY)
    print(f"{given.image.name}: {quality}")


if __name__ == "__main__":
    run_command(main)
