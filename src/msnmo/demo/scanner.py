"""The simulated scanners: grid, pose, bias field, noise and how the file is stored."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel import orientations
from scipy import ndimage
from scipy.spatial.transform import Rotation

from msnmo.core.files import atomic_path
from msnmo.core.grid import Grid
from msnmo.core.saving import save_volume
from msnmo.demo.anatomy import HeadModel, resample_axis
from msnmo.demo.subject import GREY, Subject

NODE = 4  # voxels between nodes of the deformation on a scan's grid
PLANES = 16  # planes of voxels sampled at a time
# The box scanned, in mm, for a head of mean size; its lower end is the protocol's.
FIELD_OF_VIEW_MM = ((-84, 84), (-114, 98), (np.nan, 94))


@dataclass(frozen=True)
class Protocol:
    """How one site scans.

    Parameters
    ----------
    site : str
        Name in the scan table.
    voxel_mm : tuple of 3 float
        Sizes along left-right, back-front, foot-head.
    codes : tuple of str
        Storage orientations that the site uses (axis codes, first voxel to last).
    tilt_deg : float
        Standard deviation of the acquisition box's rotation (0: not oblique).
    bottom_mm : float
        Where the box ends towards the feet. 2D scans are shorter.
    integers : bool
        int16 with slope and intercept, or float32.
    noise : (low, high)
        Rician noise relative to white matter.
    bias : (low, high)
        Standard deviation of the log bias field.
    stripped : bool
        Scans arrive skull-stripped and bias-corrected, as those of the ISBI 2015 challenge do.
    sequence : dict
        Acquisition parameters for the BIDS sidecar.
    grey : (low, high)
        Grey matter relative to white matter.
    """

    site: str
    voxel_mm: tuple[float, float, float]
    codes: tuple[str, ...]
    tilt_deg: float
    bottom_mm: float
    integers: bool
    noise: tuple[float, float]
    bias: tuple[float, float]
    stripped: bool
    sequence: dict[str, float | str]
    grey: tuple[float, float] = GREY


PROTOCOLS = {
    "3d": Protocol(
        site="demo-3D",
        voxel_mm=(1.5, 1.4, 1.4),
        codes=("PSR", "RAS", "ASL"),
        tilt_deg=3.0,
        bottom_mm=-94.0,
        integers=True,
        noise=(0.02, 0.045),
        bias=(0.08, 0.16),
        stripped=False,
        sequence={
            "MRAcquisitionType": "3D",
            "MagneticFieldStrength": 3.0,
            "RepetitionTime": 5.0,
            "EchoTime": 0.388,
            "InversionTime": 1.8,
        },
    ),
    "2d": Protocol(
        site="demo-2D",
        voxel_mm=(1.0, 1.0, 3.0),
        codes=("LPS", "LAS", "RAS"),
        tilt_deg=4.0,
        bottom_mm=-80.0,
        integers=False,
        noise=(0.015, 0.035),
        bias=(0.05, 0.12),
        stripped=False,
        sequence={
            "MRAcquisitionType": "2D",
            "MagneticFieldStrength": 1.5,
            "RepetitionTime": 9.0,
            "EchoTime": 0.114,
            "InversionTime": 2.5,
        },
    ),
    "research": Protocol(
        site="demo-research",
        voxel_mm=(1.5, 1.5, 1.5),
        codes=("RPI", "LAS"),
        tilt_deg=0.0,
        bottom_mm=-94.0,
        integers=False,
        noise=(0.015, 0.03),
        bias=(0.0, 0.02),
        stripped=True,
        sequence={
            "MRAcquisitionType": "2D",
            "MagneticFieldStrength": 3.0,
            "RepetitionTime": 11.0,
            "EchoTime": 0.068,
            "InversionTime": 2.8,
        },
    ),
}

# Of the two sites that share the classes unequally: what else real scanners differ in, and what a
# network sees at the model's size, where voxels of both sites have become alike.
UNLIKE = {
    "3d": replace(PROTOCOLS["3d"], grey=(1.08, 1.16), noise=(0.06, 0.08)),
    "2d": replace(PROTOCOLS["2d"], grey=(1.34, 1.42), noise=(0.01, 0.02)),
    "research": PROTOCOLS["research"],
}


@dataclass(frozen=True)
class Acquisition:
    """One scan's grid and the pose of the head in the scanner.

    Parameters
    ----------
    grid : Grid
        As stored.
    rotation : (3, 3) ndarray
        Turns anatomical into scanner directions.
    shift_mm : (3,) ndarray
        The head's origin in the scanner.
    codes : str
        Storage orientation, before the tilt.
    """

    grid: Grid
    rotation: np.ndarray
    shift_mm: np.ndarray
    codes: str

    def to_head(self, size: np.ndarray) -> np.ndarray:
        """Return the (4, 4) affine from scanner mm to head mm at template size."""
        affine = np.eye(4)
        affine[:3, :3] = np.diag(1 / size) @ self.rotation.T
        affine[:3, 3] = -affine[:3, :3] @ self.shift_mm
        return affine


def draw_acquisition(
    protocol: Protocol, rng: np.random.Generator, min_voxel_mm: float
) -> Acquisition:
    """Draw pose, box and orientation of one scan.

    Parameters
    ----------
    min_voxel_mm : float
        The shortest side of a voxel. Large values make tiny scans for tests.
    """
    voxel = np.maximum(np.array(protocol.voxel_mm) * rng.uniform(0.97, 1.08), min_voxel_mm)
    turn = Rotation.from_euler("xyz", rng.normal(0, (5, 3, 4)), degrees=True).as_matrix()
    shift = rng.normal(0, (3, 6, 6))
    low, high = np.array(FIELD_OF_VIEW_MM, dtype=float).T
    low[2] = protocol.bottom_mm + rng.uniform(-6, 6)
    shape = np.ceil((high - low) / voxel).astype(int)
    tilt = Rotation.from_euler("xyz", rng.normal(0, protocol.tilt_deg, 3), degrees=True)
    affine = np.eye(4)
    affine[:3, :3] = tilt.as_matrix() @ np.diag(voxel)
    middle = (low + high) / 2 + shift + rng.normal(0, 2, size=3)
    affine[:3, 3] = middle - affine[:3, :3] @ ((shape - 1) / 2)
    codes = str(rng.choice(protocol.codes))
    return Acquisition(_reoriented(shape, affine, codes), turn, shift, codes)


def _reoriented(shape: np.ndarray, affine: np.ndarray, codes: str) -> Grid:
    ras = orientations.axcodes2ornt("RAS")
    transform = orientations.ornt_transform(ras, orientations.axcodes2ornt(tuple(codes)))
    stored = affine @ orientations.inv_ornt_aff(transform, tuple(shape))
    order = np.argsort(transform[:, 0])
    return Grid.from_affine(tuple(int(shape[axis]) for axis in order), stored)


def sample(
    subject: Subject, acquisition: Acquisition, volumes: list[np.ndarray]
) -> list[np.ndarray]:
    """Return volumes of the model's grid sampled at the scan's voxels.

    Thick slices are averages of about one sample per 1.6 mm.
    """
    grid = acquisition.grid
    thick = int(np.argmax(grid.voxel_mm))
    parts = round(grid.voxel_mm[thick] / 1.6) if _is_thick(grid) else 1
    smoothed = [_in_plane(volume, grid, subject.model) for volume in volumes]
    nodes = _template_nodes(subject, acquisition)
    out = [np.zeros(grid.shape, dtype=np.float32) for _ in volumes]
    for start in range(0, grid.shape[thick], PLANES):
        planes = np.arange(start, min(start + PLANES, grid.shape[thick]))
        for part in range(parts):
            index = _template_index(nodes, grid, thick, planes + (part + 0.5) / parts - 0.5)
            for target, volume in zip(out, smoothed, strict=True):
                seen = ndimage.map_coordinates(volume, index, order=1, mode="constant")
                np.moveaxis(target, thick, 0)[planes] += np.moveaxis(seen, thick, 0) / parts
    return out


def _template_nodes(subject: Subject, acquisition: Acquisition) -> np.ndarray:
    """Return (3, A, B, C) model indices of every `NODE`-th voxel, beginning one node before 0."""
    counts = [length // NODE + 4 for length in acquisition.grid.shape]
    index = (np.stack(np.meshgrid(*map(np.arange, counts), indexing="ij")) - 1.0) * NODE
    to_head = acquisition.to_head(subject.size) @ acquisition.grid.affine
    points = to_head[:3, :3] @ index.reshape(3, -1) + to_head[:3, 3:]
    place = subject.model.to_index(subject.to_template(points).T).T
    return place.reshape(index.shape).astype(np.float32)


def _template_index(nodes: np.ndarray, grid: Grid, axis: int, planes: np.ndarray) -> np.ndarray:
    """Return the model indices of some planes of voxels, from the nodes around them.

    The deformation is so smooth that linear interpolation over `NODE` voxels is off by 0.1 mm.
    """
    positions = [np.arange(length, dtype=np.float64) for length in grid.shape]
    positions[axis] = planes
    # the axis with the fewest voxels first: the others then have less to do
    for along in sorted(range(3), key=lambda a: len(positions[a])):
        nodes = resample_axis(nodes, positions[along] / NODE + 1, along + 1)
    return nodes


def _is_thick(grid: Grid) -> bool:
    sizes = np.sort(grid.voxel_mm)
    return bool(sizes[2] > 1.5 * sizes[1])


def _in_plane(volume: np.ndarray, grid: Grid, model: HeadModel) -> np.ndarray:
    """Smooth by the in-plane point spread, so that large voxels do not alias."""
    size = float(np.sort(grid.voxel_mm)[1])
    sigma = 0.35 * np.sqrt(max(size**2 - model.spacing_mm**2, 0.0)) / model.spacing_mm
    return ndimage.gaussian_filter(volume, sigma) if sigma > 0.2 else volume


def bias_field(grid: Grid, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Return a smooth multiplicative field, mean log 0, `strength` = standard deviation of log."""
    width = 32
    noise = ndimage.gaussian_filter(rng.standard_normal((2 * width,) * 3), width / 2.5)
    coarse = noise[width // 2 : -width // 2, width // 2 : -width // 2, width // 2 : -width // 2]
    field = ((coarse - coarse.mean()) / coarse.std()).astype(np.float32)
    for axis, length in enumerate(grid.shape):
        field = resample_axis(field, np.linspace(0, width - 1, length), axis)
    return np.exp(strength * field)


def add_rician(image: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Return the magnitude of the image with complex Gaussian noise of standard deviation sigma."""
    real = image + sigma * rng.standard_normal(image.shape, dtype=np.float32)
    imaginary = sigma * rng.standard_normal(image.shape, dtype=np.float32)
    return np.hypot(real, imaginary)


def acquire(
    head: np.ndarray, brain: np.ndarray, grid: Grid, protocol: Protocol, rng: np.random.Generator
) -> tuple[np.ndarray, float, dict[str, float]]:
    """Return the scan in scanner units, its gain (white matter's value), and what was drawn."""
    noise, bias = rng.uniform(*protocol.noise), rng.uniform(*protocol.bias)
    gain = float(rng.uniform(180, 900))
    scan = gain * add_rician(head * bias_field(grid, bias, rng), noise, rng)
    if protocol.stripped:
        # what is not 0 is the brain: also its darkest voxel
        scan = np.where(brain, np.maximum(scan, 1e-3 * gain), 0)
    return scan, gain, {"noise": round(noise, 4), "bias_log_sd": round(bias, 4)}


def save_scan(path: Path, scan: np.ndarray, grid: Grid, protocol: Protocol, gain: float) -> None:
    """Write a scan: float32, or int16 with a slope in the header as scanners often do."""
    if not protocol.integers:
        save_volume(path, scan, grid)
        return
    image = nib.Nifti1Image(scan.astype(np.float64), None)
    header = image.header
    header.set_data_dtype(np.int16)
    header.set_zooms(grid.voxel_mm)
    header.set_qform(grid.qform, grid.qform_code, strip_shears=True)
    header.set_sform(grid.sform, grid.sform_code)
    header["xyzt_units"] = grid.xyzt_units
    header.set_slope_inter(gain / 500, 0)
    with atomic_path(path) as temporary:
        nib.Nifti1Image(image.dataobj, None, header).to_filename(temporary)
