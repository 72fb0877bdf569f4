"""Which files of a BIDS dataset are whole masks of a FLAIR's lesions, by name, folder and JSON."""

import json
import shlex

import pytest

from msnmo.cohort.bids_masks import Masks
from msnmo.cohort.bids_names import Ids, Named, wanted_entities
from msnmo.cohort.tree import InTree, files_below
from msnmo.core.errors import InputError

WHOLE = "label-lesion_mask"


@pytest.fixture
def masks_of(tmp_path):
    """A function that returns the masks taken for sub-01's FLAIR, and what is said of the rest."""

    def choose(
        *names, options=(), sidecars=(), flair="sub-01_FLAIR.nii.gz", folder="m/sub-01/anat"
    ):
        root = tmp_path / "derivatives"
        for name in names:
            path = root / (name if "/" in name else f"{folder}/sub-01_{name}")
            path.parent.mkdir(parents=True, exist_ok=True)
            (path if "." in path.name else path.with_name(f"{path.name}.nii.gz")).touch()
        for name, content in sidecars:
            (root / name).write_text(content if isinstance(content, str) else json.dumps(content))
        told = {}
        (tmp_path / "sub-01").mkdir(exist_ok=True)
        ids = Ids.of(tmp_path)
        image = tmp_path / "sub-01/anat" / flair
        scan = Named.of(InTree(image, tmp_path / "sub-01", ("anat",)), ids)
        files = files_below([root], lambda path, reason: told.update({path.name: reason}))

        def tell(left_out):
            told[left_out.file.name] = left_out.reason

        found = Masks.find(tmp_path, files, wanted_entities(options), ids, tell)
        taken = [path.name.removeprefix("sub-01_") for path in found.of(scan, [], tell)]
        return taken, {name.removeprefix("sub-01_"): why for name, why in told.items()}

    return choose


@pytest.mark.parametrize(
    "name",
    [
        *("label-lesion_mask", "label-lesions_mask", "label-LESION_roi", "desc-T2lesion_mask"),
        *("label-WMlesion_mask", "label-WMH_mask", "desc-wml_mask", "label-MSlesions_mask"),
        *("desc-FLAIRlesions_mask", "label-brainlesion_mask", "label-L_desc-lesion_mask"),
        *("label-hyperintensities_dseg", "space-orig_label-lesion_mask", "FLAIR_lesion-manual"),
        *("lesion-manual2", "lesion-rater1", "seg-lst", "space-flair_seg-lst", "seg-LSTAI_mask"),
        *(
            "desc-manual_label-lesion_mask",
            "desc-rater1_label-lesion_mask",
            "rater-a_label-WMH_mask",
        ),
        *("desc-manualCorrected_label-lesion_mask", "desc-lst_label-lesion_mask"),
        *(
            "desc-groundtruth_label-lesion_mask",
            "desc-nnUNet_label-lesion_mask",
            "label-lesion_seg",
        ),
        *("desc-biancathr05_label-WMH_mask", "bodypart-brain_label-lesion_mask"),
        *("desc-consensus_label-lesion_mask", "mod-FLAIR_label-lesion_mask"),
        *("FLAIR_lesion_mask", "lesions_seg", "desc-WMHSynthSeg_mask", "desc-lesionmask_mask"),
    ],
)
def test_names_of_masks_of_all_lesions(name, masks_of):
    assert masks_of(name) == ([f"{name}.nii.gz"], {})


NOT_ALL = [
    # changes
    *("label-newlesion_mask", "desc-new_label-lesion_mask", "desc-enlarging_label-lesion_mask"),
    *("desc-shrinking_label-lesion_mask", "label-lesion_change-new_mask", "lesion-new"),
    # the opposite, around, and other things made of lesions
    *("desc-nonlesion_mask", "desc-brainwithoutlesion_mask", "desc-lesionfilled_mask"),
    *("desc-dilated_label-lesion_mask", "label-perilesional_mask", "desc-lesionedge_mask"),
    *("label-WM_desc-lesion_mask", "desc-lesion_label-NAWM_mask"),
    # parts
    *("label-corticallesion_mask", "desc-periventricular_label-lesion_mask", "label-PWMH_mask"),
    *("hemi-L_label-lesion_mask", "chunk-1_label-lesion_mask", "label-lesion1_mask"),
    # the spinal cord
    *("bodypart-cspine_label-lesion_mask", "label-SClesion_mask", "desc-cord_label-lesion_mask"),
    *("acq-cspine_label-lesion_mask", "space-cord_label-lesion_mask"),
    # other images
    *("desc-PSIRlesion_mask", "desc-T1hypo_label-lesion_mask", "desc-gdlesion_mask"),
    *(
        "desc-raterT1_label-lesion_mask",
        "UNIT1_label-lesion_mask",
        "desc-T2w_label-lesion_mask",
        "T2star_lesion-manual",
    ),
    # other states of the file
    *("label-lesion_mask-copy", "label-lesion_mask_old", "label-lesion_mask (1)"),
    *("label-lesion_mask copy", "desc-draft_label-lesion_mask", "old_label-lesion_mask"),
    *("label-lesion_lesionseg", "version-2_label-lesion_mask"),
    *("old_lesion_mask", "lesion", "FLAIR_lesionseg"),
    # whose names do not say lesions
    *("desc-bianca_mask", "label-L_mask", "desc-samseg_dseg", "desc-annotated_seg-lst"),
]


@pytest.mark.parametrize("name", NOT_ALL)
def test_others_are_left_out_with_the_option_that_takes_them(name, masks_of):
    taken, told = masks_of(WHOLE, name)
    assert taken == [f"{WHOLE}.nii.gz"]
    said = told[f"{name}.nii.gz"]
    options = shlex.split(said.partition("--mask ")[2].partition(" takes it all the same")[0])
    taken, _ = masks_of(options=options)
    assert f"{name}.nii.gz" in taken, options


@pytest.mark.parametrize(
    ("name", "options", "labels"),
    [
        ("space-flair_desc-annotated_seg-lst", "desc=annotated seg=lst", "any"),
        ("desc-annotated_label-lesion_mask", "desc=annotated label=lesion", "any"),
        ("desc-samseg_dseg", "desc=samseg", "[99]"),
        ("desc-samseg_seg", "desc=samseg", "[99]"),
    ],
)
def test_maps_of_labels_are_told_with_the_option_and_the_labels(name, options, labels, masks_of):
    taken, told = masks_of(name)
    assert taken == []
    said = told[f"{name}.nii.gz"]
    assert "a map of regions by labels" in said
    assert f"; --mask {options} takes it all the same" in said
    assert f", and lesion_masks.labels: {labels} (msnmo check --lesion-labels " in said
    assert masks_of(options=options.split())[0] == [f"{name}.nii.gz"]


def test_maps_of_other_tools_are_told_to_need_labels(masks_of):
    said = masks_of("desc-bianca_dseg")[1]["desc-bianca_dseg.nii.gz"]
    assert "a map of regions by labels" in said
    assert said.endswith("lesion_masks.labels says which labels are lesion")


def test_a_mask_by_its_suffix_is_no_map_of_labels(masks_of):
    assert "lesion_masks.labels" not in masks_of("desc-samseg_mask")[1]["desc-samseg_mask.nii.gz"]


@pytest.mark.parametrize(
    "name", ["desc-new_label-lesion_mask", "bodypart-cspine_label-lesion_mask"]
)
def test_another_mask_is_not_taken_where_it_is_the_only_one(name, masks_of):
    taken, told = masks_of(name)
    assert taken == []
    assert "is not known to mean all lesions" in told[f"{name}.nii.gz"]


@pytest.mark.parametrize(
    "folder",
    [
        *("m/sub-01/swi", "m/sub-01/pet", "m/sub-01/func", "m/sub-01/T2star", "m/sub-01/anat/T1w"),
        *("m/sub-01/cord", "swi", "spinalcord/sub-01/anat", "new_lesions/sub-01/anat"),
        *("m/old/sub-01/anat", "m/sub-01/anat/backup", "sct/sub-01/anat"),
    ],
)
def test_folders_of_other_images_and_lesions(folder, masks_of):
    taken, told = masks_of(f"{folder}/sub-01_{WHOLE}")
    assert taken == []
    option = told[f"{WHOLE}.nii.gz"].partition("--mask ")[2].removesuffix(" takes it all the same")
    assert masks_of(options=option.split())[0] == [f"{WHOLE}.nii.gz"]


@pytest.mark.parametrize(
    "folder", ["flat", "LST-AI/sub-01", "m/sub-01/anat/lesions", "records/sub-01/anat/manual"]
)
def test_folders_of_masks(folder, masks_of):
    assert masks_of(f"{folder}/sub-01_{WHOLE}") == ([f"{WHOLE}.nii.gz"], {})


@pytest.mark.parametrize("folder", ["m/sub-02/anat", "m/sub-01/ses-2/anat"])
def test_a_name_that_its_folder_contradicts_is_nobodys(folder, masks_of):
    taken, told = masks_of(f"{folder}/sub-01_{WHOLE}")
    assert taken == []
    assert "its owner is unknown" in told[f"{WHOLE}.nii.gz"]


@pytest.mark.parametrize(
    "name", ["label-lesion_probseg", "desc-prob_label-lesion_mask", "seg-lst_probability"]
)
def test_maps_of_probabilities_want_a_threshold(name, masks_of):
    taken, told = masks_of(name)
    assert taken == []
    assert "threshold it first" in told[f"{name}.nii.gz"]
    assert "--mask" not in told[f"{name}.nii.gz"]


@pytest.mark.parametrize(
    "name", ["label-lesion_mask.mgz", "label-lesion_mask.nii.bz2", "label-lesion_mask.NII.GZ"]
)
def test_other_forms_of_images_are_named(name, masks_of):
    assert masks_of(name) == (
        [],
        {name: "an image in another format: convert it to NIfTI, .nii.gz"},
    )


@pytest.mark.parametrize(
    "name", ["ples_lpa_msub-01_FLAIR.nii.gz", "Copy of sub-01_label-lesion_mask.nii.gz"]
)
def test_names_that_begin_with_no_subject_are_told_of(name, masks_of):
    taken, told = masks_of(f"lst/sub-01/anat/{name}")
    assert taken == []
    assert "does not begin with a subject's" in told[name]


def test_parts_are_to_be_joined(masks_of):
    _, told = masks_of("label-PWMH_mask", "label-DWMH_mask")
    assert set(told) == {"label-PWMH_mask.nii.gz", "label-DWMH_mask.nii.gz"}
    assert all("join masks of parts into one" in reason for reason in told.values())


OTHER_GRIDS = [
    {"SpatialReference": "MNI152"},
    {"SpatialReference": "bids::sub-01/anat/sub-01_T1w.nii.gz"},
    {"Sources": ["bids::sub-01/anat/sub-01_T1w.nii.gz"]},
    {"RawSources": ["sub-01/ses-2/anat/sub-01_ses-2_FLAIR.nii.gz"]},
    {"IntendedFor": "bids::sub-01/anat/sub-01_run-2_FLAIR.nii.gz"},
    {"Type": "Brain"},
]
OWN_GRIDS = [
    {"SpatialReference": "orig"},
    {"SpatialReference": {"x": "bids::sub-01/anat/sub-01_FLAIR.nii.gz"}, "Type": "Lesion"},
    {"Sources": ["sub-01_T1w.nii.gz", "sub-01_FLAIR.nii.gz"]},
    {"Sources": ["bids:m:sub-01/anat/sub-01_from-T1w_to-FLAIR_xfm.txt"], "Manual": True},
    [],
]


@pytest.mark.parametrize("place", [f"m/sub-01/anat/sub-01_{WHOLE}.json", f"m/{WHOLE}.json"])
@pytest.mark.parametrize("content", OTHER_GRIDS)
def test_a_masks_json_may_say_that_it_is_of_another_image(content, place, masks_of):
    taken, told = masks_of(WHOLE, sidecars=[(place, content)])
    assert taken == []
    said = told[f"{WHOLE}.nii.gz"]
    assert said.startswith("its JSON")
    option = said.partition("--mask ")[2].partition(" takes it all the same")[0]
    assert masks_of(options=option.split())[0] == [f"{WHOLE}.nii.gz"]


@pytest.mark.parametrize("content", [*OWN_GRIDS, "{"])
def test_a_json_that_fits_or_cannot_be_read_keeps_its_mask(content, masks_of):
    place = f"m/sub-01/anat/sub-01_{WHOLE}.json"
    taken, told = masks_of(WHOLE, sidecars=[(place, content)])
    assert taken == [f"{WHOLE}.nii.gz"]
    assert (f"{WHOLE}.json" in told) == (not isinstance(content, dict))


def test_the_nearest_json_counts(masks_of):
    far, near = f"m/{WHOLE}.json", f"m/sub-01/anat/sub-01_{WHOLE}.json"
    content = [(far, {"SpatialReference": "MNI152"}), (near, {"SpatialReference": "orig"})]
    assert masks_of(WHOLE, sidecars=content)[0] == [f"{WHOLE}.nii.gz"]


def test_a_consensus_is_taken_without_its_raters(masks_of):
    rater = "desc-rater1_label-lesion_mask"
    consensus = "desc-consensus_label-lesion_mask"
    taken, told = masks_of(rater, consensus)
    assert taken == [f"{consensus}.nii.gz"]
    assert "--mask label=lesion desc=rater1 takes this one" in told[f"{rater}.nii.gz"]


@pytest.mark.parametrize(
    ("names", "noted"),
    [
        (["rater-1_label-lesion_mask", "rater-2_label-lesion_mask"], False),
        (["desc-readerA_label-lesion_mask", "desc-readerB_label-lesion_mask"], False),
        (["lesion-manual", "lesion-manual2"], False),
        (["label-WMH_mask", "label-lesion_mask"], True),
        (["desc-thr05_label-WMH_mask", "desc-thr09_label-WMH_mask"], True),
    ],
)
def test_masks_that_are_no_raters_by_their_names_are_told_of(names, noted, masks_of):
    taken, told = masks_of(*names)
    assert taken == [f"{name}.nii.gz" for name in names]
    assert list(told) == (["FLAIR.nii.gz"] if noted else [])


def test_one_mask_under_two_names_is_one(tmp_path, masks_of):
    anat = tmp_path / "derivatives/m/sub-01/anat"
    taken, told = masks_of(f"{WHOLE}.nii", f"{WHOLE}.nii.gz")
    assert taken == [f"{WHOLE}.nii"]
    assert told[f"{WHOLE}.nii.gz"] == f"sub-01_{WHOLE}.nii is taken, which has the same name"
    (anat / "sub-01_desc-final_label-lesion_mask.nii").symlink_to(anat / f"sub-01_{WHOLE}.nii")
    _, told = masks_of()
    assert "the same file as" in told[f"{WHOLE}.nii"]


def test_entities_that_the_user_does_not_name_are_still_asked(masks_of):
    names = [WHOLE, "desc-dilated_label-lesion_mask", "bodypart-cspine_label-lesion_mask"]
    assert masks_of(*names, options=["label=lesion"])[0] == [f"{WHOLE}.nii.gz"]


def test_a_long_name_takes_no_time(masks_of):
    name = f"desc-{'raterms' * 28}_{WHOLE}"
    assert masks_of(name)[0] == []


def test_an_option_that_names_nothing_is_an_error(masks_of):
    with pytest.raises(InputError, match="label=leison") as caught:
        masks_of(WHOLE, options=["label=leison"])
    assert f"sub-01_{WHOLE}.nii.gz" in str(caught.value)
