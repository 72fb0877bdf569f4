"""A training in two parts, packed: the bundle tells both, and a bundle can be gone on from."""

import hashlib
import json
import shutil
from typing import get_args

import numpy as np
import pytest
import yaml
from safetensors.torch import save

from msnmo.apply.ensemble import Said
from msnmo.bundle.contents import read_bundle
from msnmo.core.errors import InputError
from msnmo.core.files import read_json, write_json
from msnmo.core.seeds import derive_seed
from msnmo.demo.lesions import Diagnosis
from msnmo.starter import pack
from msnmo.starter.__main__ import main as train
from msnmo.starter.measured import MEASURED, Measured, read_measured
from msnmo.starter.render import SIMULATION_VERSION

SIZE, SCANS = 32, 2
CLASSES = get_args(Diagnosis)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The first part, its bundle, and a second part that goes on from the bundle."""
    folder = tmp_path_factory.mktemp("starter")
    content = {
        "methods": ["joint_plus"],
        "resize": {"size": [SIZE] * 3},
        "model": {"base_channels": 4},
        "train": {"epochs": 1},
        "compute": {"device": "cpu", "threads": 1},
    }
    for seed in (1, 2):
        (folder / f"{seed}.yaml").write_text(yaml.safe_dump(content | {"seed": seed}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pack, "VALIDATED", 4)
        _train(folder, 1)
        # as if an older generator had drawn its scans
        run = read_json(folder / "part-1/run.json")
        write_json(folder / "part-1/run.json", run | {"simulation_version": 1})
        _pack(folder, 1)
        # a bundle of before told its parts without their size
        before = shutil.copytree(folder / "bundle-1", folder / "before")
        told = read_json(before / "bundle.json")
        told["training_cohort"]["parts"][0].pop("size")
        write_json(before / "bundle.json", told)
        _train(folder, 2, "--start-from", str(before))
        _pack(folder, 2)
    return folder


def _train(folder, number, *more):
    arguments = ["--config", str(folder / f"{number}.yaml"), "--scans", str(SCANS)]
    train([*arguments, "--out", str(folder / f"part-{number}"), *more])


def _pack(folder, number):
    arguments = ["--trained", str(folder / f"part-{number}"), "--threads", "1"]
    config, out = folder / f"{number}.yaml", folder / f"bundle-{number}"
    pack.main([*arguments, "--config", str(config), "--out", str(out)])


def test_each_part_is_told_as_it_was_trained(made):
    cohort = read_bundle(made / "bundle-2").content["training_cohort"]
    assert cohort["simulated"] == {"scans": 2 * SCANS, "of": 2 * SCANS}
    told = [
        (part["seed"], part["size"], part["training_scans"], part["simulation_version"])
        for part in cohort["parts"]
    ]
    size = [SIZE] * 3
    assert told == [(1, size, SCANS, 1), (2, size, SCANS, SIMULATION_VERSION)]
    card = (made / "bundle-2/MODEL_CARD.md").read_text()
    assert f"learned from\n{2 * SCANS} simulated scans" in card
    assert "trained in\n2 parts" in card


def test_the_second_part_started_from_the_packed_weights(made):
    start = read_json(made / "part-2/run.json")["start"]
    assert start["sha256"] == read_bundle(made / "bundle-1").content["folds"][0]["weights_sha256"]
    assert not start["fresh"]


def test_a_finished_training_is_not_replaced(made):
    before = (made / "part-1/weights.safetensors").stat().st_mtime_ns
    with pytest.raises(InputError, match="a finished one"):
        _train(made, 1)
    assert (made / "part-1/weights.safetensors").stat().st_mtime_ns == before


def test_a_start_in_the_config_is_refused_as_it_would_not_be_used(made, tmp_path):
    config = yaml.safe_load((made / "1.yaml").read_text())
    config["train"]["start_from"] = "starter"
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(InputError, match="give --start-from"):
        train(["--config", str(tmp_path / "config.yaml"), "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_is_not_replaced(made):
    with pytest.raises(InputError, match=r"MODEL_CARD\.md is in it"):
        _pack(made, 1)


def test_what_is_no_training_is_named(made, tmp_path):
    run = read_json(made / "part-1/run.json")
    odd = ({"seed": "../x"}, {"start": [1]}, {"seconds": "long"}, {"size": [0, 0, 0]})
    odd += ({"start": {"run": {"training_cohort": 5}}}, {"weights_sha256": "0" * 64})
    cases = [(json.dumps(run | each), "json|safetensors") for each in odd]
    for content, found in (("{}", "'method' is a required property"), ("[]", "list"), *cases):
        (tmp_path / "run.json").write_text(content)
        arguments = ["--trained", str(tmp_path), "--config", str(made / "1.yaml")]
        with pytest.raises(InputError, match=found) as refused:
            pack.main([*arguments, "--out", str(tmp_path / "out")])
        assert "train the starter again" in str(refused.value)
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "found"), [(b"no safetensors", "weights"), (save({}), "tells of")]
)
def test_weights_that_are_none_of_the_network_are_named(made, tmp_path, content, found):
    run = read_json(made / "part-1/run.json")
    (tmp_path / "weights.safetensors").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    write_json(tmp_path / "run.json", run | {"weights_sha256": digest})
    arguments = ["--trained", str(tmp_path), "--config", str(made / "1.yaml")]
    with pytest.raises(InputError, match=found) as refused:
        pack.main([*arguments, "--out", str(tmp_path / "out")])
    (finding,) = refused.value.findings
    assert finding.file == str(tmp_path / "weights.safetensors")
    assert "train the starter again" in finding.remedy


@pytest.mark.parametrize(
    ("row", "place"),
    [
        ("A\t8\t6\t50\t0.5", "line 2, DSC"),
        ("A\t-8\t6\t0.5\t0.5", "line 2, truth_ml"),
        ("A\t8\tn/a\t0.5\t0.5", "line 2, found_ml"),
        ("n/a\t8\t6\t0.5\t-1", "line 2, scan"),
        ("", "a row for each real scan"),
    ],
)
def test_impossible_numbers_on_real_scans_are_named(tmp_path, row, place):
    table = tmp_path / "measured.tsv"
    table.write_text("\t".join(MEASURED) + "\n" + (f"{row}\n" if row else ""))
    with pytest.raises(InputError, match=place):
        read_measured(table)


def test_names_of_scans_stay_in_their_cell(tmp_path):
    table = tmp_path / "measured.tsv"
    table.write_text("\t".join(MEASURED) + '\n"a|b\n<b>"\t0\t1\tn/a\tn/a\n')
    (row,) = Measured(read_measured(table), "").rows
    assert row["scan"] == r"a\|b \<b\>"


@pytest.mark.parametrize("wrong", [["--threads", "0"], ["--notes", "notes.md"]])
def test_a_wrong_command_is_told(capsys, wrong):
    with pytest.raises(SystemExit) as left:
        pack.main(["--trained", "a", "--config", "b", "--out", "c", *wrong])
    assert left.value.code == 2
    assert wrong[0] in capsys.readouterr().err


def test_numbers_on_real_scans_are_told_as_given_with_the_users_own_notes(
    made, tmp_path, monkeypatch
):
    monkeypatch.setattr(pack, "VALIDATED", 4)
    table = "scan\ttruth_ml\tfound_ml\tDSC\tLF1\nA\t8.2\t6.4\t0.777\t0.606\nB\t0\t0.9\tn/a\tn/a\n"
    (tmp_path / "measured.tsv").write_text(table)
    (tmp_path / "notes.md").write_text("Nobody had looked at é before.\n", encoding="utf-8")
    arguments = ["--trained", str(made / "part-2"), "--config", str(made / "2.yaml")]
    arguments += ["--measured", str(tmp_path / "measured.tsv")]
    pack.main([*arguments, "--out", str(tmp_path / "without")])
    pack.main(
        [*arguments, "--notes", str(tmp_path / "notes.md"), "--out", str(tmp_path / "bundle")]
    )
    bundle = read_bundle(tmp_path / "bundle")
    assert "Dice of 1 real scan: 78 % (8.2 ml)" in bundle.content["accuracy"]
    assert "without lesions: 0.9 ml" in bundle.content["accuracy"]
    cards = [(tmp_path / name / "MODEL_CARD.md").read_text() for name in ("without", "bundle")]
    for card in cards:
        assert "| A | 8.2 | 6.4 | 77.7 | 60.6 |" in card
        assert "| B | 0.0 | 0.9 | n/a | n/a |" in card
    assert ["Nobody had looked at é before." in card for card in cards] == [False, True]
    with pytest.raises(InputError, match="No such file"):
        pack.main([*arguments, "--notes", str(tmp_path / "none.md"), "--out", str(tmp_path / "no")])
    assert not (tmp_path / "no").exists()


def test_of_the_ways_that_are_as_good_as_the_best_the_highest_threshold_is_taken(
    made, tmp_path, monkeypatch
):
    """All thresholds below 0.4 are here, with the mirror image."""

    def says(image, probability):
        truth = truths[image.tobytes()]
        return Said(np.where(truth, probability, 0).astype(np.float32), None, None)

    def ask(model, image, device, *, names_class):
        assert not names_class
        return says(image, 0.1)

    def ask_for_mirror(upright, model, image, device, *, names_class):
        assert not names_class
        return says(image, 0.4)

    drawn = [pack.simulate(derive_seed(2, "validation", n), d, SIZE) for n, d in enumerate(CLASSES)]
    truths = {scan.image[0].numpy().tobytes(): scan.lesion[0].numpy() for scan in drawn}
    monkeypatch.setattr(pack, "VALIDATED", len(CLASSES))
    monkeypatch.setattr(pack, "ask", ask)
    monkeypatch.setattr(pack, "ask_for_mirror", ask_for_mirror)
    arguments = ["--trained", str(made / "part-2"), "--config", str(made / "2.yaml")]
    pack.main([*arguments, "--out", str(tmp_path / "bundle")])
    bundle = read_bundle(tmp_path / "bundle")
    assert bundle.mirrored
    assert bundle.threshold == 0.35
    assert "once with left and right exchanged" in (bundle.path / "MODEL_CARD.md").read_text()


def test_a_network_that_segments_alone_is_packed_without_a_class(made, tmp_path, monkeypatch):
    monkeypatch.setattr(pack, "VALIDATED", 4)
    config = made / "1.yaml"
    arguments = ["--config", str(config), "--method", "only_seg", "--scans", "1"]
    train([*arguments, "--out", str(tmp_path / "trained")])
    trained = ["--trained", str(tmp_path / "trained"), "--config", str(config)]
    pack.main([*trained, "--out", str(tmp_path / "bundle")])
    bundle = read_bundle(tmp_path / "bundle")
    assert bundle.unasked is None
    assert "## The class" not in (bundle.path / "MODEL_CARD.md").read_text()
    only_cls = ["--config", str(config), "--method", "only_cls", "--scans", "1"]
    train([*only_cls, "--out", str(tmp_path / "class")])
    with pytest.raises(InputError, match="a method that segments lesions"):
        pack.main(
            [*("--trained", str(tmp_path / "class")), *trained[2:], "--out", str(tmp_path / "no")]
        )
    assert not (tmp_path / "no").exists()
