"""The cohort on disk: what a user of the workflow is given."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from msnmo.check.sites import telling_sites
from msnmo.cohort.table import read_scan_table
from msnmo.core.errors import InputError
from msnmo.core.files import sha256
from msnmo.core.volumes import Volume, load_mask, load_volume
from msnmo.demo.cohort import COLUMNS, Plan, PlannedScan, make_cohort, make_scan, plan_scans
from msnmo.demo.lesions import PRIORS


def scans_of(cohort: Path) -> pd.DataFrame:
    return read_scan_table(cohort / "scans.tsv")


def drawn_of(cohort: Path) -> dict:
    return json.loads((cohort / "truth" / "drawn.json").read_text())


def truth(cohort: Path, scan: str, kind: str) -> Volume:
    (path,) = (cohort / "truth").rglob(f"{scan}_{kind}_mask.nii.gz")
    return load_mask(path)


def hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256(path) for path in files}


def test_the_workflow_accepts_the_scan_table(cohort):
    scans = scans_of(cohort)
    header = (cohort / "scans.tsv").read_text().splitlines()[0]
    assert header.split("\t") == list(COLUMNS)
    assert scans["diagnosis"].value_counts().to_dict() == {"MS": 4, "NMOSD": 4}
    assert set(scans["stripped"]) == {"yes", "no"}
    assert scans.loc[scans["stripped"] == "yes", "diagnosis"].nunique() == 2


def test_paths_in_the_scan_table_are_relative(cohort):
    table = pd.read_csv(cohort / "scans.tsv", sep="\t")
    paths = [*table["flair"], *table["lesion_mask"].str.split(";").explode()]
    assert not any(Path(path).is_absolute() for path in paths)


def test_equal_seeds_give_equal_bytes_whatever_the_workers(tmp_path):
    plan = Plan(seed=3, ms=1, nmosd=1, follow_ups=0, stripped=0, min_voxel_mm=5)
    make_cohort(tmp_path / "one", plan)
    make_cohort(tmp_path / "two", plan, workers=2)
    assert hashes(tmp_path / "one") == hashes(tmp_path / "two")


def test_a_scan_does_not_depend_on_the_cohort_around_it(cohort, tmp_path):
    plan = Plan(seed=3, ms=40, nmosd=0, follow_ups=1, min_voxel_mm=3.5)
    scan = next(scan for scan in plan_scans(plan) if scan.name == "sub-MS02")
    make_scan(tmp_path, plan, scan)
    again = tmp_path / "sub-MS02/anat/sub-MS02_FLAIR.nii.gz"
    assert sha256(again) == sha256(cohort / "sub-MS02/anat/sub-MS02_FLAIR.nii.gz")


def test_another_seed_gives_another_scan(tmp_path):
    scan = PlannedScan("MS01", None, "MS", "3d", two_raters=False, lesions_of="MS")
    for seed in (1, 2):
        make_scan(tmp_path / str(seed), Plan(seed=seed, min_voxel_mm=6), scan)
    one, two = (
        drawn / scan.folder / "sub-MS01_FLAIR.nii.gz" for drawn in sorted(tmp_path.iterdir())
    )
    assert sha256(one) != sha256(two)


def test_every_scan_and_the_dataset_say_in_bids_that_they_are_simulated(cohort):
    for flair in scans_of(cohort)["flair"]:
        sidecar = Path(flair.removesuffix(".nii.gz")).with_suffix(".json")
        assert json.loads(sidecar.read_text())["Manufacturer"] == "simulated"
    described = json.loads((cohort / "dataset_description.json").read_text())
    assert described["GeneratedBy"] == [{"Name": "msnmo.demo"}]


def test_masks_lie_on_the_grid_of_their_scan(cohort):
    for row in scans_of(cohort).itertuples():
        grid = load_volume(row.flair).grid
        masks = [load_mask(path) for path in row.lesion_mask.split(";")]
        masks += [truth(cohort, row.scan, "desc-brain"), truth(cohort, row.scan, "label-lesion")]
        assert all(mask.grid.matches(grid) for mask in masks)


def test_lesions_lie_in_a_brain_of_human_size(cohort):
    for row in scans_of(cohort).itertuples():
        brain = truth(cohort, row.scan, "desc-brain")
        lesion = truth(cohort, row.scan, "label-lesion")
        assert 1000 < brain.data.sum() * brain.grid.voxel_ml < 2000
        assert not (lesion.data & ~brain.data).any()
        assert 0.3 < lesion.data.sum() * lesion.grid.voxel_ml < 60


def test_two_raters_agree_with_the_truth_but_not_wholly(cohort):
    pairs = scans_of(cohort)
    pairs = pairs[pairs["lesion_mask"].str.contains(";")]
    assert 0 < len(pairs) < 8
    agreement = []
    for row in pairs.itertuples():
        one, two = (load_mask(path).data for path in row.lesion_mask.split(";"))
        assert (one != two).any()
        agreement.append(dice(one & two, truth(cohort, row.scan, "label-lesion").data))
    assert np.mean(agreement) > 0.6


def test_orientations_voxel_sizes_and_storage_differ(cohort):
    images = [nib.load(path) for path in scans_of(cohort)["flair"]]
    assert len({nib.aff2axcodes(image.affine) for image in images}) >= 3
    assert len({image.get_data_dtype() for image in images}) == 2
    oblique = [np.abs(nib.affines.obliquity(image.affine)).max() > 0.01 for image in images]
    assert any(oblique)
    assert not all(oblique)
    integer = next(image for image in images if image.get_data_dtype() == np.int16)
    assert integer.dataobj.slope != 1.0


def test_a_stripped_scan_is_zero_exactly_outside_the_brain(cohort):
    scans = scans_of(cohort)
    for row in scans[scans["stripped"] == "yes"].itertuples():
        inside = load_volume(row.flair).data != 0
        np.testing.assert_array_equal(inside, truth(cohort, row.scan, "desc-brain").data)


def test_contrast_is_that_of_flair(cohort):
    """Lesions 1.2 to 1.8 times as bright as the brain's median, skull and air dark."""
    scans = scans_of(cohort)
    for row in scans[scans["stripped"] == "no"].itertuples():
        scan = load_volume(row.flair).data
        brain = truth(cohort, row.scan, "desc-brain").data
        lesion = truth(cohort, row.scan, "label-lesion").data
        typical = np.median(scan[brain & ~lesion])
        assert 1.1 < np.median(scan[lesion]) / typical < 1.8
        assert np.percentile(scan[~brain], 50) < 0.5 * typical
        assert np.percentile(scan[brain], 2) < 0.6 * typical  # fluid


@pytest.mark.parametrize("subject", ["MS01", "NMOSD01"])
def test_two_sessions_show_the_same_anatomy_and_no_lesion_less(cohort, subject):
    first, second = f"sub-{subject}_ses-1", f"sub-{subject}_ses-2"
    drawn = drawn_of(cohort)
    assert drawn[first]["scanner_to_head"] != drawn[second]["scanner_to_head"]
    brain = moved(cohort, second, first, "desc-brain")
    assert dice(brain, truth(cohort, first, "desc-brain").data) > 0.93
    lesion = truth(cohort, first, "label-lesion").data
    later = ndimage.binary_dilation(moved(cohort, second, first, "label-lesion"))
    assert (later & lesion).sum() > 0.85 * lesion.sum()
    assert drawn[second]["lesion_ml"] > 0.9 * drawn[first]["lesion_ml"]
    assert len(drawn[second]["lesions"]) > len(drawn[first]["lesions"])


def moved(cohort: Path, scan: str, onto: str, kind: str) -> np.ndarray:
    """Return a true mask of one scan on the grid of another, through the head's own space."""
    drawn = drawn_of(cohort)
    source, target = truth(cohort, scan, kind), truth(cohort, onto, kind).grid
    to_head = np.array(drawn[onto]["scanner_to_head"]) @ target.affine
    to_source = np.linalg.inv(np.array(drawn[scan]["scanner_to_head"]) @ source.grid.affine)
    index = np.indices(target.shape).reshape(3, -1)
    matrix = to_source @ to_head
    place = np.rint(matrix[:3, :3] @ index + matrix[:3, 3:]).astype(int)
    inside = ((place >= 0) & (place < np.array(source.data.shape)[:, None])).all(axis=0)
    out = np.zeros(index.shape[1], dtype=bool)
    out[inside] = source.data[tuple(place[:, inside])]
    return out.reshape(target.shape)


def dice(one: np.ndarray, two: np.ndarray) -> float:
    return 2 * (one & two).sum() / (one.sum() + two.sum())


def test_sites_and_raters_do_not_tell_the_class():
    scans = pd.DataFrame([vars(scan) for scan in plan_scans(Plan())])
    for column in ("protocol", "two_raters"):
        counts = scans.groupby("diagnosis")[column].value_counts().unstack()
        assert (counts.loc["MS"] == counts.loc["NMOSD"]).all()


def site_plan(**options) -> Plan:
    return Plan(**{"ms": 20, "nmosd": 20, "follow_ups": 0, "stripped": 0} | options)


def planned(plan: Plan) -> pd.DataFrame:
    scans = pd.DataFrame([vars(scan) for scan in plan_scans(plan)])
    return scans.assign(site=[plan.protocols[name].site for name in scans["protocol"]])


def test_lesions_are_those_of_the_class_unless_asked_otherwise():
    scans = planned(Plan())
    assert (scans["lesions_of"] == scans["diagnosis"]).all()


def test_where_the_site_tells_the_class_lesions_tell_neither():
    counts = planned(site_plan(class_from="site")).groupby(["diagnosis", "site"])["lesions_of"]
    assert counts.value_counts().to_dict() == {
        (diagnosis, site, lesions): 8 if (diagnosis == "MS") == (site == "demo-3D") else 2
        for diagnosis in PRIORS
        for site in ("demo-3D", "demo-2D")
        for lesions in PRIORS
    }


@pytest.mark.parametrize(("class_from", "levels"), [("site", ["warning"]), ("lesions", [])])
def test_the_check_warns_of_sites_that_tell_the_class_alone(class_from, levels):
    cohort = planned(site_plan(class_from=class_from)).assign(scan=lambda table: table["subject"])
    assert [reported.severity for reported in telling_sites(cohort)] == levels


def test_whose_lesions_a_subject_has_follows_from_seed_and_subject_alone():
    few, many, other = (
        planned(site_plan(class_from="site", **options)).set_index("subject")["lesions_of"]
        for options in ({}, {"ms": 40, "nmosd": 31}, {"seed": 1})
    )
    assert many.loc[few.index].equals(few)
    assert not other.equals(few)


def test_both_sessions_have_lesions_of_one_prior():
    scans = planned(site_plan(class_from="site", follow_ups=6))
    assert (scans.groupby("subject")[["lesions_of", "site"]].nunique() == 1).all(axis=None)
    assert set(scans.loc[scans["session"] == "2", "lesions_of"]) == set(PRIORS)


def test_where_the_site_tells_the_class_lesions_are_drawn_from_the_prior_named(tmp_path):
    # so few that one of two has lesions of the other class, and tiny: the plan is what counts
    plan = Plan(ms=2, nmosd=0, follow_ups=0, stripped=0, min_voxel_mm=8, class_from="site")
    table = make_cohort(tmp_path, plan)
    assert list(table["diagnosis"]) == ["MS", "MS"]
    drawn = drawn_of(tmp_path)
    kinds_of = {
        drawn[scan]["lesions_of"]: {lesion["kind"] for lesion in drawn[scan]["lesions"]}
        for scan in drawn
    }
    for lesions, kinds in kinds_of.items():
        assert kinds <= {prior.kind for prior in PRIORS[lesions]}
    assert {"MS", "NMOSD"} == set(kinds_of)
    assert all(0.06 <= drawn[scan]["noise"] <= 0.08 for scan in drawn)
    assert "--class-from site" in (tmp_path / "README").read_text()


@pytest.mark.parametrize(
    "wrong",
    [
        {"ms": 0, "nmosd": 0},
        {"ms": 3},
        {"nmosd": -1},
        {"follow_ups": -1},
        {"min_voxel_mm": 0.0},
        {"min_voxel_mm": float("nan")},
        {"class_from": "scanner"},
    ],
)
def test_an_impossible_plan_is_refused_by_name(wrong):
    with pytest.raises(InputError) as refused:
        Plan(**wrong)
    named = "--" + next(iter(wrong)).replace("_", "-")
    assert named in str(refused.value)


def test_one_class_alone_can_be_made():
    scans = plan_scans(Plan(ms=6, nmosd=0, follow_ups=2))
    assert [scan.diagnosis for scan in scans] == ["MS"] * 6
    assert len({scan.subject for scan in scans}) == 4
