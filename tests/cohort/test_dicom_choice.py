"""Of the series of a study the one is taken that shows the whole brain, and near ties are told."""

import copy
import gzip
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest

from msnmo.cohort.archives import archive_kind, in_its_place
from msnmo.cohort.dicom import doubts, unread
from msnmo.cohort.dicom_choice import Candidate, choose, examine
from msnmo.cohort.dicom_conversion import Converted
from msnmo.cohort.dicom_flair import not_flair, unfit
from msnmo.cohort.dicom_reading import read_folder
from msnmo.cohort.dicom_series import (
    Identity,
    Image,
    Series,
    stacks_of,
    without_strays,
)
from msnmo.core.errors import InputError
from tests.cohort import dicom_forms
from tests.cohort.dicom_study import ANNA, FLAIR, one, write_classic, write_enhanced
from tests.command import follow

SLICE = Image(
    path=Path("a"),
    patient="p",
    study="1",
    series="1.2",
    instance="1.2.0",
    identity=Identity("", "anna", "1963"),
    studied="",
    acquired="20200101 100000",
    number=2,
    texts="t2_tirm_tra_dark-fluid",
    place_in_series="1",
    is_image=True,
    is_mr=True,
    is_capture=False,
    is_burned_in=False,
    is_whole=True,
    kinds=frozenset(["ORIGINAL", "PRIMARY"]),
    echo_ms=81.0,
    contrast=False,
    places=(0.0,),
    orientations=frozenset([(1.0, 0.0, 0.0, 0.0, 1.0, 0.0)]),
    frames=1,
    description="t2_tirm_tra_dark-fluid",
    syntax="",
)
DERIVED = frozenset(["DERIVED", "SECONDARY"])


def stack(count=26, **changes):
    images = [
        replace(SLICE, instance=f"1.2.{place}", places=(6.0 * place,)) for place in range(count)
    ]
    return Series([replace(image, **changes) for image in images])


@pytest.fixture
def candidate(tmp_path):
    """A function that makes a converted FLAIR of that many slices, without DICOM."""

    def make(slices, thickness=6.0, kind="2D", flat=False, **changes):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.nii"
        values = np.random.default_rng(0).integers(0, 900, (23, 23, slices), dtype=np.int16)
        affine = np.diag([10, 10, thickness, 1])
        # the in-plane voxels are coarse to be few, and no rule of choice looks at them alone
        nib.save(nib.Nifti1Image(values * 0 if flat else values, affine), path)
        converted = Converted([path], {"MRAcquisitionType": kind})
        series = stack(slices, **changes)
        return Candidate(series, converted=converted, after_contrast=series.contrast)

    return make


def test_the_whole_head_comes_before_a_finer_slab(candidate):
    head, slab = candidate(26), candidate(30, 3.0, "3D", number=5)
    assert choose([head, slab]) is head
    assert slab.reason == "a T2-FLAIR, but series 2 covers more of the head (156 mm against 90)"
    assert not slab.near


def test_a_repeat_that_was_stopped_early_does_not_replace_the_scan(candidate):
    for slices in (20, 25):
        scan, repeat = candidate(26), candidate(slices, number=3, acquired="20200101 110000")
        assert choose([scan, repeat]) is scan
        assert "covers more" in repeat.reason


def test_a_whole_repeat_replaces_the_scan_and_both_are_told(candidate):
    scan, repeat = candidate(26), candidate(26, number=3, acquired="20200101 110000")
    assert choose([scan, repeat]) is repeat
    assert scan.reason == "a T2-FLAIR, but series 3 is later"
    (told,) = doubts("sub-A", repeat, [scan, repeat])
    assert "--series sub-A:2" in told


@pytest.mark.parametrize(
    "agent", [{"contrast": True}, {"texts": "t2 flair tra +C"}, {"texts": "T2_FLAIR_post_Gd"}]
)
def test_the_scan_before_the_contrast_agent_is_taken(candidate, agent):
    before, after = candidate(26), candidate(26, number=9, acquired="20200101 110000", **agent)
    assert choose([before, after]) is before
    assert after.reason == "a T2-FLAIR, but series 2 is from before a contrast agent"
    assert after.near


def test_a_3d_scan_after_the_agent_is_taken_and_told(candidate):
    before, after = candidate(26), candidate(156, 1.0, "3D", number=9, contrast=True)
    assert choose([before, after]) is after
    told = list(doubts("sub-A", after, [before, after]))
    assert told[0] == "taken, although it was acquired after a contrast agent"
    assert "series 2" in told[1]


@pytest.mark.parametrize("texts", ["flair pre contrast", "FLAIR noGd", "t2 posterior flair"])
def test_a_scan_without_agent_is_not_taken_for_one_with(texts):
    assert not stack(texts=texts).contrast


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        ({"part": "CSPINE"}, "BodyPartExamined is not the head (spine)"),
        ({"part": "SOMETHING"}, "BodyPartExamined is not the head"),
        ({"texts": "t2_flair_phantom"}, "its name says phantom"),
        ({"kinds": frozenset(["M", "MPR"])}, "its ImageType says MPR"),
        ({"texts": "FLAIR* T2star"}, "its name says flair*"),
        ({"texts": "SyMRI T2-FLAIR"}, "its name says symri"),
        ({"texts": "FLAIR MIP"}, "its name says mip"),
    ],
)
def test_a_scan_of_the_head_comes_before_other_parts_and_computed_images(candidate, odd, said):
    head, other = candidate(26), candidate(156, 1.0, "3D", number=8, **odd)
    assert choose([head, other]) is head
    assert said in other.reason
    (told,) = doubts("sub-A", head, [head, other])
    assert told.startswith("series 2 is taken; series 8 is a T2-FLAIR, but series 2 says nothing")
    # it may be one of a head all the same: alone it is taken and told
    alone = candidate(156, 1.0, "3D", **odd)
    assert unfit(alone.series) == ""
    assert choose([alone]) is alone
    (told,) = doubts("sub-A", alone, [alone])
    assert told.startswith(f"taken, although {said}")


def test_where_all_series_are_of_an_odd_part_the_best_is_taken(candidate):
    flat, fine = candidate(26, part="ABDOMEN"), candidate(156, 1.0, "3D", number=3, part="ABDOMEN")
    assert choose([flat, fine]) is fine
    assert flat.reason == "a T2-FLAIR, but series 3 is 3-D"


def test_a_reformat_of_the_whole_head_comes_before_a_slab(candidate):
    slab, whole = candidate(13), candidate(26, number=3, kinds=frozenset(["M", "MPR"]))
    assert choose([slab, whole]) is whole


def test_a_second_choice_is_taken_where_the_first_has_no_picture(candidate):
    first, second = candidate(156, 1.0, "3D", flat=True, number=5), candidate(26)
    assert choose([first, second]) is second
    assert "no image: only" in first.reason
    assert not second.reason


def test_nothing_is_chosen_of_nothing(candidate):
    assert choose([candidate(26, flat=True)]) is None


@pytest.mark.parametrize(
    ("sidecar", "said"),
    [
        ({"SeriesDescription": "Sag3DDIR"}, "double inversion"),
        ({"SeriesDescription": "T2_SPACE_DoubleIR_sag"}, "double inversion"),
        ({"SeriesDescription": "spaceDIR_p2"}, "double inversion"),
        ({"SeriesDescription": "Double Inversion"}, "double inversion"),
        ({"SeriesDescription": "flair_direct_dark_fluid"}, ""),
        ({"EchoTime": 0.061, "InversionTime": 1.2, "RepetitionTime": 2.5}, "RepetitionTime 2.5"),
        ({"EchoTime": 0.061, "InversionTime": 1.2, "ProtocolName": "Ax T1 FLAIR"}, "named T1"),
        ({"EchoTime": 0.166, "InversionTime": 1.4, "RepetitionTime": 4.0}, ""),
        ({"InversionTime": 3.0, "RepetitionTime": 7.5}, "does not null CSF"),
        ({"InversionTime": 1.2, "RepetitionTime": 8.0}, "does not null CSF"),
        # protocols of Siemens, Philips and GE
        ({"InversionTime": 1.8, "RepetitionTime": 5.0}, ""),
        ({"InversionTime": 2.5, "RepetitionTime": 9.0}, ""),
        ({"InversionTime": 1.65, "RepetitionTime": 4.8}, ""),
        ({"InversionTime": 2.8, "RepetitionTime": 11.0}, ""),
        ({"InversionTime": 2.25, "RepetitionTime": 11.0}, ""),
    ],
)
def test_double_inversion_and_t1_flair_are_no_t2_flair(sidecar, said):
    reason = not_flair({"EchoTime": 0.12, "InversionTime": 2.37} | sidecar)
    assert said in reason
    assert bool(reason) == bool(said)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kinds": DERIVED}, "derived"),
        ({"instance": "1.2.3"}, "26 images share a SOPInstanceUID"),
        ({"echo_ms": 9.0}, "not T2-weighted"),
        ({"kinds": frozenset(["LOCALIZER"])}, "a localiser"),
        ({"kinds": frozenset(["ORIGINAL", "M", "MOSAIC"])}, "a mosaic of slices"),
        ({"kinds": frozenset(["ORIGINAL", "PROJECTION IMAGE", "MIP"])}, "computed from other"),
        ({"kinds": frozenset(["ORIGINAL", "M", "SUB"])}, "(ImageType SUB)"),
        ({"kinds": frozenset(["ORIGINAL", "P", "ND"])}, "a phase, real or imaginary part"),
        ({"part": "CSPINE", "texts": "t2_flair_cspine"}, "(spine) and its name says spine"),
        ({"photometric": "MONOCHROME1"}, "its values are inverted"),
    ],
)
def test_what_only_looks_wrong_can_be_forced(change, said):
    assert said in unfit(stack(**change))
    assert unfit(stack(**change), forced=True) == ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"is_mr": False}, "not an MR image"),
        ({"is_capture": True}, "a secondary capture"),
        ({"is_burned_in": True}, "burned into its pixels"),
        ({"is_whole": False}, "truncated"),
        ({"places": (1.0,)}, "26 slices in 1 place, fewer than 10"),
        ({"lacks": frozenset(["PixelSpacing"])}, "no PixelSpacing in 26 of 26 files"),
        (
            {"lacks": frozenset(["ImagePositionPatient"]), "places": ()},
            "no ImagePositionPatient in 26 of 26 files: left and right, the order of slices",
        ),
    ],
)
def test_what_is_wrong_can_not_be_forced(change, said):
    assert said in unfit(stack(**change))
    assert said in unfit(stack(**change), forced=True)


def test_eighteen_thick_slices_are_enough_and_nine_are_not():
    assert unfit(stack(18)) == ""
    assert unfit(stack(9)) == "9 slices, fewer than 10"


@pytest.mark.parametrize(
    "stray",
    [
        {"is_image": False, "is_mr": False, "places": ()},
        {"kinds": DERIVED, "places": ()},
        {"is_capture": True, "is_mr": False, "places": ()},
        {"is_burned_in": True, "places": ()},
        {"kinds": frozenset(["ORIGINAL", "PRIMARY", "P"]), "places": (6.0,)},
    ],
)
def test_a_file_among_the_slices_that_is_none_is_dropped_and_told(candidate, stray):
    series = stack()
    given = Series([replace(SLICE, instance="9", **stray), *series.images])
    assert without_strays(given) == replace(series, strays=1)
    assert unfit(without_strays(given)) == ""
    taken = replace(candidate(26), series=without_strays(given))
    assert "without 1 of its files" in " ".join(doubts("sub-A", taken, [taken]))


def test_a_derived_slice_is_not_dropped_out_of_the_stack():
    images = stack().images
    images[10] = replace(images[10], kinds=DERIVED)
    kept = without_strays(Series(images))
    assert kept.slices == 26
    assert "1 of 26 images" in unfit(kept)
    assert unfit(kept, forced=True) == ""


def test_series_without_any_image_say_so():
    assert unfit(without_strays(stack(is_image=False, is_mr=False))) == "not an MR image"


def test_what_is_acquired_after_a_series_with_agent_is_after_it(tmp_path):
    times = {"before": "20200101 100000", "agent": "20200101 110000", "after": "20200101 120000"}
    several = [stack(9, acquired=time, contrast=name == "agent") for name, time in times.items()]
    found = examine(several, tmp_path)
    assert [each.after_contrast for each in found] == [False, True, True]


def test_only_the_series_asked_for_is_looked_at(tmp_path):
    other, asked = stack(), stack(9, number=5)
    found = examine([other, asked], tmp_path, [asked])
    assert [each.reason for each in found] == [
        "another series was asked for",
        "9 slices, fewer than 10",
    ]


def test_a_stack_with_one_derived_slice_is_converted_whole_where_it_is_asked_for(tmp_path):
    values = write_classic(tmp_path / "in", ANNA, "a", 3, FLAIR)
    path = sorted((tmp_path / "in").iterdir())[10]
    header = pydicom.dcmread(path)
    header.ImageType = ["DERIVED", "SECONDARY"]
    header.save_as(path)
    (series,) = read_folder(tmp_path / "in").series
    (found,) = examine([series], tmp_path / "out", [series])
    assert choose([found]) is found
    assert "1 of 24 images" in found.objection
    np.testing.assert_array_equal(np.sort(found.image.get_fdata(), None), np.sort(values, None))


def twice(**changes):
    """The images of a stack, and of another in the same places that differs by what is given."""
    images = stack().images
    return Series([*images, *(replace(image, **changes) for image in images)])


@pytest.mark.parametrize(
    "changes",
    [
        {"acquisition": ("2", ""), "instance": "b"},
        {"acquisition": ("1", "2")},
        {"echo_ms": 120.0},
        {"kinds": frozenset(["ORIGINAL", "PRIMARY", "W"])},
    ],
)
def test_stacks_of_one_series_are_taken_apart(changes):
    first, second = stacks_of(twice(**changes))
    assert [first.label, second.label] == ["2.1", "2.2"]
    assert first.images == stack().images
    assert second.images == [replace(image, **changes) for image in stack().images]
    assert unfit(first) == ""


def test_stacks_are_in_the_order_of_their_numbers():
    series = Series(
        [*twice(acquisition=("10", "")).images[26:], *twice(acquisition=("9", "")).images[26:]]
    )
    assert [each.first.acquisition[0] for each in stacks_of(series)] == ["9", "10"]


@pytest.mark.parametrize("several", [stack(), twice(instance="b"), twice(places=())])
def test_what_no_header_tells_apart_stays_one_series(several):
    assert stacks_of(several) == [several]


def test_a_time_series_is_not_taken_apart():
    volumes = [twice(acquisition=(str(number), "")).images[26:] for number in range(5)]
    series = Series([image for volume in volumes for image in volume])
    assert stacks_of(series) == [series]


def test_magnitudes_are_taken_out_of_a_series_of_several_parts():
    parts = (("M", 0), ("P", 1), ("R", 2), ("I", 3))
    images = [
        replace(image, kinds=frozenset(["ORIGINAL", "PRIMARY", kind]))
        for kind, _ in parts
        for image in stack().images
    ]
    kept = without_strays(Series(images))
    assert kept.images == images[:26]
    assert kept.strays == 78


def test_one_of_two_repeats_in_a_series_is_taken_and_the_other_can_be_asked_for(tmp_path):
    folder = tmp_path / "in"
    for number in (1, 2):
        fields = FLAIR | {"AcquisitionNumber": number}
        name = f"{number}-{{}}"
        values = write_classic(folder, ANNA, "a", 3, fields, seed=number, name=name)
    for path in folder.glob("2-*"):
        header = pydicom.dcmread(path)
        header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = (
            pydicom.uid.generate_uid(entropy_srcs=[header.SOPInstanceUID])
        )
        header.save_as(path)
    several = read_folder(folder).series
    assert [series.label for series in several] == ["3.1", "3.2"]
    candidates = examine(several, tmp_path / "out")
    chosen = choose(candidates)
    assert chosen is candidates[1]
    np.testing.assert_array_equal(np.sort(chosen.image.get_fdata(), None), np.sort(values, None))
    (told,) = doubts("sub-A", chosen, candidates)
    assert "to take the other, give --series sub-A:3.1" in told


FORMS = (
    dicom_forms.rle,
    dicom_forms.jpeg_ls,
    dicom_forms.jpeg_2000,
    dicom_forms.jpeg_lossless,
    dicom_forms.deflated,
    dicom_forms.implicit,
    dicom_forms.without_preamble,
    dicom_forms.without_meta,
)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_every_form_in_which_archives_keep_files_gives_the_same_voxels(tmp_path, form):
    values = write_classic(tmp_path / "in", ANNA, "a", 3, FLAIR)
    plain = examined(tmp_path, "plain")
    for path in (tmp_path / "in").iterdir():
        form(path)
    packed = examined(tmp_path, "packed")
    np.testing.assert_array_equal(packed.image.get_fdata(), plain.image.get_fdata())
    np.testing.assert_allclose(packed.image.affine, plain.image.affine)
    np.testing.assert_array_equal(np.sort(packed.image.get_fdata(), None), np.sort(values, None))


def examined(tmp_path, name):
    (series,) = read_folder(tmp_path / "in").series
    (found,) = examine([series], tmp_path / name)
    assert found.reason == ""
    return found


@pytest.mark.parametrize("form", FORMS[:4], ids=lambda form: form.__name__)
def test_a_damaged_slice_of_compressed_pixels_is_never_taken(tmp_path, form):
    write_classic(tmp_path / "in", ANNA, "a", 3, FLAIR)
    for path in (tmp_path / "in").iterdir():
        form(path)
    path.write_bytes(path.read_bytes()[:-1000])
    (found,) = examine(read_folder(tmp_path / "in").series, tmp_path / "out")
    assert found.reason.startswith("dcm2niix makes")
    assert found.final


def enhanced(tmp_path, change):
    """Write an enhanced image, changed, and return what is made of it."""
    path = tmp_path / "in/IM"
    values = write_enhanced(path, ANNA, "a", 3, FLAIR)
    header = pydicom.dcmread(path)
    change(header)
    header.save_as(path)
    (found,) = examine(read_folder(tmp_path / "in").series, tmp_path / "out")
    return found, values


def shared(header):
    return header.SharedFunctionalGroupsSequence[0]


def mixed_frames(header):
    """Turn the frames round, and their pixels with them."""
    frames = list(header.PerFrameFunctionalGroupsSequence)
    pixels = np.frombuffer(header.PixelData, "<u2").reshape(len(frames), -1)
    header.PerFrameFunctionalGroupsSequence = frames[::-1]
    header.PixelData = pixels[::-1].tobytes()


@pytest.mark.parametrize(
    "change",
    [
        mixed_frames,
        lambda header: header.compress(pydicom.uid.RLELossless),
        lambda header: setattr(header, "ComplexImageComponent", "MAGNITUDE"),
    ],
    ids=["frames in another order", "RLE", "magnitude"],
)
def test_enhanced_images_are_taken(tmp_path, change):
    found, values = enhanced(tmp_path, change)
    assert found.reason == ""
    np.testing.assert_array_equal(np.sort(found.image.get_fdata(), None), np.sort(values, None))


def twice_the_frames(header, kind, values):
    """Add the frames once more, with other pixels, and give each half its own value."""
    frames = list(header.PerFrameFunctionalGroupsSequence)
    for half, value in enumerate(values, start=1):
        for frame in copy.deepcopy(frames):
            setattr(frame, kind, one(**value))
            content = frame.FrameContentSequence[0]
            content.DimensionIndexValues = [half, content.DimensionIndexValues[1]]
            header.PerFrameFunctionalGroupsSequence.append(frame)
    del header.PerFrameFunctionalGroupsSequence[: len(frames)]
    pixels = np.frombuffer(header.PixelData, "<u2")
    header.PixelData = np.concatenate([pixels // 7, pixels]).tobytes()
    header.NumberOfFrames = 2 * len(frames)


def phase_and_magnitude(header):
    values = [{"ComplexImageComponent": kind} for kind in ("PHASE", "MAGNITUDE")]
    twice_the_frames(header, "MRImageFrameTypeSequence", values)


def two_echoes(header):
    del shared(header).MREchoSequence
    values = [{"EffectiveEchoTime": echo} for echo in (20.0, 120.0)]
    twice_the_frames(header, "MREchoSequence", values)


@pytest.mark.parametrize("change", [phase_and_magnitude, two_echoes])
def test_the_flair_is_taken_out_of_an_enhanced_image_of_several(tmp_path, change):
    found, values = enhanced(tmp_path, change)
    assert found.reason == ""
    np.testing.assert_array_equal(np.sort(found.image.get_fdata(), None), np.sort(values, None))
    assert list(found.doubts()) == ["taken as the only T2-FLAIR of the 2 images in its series"]


def test_of_two_flairs_in_one_enhanced_image_none_is_taken(tmp_path):
    def two_long_echoes(header):
        del shared(header).MREchoSequence
        values = [{"EffectiveEchoTime": echo} for echo in (110.0, 120.0)]
        twice_the_frames(header, "MREchoSequence", values)

    found, _ = enhanced(tmp_path, two_long_echoes)
    assert found.reason.startswith("2 images in one series: put the files of each")
    assert found.final


def without_positions(header):
    for frame in header.PerFrameFunctionalGroupsSequence:
        del frame.PlanePositionSequence


def without_frame(header):
    frames = list(header.PerFrameFunctionalGroupsSequence)
    pixels = np.frombuffer(header.PixelData, "<u2").reshape(len(frames), -1)
    header.PerFrameFunctionalGroupsSequence = [*frames[:10], *frames[11:]]
    header.NumberOfFrames = len(frames) - 1
    header.PixelData = np.delete(pixels, 10, 0).tobytes()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda header: setattr(header, "ComplexImageComponent", "PHASE"), "a phase, real or"),
        (
            lambda header: setattr(
                shared(header), "MRImageFrameTypeSequence", one(ComplexImageComponent="REAL")
            ),
            "a phase, real or",
        ),
        (lambda header: setattr(header, "ImageType", ["ORIGINAL", "PRIMARY", "MAX_IP"]), "MAX IP"),
        (without_positions, "no ImagePositionPatient"),
        (lambda header: delattr(shared(header), "PlaneOrientationSequence"), "no ImageOrientation"),
        (lambda header: delattr(shared(header), "PixelMeasuresSequence"), "no PixelSpacing"),
        (lambda header: delattr(header, "PerFrameFunctionalGroupsSequence"), "no ImageOrientation"),
        (without_frame, "slices are missing"),
        (lambda header: setattr(header, "NumberOfFrames", 30), "truncated"),
    ],
)
def test_enhanced_images_are_judged_by_their_frames(tmp_path, change, said):
    found, _ = enhanced(tmp_path, change)
    assert said in found.reason


def test_the_part_of_the_body_of_an_enhanced_image_is_a_code(tmp_path):
    region = one(AnatomicRegionSequence=one(CodeMeaning="Knee"))
    found, _ = enhanced(
        tmp_path, lambda header: setattr(shared(header), "FrameAnatomySequence", region)
    )
    first = next(doubts("sub-A", found, [found]))
    assert first.startswith("taken, although BodyPartExamined is not the head (knee)")


def test_what_a_scanner_says_in_private_of_a_part_is_known(tmp_path):
    """GE writes whether an image is a phase in a field of its own, which dcm2niix reads."""

    def ge_phase(header):
        header.Manufacturer, header.ImageType = "GE MEDICAL SYSTEMS", ["ORIGINAL", "PRIMARY"]
        header.private_block(0x43, "GEMS_PARM_01", create=True).add_new(0x2F, "SS", 1)

    (series,) = rewritten(tmp_path / "in", ge_phase, count=24).series
    (found,) = examine([series], tmp_path / "out")
    assert found.reason == "a phase, real or imaginary part, not a magnitude (ImageType)"


def test_only_what_helps_is_offered(tmp_path):
    """What no user can know better is not offered to be asked for."""
    cases = [stack(lacks=frozenset(["PixelSpacing"])), stack(kinds=DERIVED), stack(part="KNEE")]
    found = examine(cases[:2], tmp_path)
    assert [each.final for each in found] == [True, False]


def rewritten(folder, change, count=2):
    """Write a few slices, and change each header."""
    write_classic(folder, ANNA, "a", 3, FLAIR, slices=count)
    for path in sorted(folder.iterdir()):
        header = pydicom.dcmread(path)
        change(header)
        header.save_as(path)
    return read_folder(folder)


@pytest.mark.parametrize(
    ("tag", "value", "said"),
    [
        ("BurnedInAnnotation", "YES", "burned"),
        ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.7", "capture"),
        ("ConversionType", "WSD", "capture"),
        ("SOPInstanceUID", "1.2.3", "2 images share"),
        ("PhotometricInterpretation", "PALETTE COLOR", "capture"),
        ("PhotometricInterpretation", "MONOCHROME1", "inverted"),
        ("ImageType", ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"], "mosaic"),
        ("ImageType", ["ORIGINAL", "PRIMARY", "PHASE MAP", "P", "IR"], "a phase"),
        ("ImagePositionPatient", None, "no ImagePositionPatient in 2 of 2"),
        ("ImageOrientationPatient", None, "no ImageOrientationPatient in 2 of 2"),
        ("PixelSpacing", [0, 0], "no PixelSpacing in 2 of 2"),
    ],
)
def test_headers_tell_copies_of_screens_and_shared_ids(tmp_path, tag, value, said):
    (series,) = rewritten(tmp_path, lambda header: setattr(header, tag, value)).series
    assert series.slices == 2
    assert said in unfit(series)


@pytest.mark.parametrize("tag", ["SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"])
def test_a_missing_id_is_named(tmp_path, tag):
    folder = rewritten(tmp_path, lambda header: delattr(header, tag))
    assert len(folder.broken) == 2
    assert {reason.split(",")[0] for _, reason in folder.broken} == {f"no {tag}"}


def test_archives_are_told_and_opened_by_the_command_that_is_told(tmp_path):
    packed = tmp_path / "an export's é"
    packed.mkdir()
    for number, ending in enumerate(("zip", "tar.gz", "gz")):
        write_classic(tmp_path / f"s{number}", ANNA, "a", number, FLAIR, slices=1)
        (image,) = (tmp_path / f"s{number}").iterdir()
        if ending == "zip":
            with zipfile.ZipFile(packed / "one more.ZIP", "w") as archive:
                archive.write(image, image.name)
        elif ending == "tar.gz":
            with tarfile.open(packed / "2.tar.gz", "w:gz") as archive:
                archive.add(image, image.name)
        else:
            (packed / "IM 3.dcm.gz").write_bytes(gzip.compress(image.read_bytes()))
    (packed / "scan.nii.gz").write_bytes(gzip.compress(b"x"))
    with pytest.raises(InputError) as raised:
        read_folder(packed)
    (finding,) = raised.value.findings
    assert finding.found == "4 files, none DICOM; archives (gzip, tar, zip): 3"
    write_classic(packed / "s", ANNA, "a", 7, FLAIR, slices=1)
    folder = read_folder(packed)
    assert sorted(kind for _, kind in folder.archives) == ["gzip", "tar", "zip"]
    notes = [note.reason for note in unread(folder)]
    assert all("FOLDER as the given folder: find" in reason for reason in notes)
    assert not any(str(tmp_path) in f"{note.file} {note.reason}" for note in unread(folder))
    follow(finding.remedy.removeprefix("unpack it first: "))
    opened = read_folder(packed)
    assert opened.archives == []
    assert sorted(series.first.number for series in opened.series) == [0, 1, 2, 7]
    assert (packed / "scan.nii.gz").is_file()


@pytest.mark.parametrize("name", ["export.zip", "an export's é.tgz"])
def test_an_archive_in_place_of_a_folder_is_told_how_to_open(tmp_path, name):
    write_classic(tmp_path / "s", ANNA, "a", 3, FLAIR, slices=1)
    (image,) = (tmp_path / "s").iterdir()
    path = tmp_path / name
    if name.endswith("zip"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(image, "a/IM1")
    else:
        with tarfile.open(path, "w:gz") as archive:
            archive.add(image, "a/IM1")
    with pytest.raises(InputError) as raised:
        read_folder(path)
    (finding,) = raised.value.findings
    assert finding.found.startswith("an archive (")
    follow(finding.remedy.removeprefix("unpack it (").partition(") and give")[0])
    (series,) = read_folder(path.with_name(f"{name}_unpacked")).series
    assert series.first.number == 3


def test_a_damaged_archive_is_one_still(tmp_path):
    (tmp_path / "IM1.dcm.gz").write_bytes(gzip.compress(b"x" * 999)[:12])
    assert archive_kind(tmp_path / "IM1.dcm.gz") == "gzip"
    (tmp_path / "e.zip").write_bytes(b"PK\x03\x04 and no more")
    assert archive_kind(tmp_path / "e.zip") == "zip"
    assert in_its_place(tmp_path / "e.zip", "zip").endswith(
        f"{tmp_path / 'e.zip'} {tmp_path / 'e'}"
    )
