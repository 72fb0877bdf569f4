"""Convert one DICOM series to NIfTI by dcm2niix, and leave no text of the header in it."""

from __future__ import annotations

import contextlib
import gzip
import math
import os
import shutil
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib

from msnmo.core.errors import bad_input
from msnmo.core.files import atomic_path, read_json, write_json

PROGRAM = "dcm2niix"
# Numbers and codes of the acquisition, and the scanner; no typed text, no id, no time of day. An
# allow-list keeps out new fields of later versions.
SIDECAR = (
    *("Modality", "MagneticFieldStrength", "ImagingFrequency"),
    *("Manufacturer", "ManufacturersModelName"),
    *("MRAcquisitionType", "ScanningSequence", "SequenceVariant", "ScanOptions"),
    *("RepetitionTime", "EchoTime", "InversionTime", "FlipAngle", "EchoTrainLength"),
    *("SliceThickness", "SpacingBetweenSlices", "NumberOfAverages", "PixelBandwidth"),
    *("PercentPhaseFOV", "PercentSampling", "PhaseEncodingSteps", "AcquisitionMatrixPE"),
    *("ReconMatrixPE", "ParallelReductionFactorInPlane", "ParallelAcquisitionTechnique"),
    *("InPlanePhaseEncodingDirectionDICOM", "ConversionSoftware", "ConversionSoftwareVersion"),
)
# The tag of the transfer syntax, at a file's start
DEFLATED = b"1.2.840.10008.1.2.1.99"
# dcm2niix writes the time of day, comments and names into these
TEXT_FIELDS = ("descrip", "aux_file", "db_name", "data_type", "intent_name")


@dataclass(frozen=True)
class Converted:
    """The output of dcm2niix for a series: the images, and the sidecar of the first."""

    images: list[Path]
    sidecar: dict[str, Any]

    def parts(self) -> list[Converted]:
        """Return each image separately, with its own sidecar."""
        sidecars = [image.with_suffix(".json") for image in self.images]
        return [
            Converted([image], read_json(sidecar) if sidecar.is_file() else {})
            for image, sidecar in zip(self.images, sidecars, strict=True)
        ]


def program_path() -> str:
    """Return the path of dcm2niix, on PATH or beside this Python.

    Raises
    ------
    InputError
        If it is in neither place.
    """
    places = os.pathsep.join([os.environ.get("PATH", ""), str(Path(sys.executable).parent)])
    found = shutil.which(PROGRAM, path=places)
    if not found:
        remedy = "pip install dcm2niix, or the package dcm2niix of conda-forge or Debian"
        raise bad_input(PROGRAM, "the program dcm2niix on PATH", "no such program", remedy)
    return found


def convert(files: Sequence[Path], folder: Path, *, mixed: bool = False) -> Converted:
    """Convert the files of one series in a separate folder.

    Parameters
    ----------
    files : sequence of Path
        DICOM files. dcm2niix sees links to them, so that no file name can do harm.
    folder : Path
        An empty folder. It is created if it is missing.
    mixed : bool
        Derived and original images are one stack. dcm2niix would separate them, so it gets copies
        that all say they are original. It also gets copies of files in forms that it does not read.

    Returns
    -------
    Converted
        Without images if dcm2niix made none. Its exit code and messages are not used.
    """
    source, target = folder / "dicom", folder / "nifti"
    for each in (source, target):
        each.mkdir(parents=True)
    for count, file in enumerate(files):
        link = source / f"{count:06d}.dcm"
        if mixed or not _is_read(file):
            _copy(file, link, as_original=mixed)
        else:
            link.symlink_to(file.resolve())
    _run(folder)
    images = sorted(target.glob("*.nii"))
    sidecars = sorted(target.glob("*.json"))
    return Converted(images, read_json(sidecars[0]) if sidecars else {})


def _is_read(file: Path) -> bool:
    """Whether dcm2niix reads a file's form.

    It cannot read deflated files, or files with group 2 but no preamble. Some systems store a
    file's elements without the 132 bytes that belong before them.
    """
    with file.open("rb") as stream:
        start = stream.read(1024)
    return not start.startswith(b"\x02\x00") and DEFLATED not in start


def _copy(file: Path, target: Path, *, as_original: bool) -> None:
    """Write a DICOM file in standard form, with unchanged pixels."""
    # pydicom is an extra
    import pydicom  # noqa: PLC0415

    with warnings.catch_warnings():
        # pydicom's warnings quote values, which may be personal
        warnings.simplefilter("ignore")
        image = pydicom.dcmread(file, force=True)
        if as_original:
            image.ImageType = ["ORIGINAL", "PRIMARY", "M"]
        if image.file_meta.get("TransferSyntaxUID") == DEFLATED.decode():
            image.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        image.save_as(target, enforce_file_format=True)


def _run(folder: Path) -> None:
    """Run dcm2niix through nipype from the folder's `dicom` to its `nifti`."""
    # on import, nipype asks a server for its newest version unless this is set
    os.environ["NO_ET"] = "1"
    from nipype.interfaces.dcm2nii import Dcm2niix  # noqa: PLC0415 - seconds, and NO_ET before it

    place = str(Path(program_path()).parent)
    # nipype does not quote paths for the shell: relative paths hold no space in any folder
    with contextlib.chdir(folder):
        converter = Dcm2niix(
            source_dir="dicom",
            output_dir="nifti",
            out_filename="scan",
            bids_format=True,
            anon_bids=True,
            compress="n",  # `write_bare` compresses without name and time
            merge_imgs=2,
            args="-g i",  # the user's defaults of dcm2niix would change the conversion
            environ={"PATH": os.pathsep.join([place, os.environ.get("PATH", "")])},
        )
        # its messages hold names of patients: they are discarded
        converter.terminal_output = "allatonce"
        # if it fails there is no image, and the caller checks for images
        with contextlib.suppress(OSError, RuntimeError):
            converter.run()


def write_bare(path: Path, source: Path) -> None:
    """Write a NIfTI file compressed and without any text. Voxels and geometry stay bit for bit.

    Equal images give equal bytes, as the gzip header has neither name nor time.
    """
    image = nib.Nifti1Image.from_filename(source)
    proxy: Any = image.dataobj  # an ArrayProxy, as the image was just read from a file
    header = image.header.copy()
    offset = int(proxy.offset)
    for name in TEXT_FIELDS:
        header[name] = b""
    header.extensions.clear()
    header["vox_offset"] = header.single_vox_offset
    # kept as they are on disk; nibabel removes them from the header that it returns
    header.set_slope_inter(proxy.slope, proxy.inter)
    length = math.prod(image.shape) * header.get_data_dtype().itemsize
    voxels = source.read_bytes()[offset : offset + length]
    if len(voxels) != length:
        raise bad_input(
            path, f"{length} bytes of voxels", f"{len(voxels)}", "convert the series again"
        )
    with (
        atomic_path(path) as temporary,
        temporary.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as stream,
    ):
        header.write_to(stream)
        stream.write(voxels)


def write_sidecar(path: Path, sidecar: Mapping[str, Any]) -> None:
    """Write only the parameters of the acquisition."""
    write_json(path, {name: sidecar[name] for name in SIDECAR if name in sidecar})
