"""`msnmo.apply(image, affine, bundle)`, against the command on the same head; and `--mni`."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch

import msnmo
from msnmo.apply.__main__ import main
from msnmo.apply.in_memory import apply_to_image, load
from msnmo.apply.template import load_template
from msnmo.core.errors import InputError
from msnmo.settings.config import shareable

THRESHOLD = 0.02
PAGE = (Path(__file__).parents[2] / "docs/how-to/new-scans.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def bundle(make_bundle, config, tmp_path_factory):
    """Networks that have learned nothing, with a threshold at which they find something."""
    out = tmp_path_factory.mktemp("low") / "bundle"
    low = config | {"predict": config["predict"] | {"threshold": THRESHOLD}}
    make_bundle(out, config=json.dumps(shareable(low)))
    return out


OPTIONS = ["--device", "cpu", "--threads", "1", "--ids", "X"]


@pytest.fixture(scope="module")
def command(bundle, heads, tmp_path_factory):
    """What the command writes of a head."""
    out = tmp_path_factory.mktemp("command")
    main(["--bundle", str(bundle), "--out", str(out), str(heads[0]), *OPTIONS])
    return out / "sub-X/anat/sub-X"


@pytest.fixture(scope="module")
def in_mni(bundle, heads, tmp_path_factory):
    """What it writes with the mask in MNI space."""
    out = tmp_path_factory.mktemp("mni")
    main(["--bundle", str(bundle), "--out", str(out), str(heads[0]), "--mni", *OPTIONS])
    return out / "sub-X/anat/sub-X"


@pytest.fixture(scope="module")
def found(bundle, heads):
    return in_memory(bundle, heads)


def in_memory(bundle, heads, **options):
    head = nib.load(heads[0])
    image = np.asarray(head.dataobj, np.float32)
    return msnmo.apply(image, head.affine, bundle, device="cpu", threads=1, **options)


def values(path):
    return np.asarray(nib.load(path).dataobj, np.float32)


def test_an_image_in_memory_gives_what_the_command_writes(command, found):
    for name, ending in (
        ("brain_mask", "brain_mask"),
        ("lesion_mask", "lesion_mask"),
        ("lesion_labels", "lesion_dseg"),
        ("lesion_probability", "lesion_probseg"),
        ("localisation_map", "localisation_map"),
    ):
        here, there = getattr(found, name), values(f"{command}_desc-{ending}.nii.gz")
        assert here.astype(np.float32).tobytes() == there.tobytes(), name
    assert found.lesion_mask.dtype == bool
    assert found.lesion_mask.any()
    table = pd.read_csv(f"{command}_desc-lesion_table.tsv", sep="\t")
    pd.testing.assert_frame_equal(found.lesions, table, check_dtype=False)
    assert "location" not in table
    run = json.loads(Path(f"{command}_run.json").read_text())
    assert found.run["class"] == run["class"]
    assert found.class_probabilities == {
        "MS": run["class"]["p_ms"],
        "NMOSD": run["class"]["p_nmosd"],
    }
    assert (found.class_named, found.uncertain) == (
        run["class"]["named"],
        run["class"]["uncertain"],
    )


def test_the_switches_of_torch_stay_the_callers(bundle, heads):
    torch.set_num_threads(2)
    head = nib.load(heads[1])
    networks = load(bundle, "cpu")
    image = head.get_fdata()
    before = image.copy()
    found = apply_to_image(image, head.affine, networks, threads=1, engine="surface")
    assert torch.get_num_threads() == 2
    assert torch.get_deterministic_debug_mode() == 0
    np.testing.assert_array_equal(image, before)
    assert found.lesion_mask.shape == image.shape
    assert "location" not in found.lesions


@pytest.mark.parametrize(
    ("image", "affine", "words"),
    [
        (np.zeros((4, 4)), np.eye(4), "three axes"),
        (np.zeros((4, 4, 4), complex), np.eye(4), "real numbers"),
        (np.zeros((40, 40, 40)), np.eye(3), "4 x 4"),
        (np.zeros((40, 40, 40)), np.full((4, 4), np.nan), "4 x 4 finite"),
        (np.full((40, 40, 40), np.nan), np.eye(4), "NaN"),
    ],
)
def test_what_is_no_image_is_refused(bundle, image, affine, words):
    with pytest.raises(InputError, match=words) as raised:
        apply_to_image(image, affine, bundle, device="cpu")
    assert {each.file for each in raised.value.findings} <= {"image", "affine"}


def test_importing_the_package_imports_nothing_else():
    code = (
        "import sys, msnmo; few = set(sys.modules); msnmo.apply; "
        "print(sorted(x for x in ('numpy', 'torch', 'pandas', 'msnmo.apply') if x in few), "
        "'torch' in sys.modules, callable(msnmo.apply))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] False True"
    with pytest.raises(AttributeError, match="nothing"):
        _ = msnmo.nothing


def test_the_example_of_the_page_runs(bundle, heads, tmp_path):
    (example,) = re.findall(r"```python\n(import nibabel.*?)```", PAGE, re.DOTALL)
    shutil.copyfile(heads[0], tmp_path / "scan.nii.gz")
    (tmp_path / "results").mkdir()
    (tmp_path / "results/bundle").symlink_to(bundle)
    (tmp_path / "example.py").write_text(example)
    done = subprocess.run(
        [sys.executable, "example.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"\d+ lesions", done.stdout)
    lesions, scan = nib.load(tmp_path / "lesions.nii.gz"), nib.load(heads[0])
    assert lesions.shape == scan.shape
    np.testing.assert_allclose(lesions.affine, scan.affine, atol=1e-6)


@pytest.mark.heavy
def test_a_mask_in_mni_space_lies_on_the_template(in_mni):
    path = f"{in_mni}_space-MNI152NLin2009aSym_desc-lesion_mask.nii.gz"
    mask, template = nib.load(path), load_template()
    assert mask.shape == template.grid.shape
    np.testing.assert_array_equal(mask.affine, template.grid.affine)
    data = mask.get_fdata()
    assert set(np.unique(data)) == {0, 1}
    # most comes to lie in the template's brain; what these networks find is also around it
    assert data[template.brain].sum() > 0.8 * data.sum()
    told = json.loads(Path(path.replace(".nii.gz", ".json")).read_text())
    assert "McConnell Brain Imaging Centre" in told["SpatialReference"]
    assert "nearest neighbour" in told["interpolation"]
    assert told["Sources"] == ["sub-X_desc-lesion_mask.nii.gz"]
    assert told["brain_overlap"] > 0.9
    assert "scan's own space" in told["volumes"]


@pytest.mark.heavy
def test_with_locations_the_mask_in_mni_space_and_the_table_are_the_same(
    bundle, heads, tmp_path, in_mni, capsys
):
    options = ["--mni", "--locations", *OPTIONS]
    arguments = ["--bundle", str(bundle), "--out", str(tmp_path), str(heads[0]), *options]
    main(arguments)
    name = "space-MNI152NLin2009aSym_desc-lesion_mask.nii.gz"
    again = tmp_path / f"sub-X/anat/sub-X_{name}"
    assert again.read_bytes() == Path(f"{in_mni}_{name}").read_bytes()
    table = pd.read_csv(tmp_path / "sub-X/anat/sub-X_desc-lesion_table.tsv", sep="\t")
    found = in_memory(bundle, heads, locations=True)
    pd.testing.assert_frame_equal(found.lesions, table, check_dtype=False)
    assert "location" in table
    main(arguments)
    assert "done before" in capsys.readouterr().err
