"""nibabel, without what it imports for DICOM inside NIfTI: a third of a process's start."""

import sys

UNUSED = "pydicom"
"""nibabel takes a module that is None for one that is not installed."""

there = UNUSED in sys.modules
if not there:
    sys.modules[UNUSED] = None  # type: ignore[assignment]

import nibabel as nib  # noqa: E402

if not there:
    del sys.modules[UNUSED]

__all__ = ["nib"]
