"""NIfTI files for tests: small, with any header, and what a reader says of them."""

import nibabel as nib
import numpy as np
import pytest

from msnmo.core.errors import InputError
from msnmo.core.volumes import load_volume

SHAPE = (5, 4, 3)
TURN = nib.eulerangles.euler2mat(0.1, -0.2, 0.3)
AFFINE = nib.affines.from_matvec(TURN @ np.diag([-0.9, 0.95, 3]), [80, -110, -60])
OTHER = nib.affines.from_matvec(TURN.T @ np.diag([-1.9, 1.5, 2]), [10, 20, 30])
DATA = np.random.default_rng(0).normal(100, 30, SHAPE).astype(np.float32)


def save_nifti(path, data=DATA, affine=AFFINE, kind=nib.Nifti1Image, **header):
    """Write a file whose header has the fields given, which nibabel itself would mend."""
    image = kind(data, affine)
    image.set_qform(affine, 0)
    image.to_filename(path)
    if header:
        content = path.read_bytes()
        block = nib.Nifti1Header(content[:348], check=False)
        for field, value in header.items():
            block[field] = value
        path.write_bytes(block.binaryblock + content[348:])
    return path


def finding_of(path, load=load_volume):
    with pytest.raises(InputError) as caught:
        load(path)
    (finding,) = caught.value.findings
    assert str(path) in finding.file
    assert finding.remedy
    return finding
