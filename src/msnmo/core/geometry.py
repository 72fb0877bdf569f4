"""From a scan's own grid to model space, and back.

A scan is taken to model space by steps of whole voxels and one resampling:

1. axes are permuted and flipped to the closest RAS+ order, so that the network sees every scan in
   the same orientation (an oblique rotation is kept: nothing is resampled);
2. the image is cropped to the bounding box of the brain;
3. it is resized to the model's size, along the voxel axes.

`ModelSpace` holds the numbers of all three steps and inverts them: it returns a map in model space
on the grid of the scan as it arrived. Voxel centres map by the edge-aligned rule: with s input
voxels to one output voxel, output index m lies at input index ``(m + 0.5) * s - 0.5``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from msnmo.core.errors import bad_input
from msnmo.core.files import MAKE_AGAIN, read_json
from msnmo.core.grid import Grid, as_shape
from msnmo.core.nifti import nib
from msnmo.core.splines import zoom
from msnmo.core.volumes import Volume

Shape = tuple[int, int, int]
Mode = Literal["stretch", "pad"]
MaskRule = Literal["linear", "nearest"]
Of = TypeVar("Of")


@dataclass(frozen=True)
class Crop:
    """Reorientation to RAS+ order and the bounding box of the brain.

    Parameters
    ----------
    native : Grid
        Grid of the scan as it arrived.
    axes : tuple of int
        For each axis of the RAS+ order, the native axis it is taken from.
    flips : tuple of bool
        For each axis of the RAS+ order, whether it runs against its native axis.
    start, stop : tuple of int
        Bounding box in RAS+ order, ``stop`` exclusive.
    """

    native: Grid
    axes: Shape
    flips: tuple[bool, bool, bool]
    start: Shape
    stop: Shape

    @classmethod
    def around(cls, brain: np.ndarray, native: Grid) -> Crop:
        """Return the crop to the bounding box of a brain mask on the native grid.

        Raises
        ------
        ValueError
            If the mask is empty.
        """
        if not brain.any():
            raise ValueError("the brain mask is empty")
        axes, flips = ras_order(native.affine)
        seen = reorder(brain, axes, flips)
        extents = [np.flatnonzero(seen.any(axis=_others(axis))) for axis in range(3)]
        starts = (int(extent[0]) for extent in extents)
        stops = (int(extent[-1]) + 1 for extent in extents)
        return cls(native, axes, flips, as_shape(starts), as_shape(stops))

    @property
    def shape(self) -> Shape:
        """Shape of the cropped volume."""
        i, j, k = (stop - start for start, stop in zip(self.start, self.stop, strict=True))
        return i, j, k

    @property
    def grid(self) -> Grid:
        """Grid of the cropped volume: RAS+ order, with unchanged places in scanner mm."""
        to_native = np.zeros((4, 4))
        to_native[3, 3] = 1.0
        for axis, (source, flip) in enumerate(zip(self.axes, self.flips, strict=True)):
            to_native[source, axis] = -1.0 if flip else 1.0
            last = self.native.shape[source] - 1
            first = self.start[axis]
            to_native[source, 3] = last - first if flip else first
        return Grid.from_affine(self.shape, self.native.affine @ to_native)

    def reorder(self, data: np.ndarray) -> np.ndarray:
        """Return the whole native data in RAS+ order."""
        return reorder(data, self.axes, self.flips)

    def apply(self, data: np.ndarray) -> np.ndarray:
        """Return native data cropped, in RAS+ order."""
        box = tuple(slice(a, b) for a, b in zip(self.start, self.stop, strict=True))
        return np.ascontiguousarray(self.reorder(data)[box])

    def invert(self, cropped: np.ndarray) -> np.ndarray:
        """Return cropped data on the native grid, 0 outside the box."""
        whole = np.zeros([self.native.shape[axis] for axis in self.axes], dtype=cropped.dtype)
        whole[tuple(slice(a, b) for a, b in zip(self.start, self.stop, strict=True))] = cropped
        return np.ascontiguousarray(restore(whole, self.axes, self.flips))

    def to_json(self) -> dict[str, Any]:
        """Return the crop as JSON types."""
        return {
            "native": self.native.to_json(),
            "axes": list(self.axes),
            "flips": list(self.flips),
            "start": list(self.start),
            "stop": list(self.stop),
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Crop:
        """Return the crop that `to_json` described."""
        parts = {key: tuple(content[key]) for key in ("axes", "flips", "start", "stop")}
        return cls(native=Grid.from_json(content["native"]), **parts)

    @classmethod
    def from_sidecar(cls, path: Path | str) -> Crop:
        """Return the crop in the JSON sidecar of a cropped scan.

        Raises
        ------
        InputError
            Naming the file, if it is missing or holds no such geometry.
        """
        return _from_sidecar(
            path, "the geometry of a crop", lambda told: cls.from_json(told["crop"])
        )


@dataclass(frozen=True)
class Resize:
    """Resampling of a cropped volume to the model's size.

    Parameters
    ----------
    source : tuple of int
        Shape of the cropped volume.
    content : tuple of int
        Shape that the cropped volume is resampled to.
    start : tuple of int
        Where the content begins in the target; the rest is 0.
    target : tuple of int
        Shape in model space.
    """

    source: Shape
    content: Shape
    start: Shape
    target: Shape

    @classmethod
    def fit(cls, source: Shape, voxel_mm: np.ndarray, target: Shape, mode: Mode) -> Resize:
        """Return the resampling of a cropped volume to the target.

        Parameters
        ----------
        source : tuple of int
            Shape of the cropped volume.
        voxel_mm : (3,) ndarray
            Its voxel sizes in mm.
        target : tuple of int
            Shape in model space.
        mode : {"stretch", "pad"}
            ``stretch`` fills the target, each axis by its own factor. ``pad`` keeps the proportions
            in mm and centres the brain in zeros. The paper says only that the size is normalised.
        """
        if mode == "stretch":
            return cls(source, target, (0, 0, 0), target)
        extent = np.array(source) * voxel_mm
        scale = np.min(np.array(target) / extent)
        content = np.clip(np.rint(extent * scale).astype(int), 1, target)
        start = (np.array(target) - content) // 2
        return cls(source, _shape(content), _shape(start), target)

    def apply(self, data: np.ndarray, order: int) -> np.ndarray:
        """Return (X, Y, Z) float32 data in model space, by splines of the given order."""
        model = np.zeros(self.target, dtype=np.float32)
        model[self._box] = resample(data, self.content, order)
        return model

    def invert(self, model: np.ndarray) -> np.ndarray:
        """Return a map in model space on the cropped grid: linear, float32."""
        return resample(model[self._box], self.source, order=1)

    def grid(self, source: Grid) -> Grid:
        """Return the grid of model space in scanner mm, given that of the cropped volume."""
        step = np.array(self.source) / np.array(self.content)
        to_source = np.diag([*step, 1.0])
        to_source[:3, 3] = 0.5 * step - 0.5 - np.array(self.start) * step
        return Grid.from_affine(self.target, source.affine @ to_source)

    @property
    def _box(self) -> tuple[slice, ...]:
        return tuple(slice(a, a + n) for a, n in zip(self.start, self.content, strict=True))

    def to_json(self) -> dict[str, Any]:
        """Return the resampling as JSON types."""
        return {key: list(getattr(self, key)) for key in ("source", "content", "start", "target")}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Resize:
        """Return the resampling that `to_json` described."""
        return cls(
            **{key: _shape(content[key]) for key in ("source", "content", "start", "target")}
        )


@dataclass(frozen=True)
class ModelSpace:
    """All that is needed to take one scan to model space and a map back.

    Parameters
    ----------
    crop : Crop
        Native grid to cropped RAS+ grid.
    resize : Resize
        Cropped grid to model space.
    """

    crop: Crop
    resize: Resize

    @property
    def native(self) -> Grid:
        """Grid of the original scan."""
        return self.crop.native

    @property
    def model(self) -> Grid:
        """Grid of model space in scanner mm."""
        return self.resize.grid(self.crop.grid)

    def to_model(self, data: np.ndarray, order: int) -> np.ndarray:
        """Return native (I, J, K) data in model space (X, Y, Z), float32."""
        return self.resize.apply(self.crop.apply(data), order)

    def to_native(self, data: np.ndarray) -> np.ndarray:
        """Return a map in model space (X, Y, Z) on the native grid (I, J, K).

        Interpolation is linear, so that probabilities stay in [0, 1]. Apply a threshold to the
        result and not to the map in model space. The result is float32, and 0 outside the crop.
        """
        return self.crop.invert(self.resize.invert(data))

    def to_json(self) -> dict[str, Any]:
        """Return the geometry as JSON types; `from_json` inverts it exactly."""
        return {"crop": self.crop.to_json(), "resize": self.resize.to_json()}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> ModelSpace:
        """Return the geometry that `to_json` described."""
        return cls(Crop.from_json(content["crop"]), Resize.from_json(content["resize"]))

    @classmethod
    def from_sidecar(cls, path: Path | str) -> ModelSpace:
        """Return the geometry in the JSON sidecar of a scan in model space.

        Raises
        ------
        InputError
            Naming the file, if it is missing or holds no such geometry.
        """
        return _from_sidecar(path, "the geometry of model space", cls.from_json)


def _from_sidecar(path: Path | str, what: str, read: Callable[[dict[str, Any]], Of]) -> Of:
    """Return the geometry in a sidecar. `what` describes it in errors."""
    try:
        return read(read_json(path)["geometry"])
    except (KeyError, TypeError, ValueError) as error:
        raise bad_input(path, what, repr(error), MAKE_AGAIN) from error


def ras_order(affine: np.ndarray) -> tuple[Shape, tuple[bool, bool, bool]]:
    """Return the native axis closest to R, A and S, and whether it runs the other way.

    Parameters
    ----------
    affine : (4, 4) ndarray
        Voxel index to scanner mm.
    """
    orientation = nib.orientations.io_orientation(affine)
    if np.isnan(orientation).any():
        raise ValueError(f"the affine has no three independent axes: {affine.tolist()}")
    axes = np.argsort(orientation[:, 0])
    first, second, third = (bool(orientation[axis, 1] < 0) for axis in axes)
    return _shape(axes), (first, second, third)


def resample(data: np.ndarray, shape: Shape, order: int) -> np.ndarray:
    """Resample to another shape over the same extent, edges aligned, float32.

    An axis that shrinks is smoothed first by a Gaussian of ``sigma = (factor - 1) / 2`` input
    voxels, so that fine detail does not alias (the rule of ``skimage.transform.resize``).

    Parameters
    ----------
    data : (I, J, K) ndarray
        Values.
    shape : tuple of int
        Shape of the result.
    order : int
        Spline order: 0 nearest, 1 linear, 3 cubic.
    """
    # a third of a process's start, which whoever only crops need not pay
    from scipy import ndimage  # noqa: PLC0415

    data = np.asarray(data, dtype=np.float32)
    if data.shape == tuple(shape):
        return data.copy()
    factor = np.array(data.shape) / np.array(shape)
    if order > 0 and (factor > 1).any():
        data = ndimage.gaussian_filter(data, np.maximum(0, (factor - 1) / 2), mode="nearest")
    if order > 0:
        return zoom(data, shape, order)
    return ndimage.zoom(data, 1 / factor, order=order, mode="nearest", grid_mode=True)


def same_extent(grid: Grid, shape: Shape) -> Grid:
    """Return the grid of another number of voxels over the same extent, edges aligned."""
    return Resize.fit(grid.shape, grid.voxel_mm, shape, "stretch").grid(grid)


def resample_mask(mask: np.ndarray, resize: Resize, how: MaskRule) -> np.ndarray:
    """Return a binary mask (cropped grid) in model space, as bool.

    ``linear`` resamples the 0/1 mask linearly and keeps voxels of at least 0.5. It loses fewer
    punctate lesions than ``nearest``.
    """
    order = {"linear": 1, "nearest": 0}[how]
    return resize.apply(mask, order) >= 0.5


def resample_to_grid(mask: Volume, grid: Grid) -> Volume:
    """Return a binary mask resampled to another grid by places in scanner mm.

    Interpolation is linear, and voxels of at least 0.5 are kept. If the new voxels are larger than
    the mask's own, the mask is smoothed first. Then a voxel is kept if half of it is marked.
    """
    return Volume(sample_on_grid(mask.data, mask.grid, grid) >= 0.5, grid)


def sample_on_grid(data: np.ndarray, grid: Grid, to: Grid) -> np.ndarray:
    """Return values resampled to another grid by places in scanner mm: linear, 0 outside.

    They are smoothed first along the axes of `grid` on which voxels grow, to avoid aliasing.
    """
    from scipy import ndimage  # noqa: PLC0415 - as in `resample`

    matrix = np.linalg.solve(grid.affine, to.affine)
    factor = np.linalg.norm(matrix[:3, :3], axis=1)
    values = data.astype(np.float32)
    if (factor > 1).any():
        values = ndimage.gaussian_filter(values, np.maximum(0, (factor - 1) / 2), mode="constant")
    return ndimage.affine_transform(
        values, matrix[:3, :3], matrix[:3, 3], output_shape=to.shape, order=1, mode="constant"
    )


def reorder(data: np.ndarray, axes: Shape, flips: tuple[bool, ...]) -> np.ndarray:
    """Return data with its axes permuted and flipped as `ras_order` says."""
    turned = data.transpose(axes)
    return turned[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]


def restore(data: np.ndarray, axes: Shape, flips: tuple[bool, ...]) -> np.ndarray:
    """Return data with its axes as they were before `reorder`."""
    turned = data[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]
    return turned.transpose(np.argsort(axes))


def _others(axis: int) -> tuple[int, ...]:
    return tuple(other for other in range(3) if other != axis)


def _shape(lengths: Any) -> Shape:
    i, j, k = (int(length) for length in lengths)
    return i, j, k
