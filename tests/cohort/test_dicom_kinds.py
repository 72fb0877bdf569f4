"""What a header says of a picture, value by value: heads as scanners take them, and all else."""

import pytest

from msnmo.cohort.dicom_kinds import computed, elsewhere, is_magnitude, maybe_computed


@pytest.mark.parametrize(
    "kinds",
    [
        [],
        ["ORIGINAL", "PRIMARY", "M", "ND"],
        ["ORIGINAL", "PRIMARY", "M", "ND", "NORM", "DIS2D", "FM", "FIL"],
        ["ORIGINAL", "PRIMARY", "M_IR", "M", "IR"],
        ["ORIGINAL", "PRIMARY", "OTHER"],
        ["ORIGINAL", "PRIMARY", "OTHER", "MAGNITUDE"],
        ["ORIGINAL", "PRIMARY", "FLUID_ATTENUATED", "NONE"],
        ["ORIGINAL", "PRIMARY", "T2", "NONE", "MFSPLIT"],
        ["ORIGINAL", "PRIMARY", "VOLUME", "NONE", "what a vendor writes"],
    ],
)
def test_heads_as_scanners_take_them(kinds):
    assert computed(kinds) == ""
    assert maybe_computed(kinds, "t2_tirm_tra_dark-fluid") == ""


@pytest.mark.parametrize(
    "kinds",
    [
        ["P", "ND"],
        ["PHASE MAP", "P", "IR"],
        ["R_IR", "R", "IR"],
        ["I_IR", "I", "IR"],
        ["CR", "CR", "IR"],
        ["OTHER", "PHASE"],
        ["T2", "NONE", "IMAGINARY"],
    ],
)
def test_phase_real_and_imaginary_parts_are_no_magnitude(kinds):
    assert not is_magnitude(["ORIGINAL", "PRIMARY", *kinds])
    assert "not a magnitude" in computed(["ORIGINAL", "PRIMARY", *kinds])
    # where magnitudes are among them, parts are told from each other later
    assert computed(["ORIGINAL", "PRIMARY", "MAGNITUDE", *kinds]).count("computed") <= 1
    assert is_magnitude(["MAGNITUDE", *kinds])


@pytest.mark.parametrize(
    ("kinds", "said"),
    [
        (["PROJECTION IMAGE", "MIP"], "MIP"),
        (["M", "MINIP"], "MINIP"),
        (["T2", "MAX_IP"], "MAX IP"),
        (["CSA MIP"], "MIP"),
        (["PROJECTION IMAGE", "CSAPARALLEL"], "PROJECTION"),
        (["M", "SUB"], "SUB"),
        (["T2", "SUBTRACTION"], "SUBTRACTION"),
        (["T2", "STD_DEVIATION"], "STD"),
        (["T1 MAP"], "MAP"),
        (["M", "T2MAP"], "T2MAP"),
        (["VOLREN"], "VOLREN"),
        (["COLOR"], "COLOR"),
    ],
)
def test_computed_images_are_named(kinds, said):
    assert computed(["ORIGINAL", "PRIMARY", *kinds]) == (
        f"computed from other images (ImageType {said})"
    )


@pytest.mark.parametrize(
    ("kinds", "texts", "said"),
    [
        (["M", "MPR"], "t2_flair", "its ImageType says MPR"),
        (["M", "CSA MPR"], "t2_flair", "its ImageType says MPR"),
        (["M", "REFORMATTED"], "t2_flair", "its ImageType says REFORMATTED"),
        (["M", "AVERAGE"], "t2_flair", "its ImageType says AVERAGE"),
        (["M"], "FLAIR* T2star", "its name says flair*"),
        (["M"], "FLAIR_star", "its name says flair_star"),
        (["M"], "SyMRI T2-FLAIR", "its name says symri"),
        (["M"], "Synthetic T2-FLAIR", "its name says synth"),
        (["M"], "FLAIR MIP", "its name says mip"),
        (["M"], "t2_flair SUB", "its name says sub"),
        (["M"], "IR_TSE_real", "its name says real"),
        (["M"], "t2_space_flair_sag_MPR_tra", "its name says mpr"),
        (["M"], "t2_flair_starVIBE mapping submitted really", ""),
    ],
)
def test_what_may_be_computed_is_said(kinds, texts, said):
    found = maybe_computed(["ORIGINAL", "PRIMARY", *kinds], texts)
    assert found.startswith(said)
    assert bool(found) == bool(said)


def test_what_nobody_knows_of_a_header_is_not_repeated():
    assert "Meier" not in computed(["SUB^Meier"])
    assert "meier" not in " ".join(elsewhere("MeierKNEE", "meier spine")).lower()


@pytest.mark.parametrize(
    "part",
    [
        *("", "BRAIN", "HEAD", "NEURO", "HEADNECK", "HEAD_NECK", "SKULL", "CRANIUM", "KOPF"),
        *("SCHÄDEL", "TETE", "CABEZA", "CABEÇA", "CEREBRO", "ENCEPHALON", "头部", "頭部", "脳"),
        *("ГОЛОВА", "OTHER", "UNKNOWN", "N/A", "NONE", " ", "-", "UNDEFINED"),
    ],
)
def test_heads_and_no_words_are_heads(part):
    assert elsewhere(part, "t2_tirm_tra_dark-fluid") == []


@pytest.mark.parametrize(
    ("part", "texts", "said"),
    [
        ("CSPINE", "t2_flair", ["BodyPartExamined is not the head (spine)"]),
        ("KNEE", "t2_flair", ["BodyPartExamined is not the head (knee)"]),
        ("EXTREMITY", "t2_flair", ["BodyPartExamined is not the head (extremi)"]),
        ("WHATEVER", "t2_flair", ["BodyPartExamined is not the head"]),
        ("CSPINE", "t2_flair brain", ["BodyPartExamined is not the head (spine)"]),
        ("HEAD", "t2_flair_sag_cspine", ["its name says spine"]),
        ("", "t2_flair HWS", ["its name says hws"]),
        ("", "t2 flair c-spine", ["its name says spine"]),
        ("", "t2_flair_phantom", ["its name says phantom"]),
        ("HEAD", "t2_flair head neck", []),
        ("", "t2_flair_cor QAlity chip footer legacy", []),
        ("", "T2 FLAIR turbo spinecho", []),
    ],
)
def test_other_parts_are_said_by_body_part_and_by_name(part, texts, said):
    assert elsewhere(part, texts) == said
