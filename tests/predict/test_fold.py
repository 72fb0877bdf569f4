from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from msnmo.core.errors import DataLeakageError, DiskError, InputError, MsnmoError
from msnmo.core.files import sha256, write_json, write_tsv
from msnmo.core.geometry import Crop, ModelSpace, Resize
from msnmo.core.grid import Grid
from msnmo.core.saving import save_volume
from msnmo.core.volumes import Volume, load_mask
from msnmo.evaluate.maps import read_map
from msnmo.networks.joint import JointModel
from msnmo.networks.localisation import upsample
from msnmo.networks.outputs import Outputs
from msnmo.predict.fold import (
    LoadedScan,
    atomic_folder,
    load_model,
    load_scans,
    main,
    predict_scan,
    predictions_row,
)
from msnmo.train.__main__ import main as train_main

CPU = torch.device("cpu")
SETTINGS = {"train": {"epochs": 9, "learning_rate": 0.005}, "model": {"base_channels": 8}}
TESTED = ["sub-MS0", "sub-MS3", "sub-NMOSD0", "sub-NMOSD3"]


@pytest.fixture(scope="module")
def trained(blob_cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that was trained long enough to find the blobs."""
    out = tmp_path_factory.mktemp("model")
    train_main(
        [
            *("--scans", str(blob_cohort / "train-0.tsv")),
            *("--method", "joint", "--fold", "0", "--seed", "1", "--device", "cpu"),
            *("--settings", json.dumps(SETTINGS)),
            *("--out-weights", str(out / "weights.safetensors")),
            *("--out-history", str(out / "history.tsv")),
            *("--out-run", str(out / "run.json")),
            *("--checkpoint", str(out / "checkpoint.pt")),
        ]
    )
    return out


def _predict(cohort: Path, model: Path, out: Path, **changed: str) -> None:
    options = {
        "scans": str(cohort / "test-0.tsv"),
        "method": "joint",
        "fold": "0",
        "weights": str(model / "weights.safetensors"),
        "run": str(model / "run.json"),
        "out": str(out),
        "device": "cpu",
    } | changed
    main([part for name, value in options.items() for part in (f"--{name}", value)])


@pytest.fixture(scope="module")
def predicted(blob_cohort: Path, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("predictions") / "fold-0"
    _predict(blob_cohort, trained, out)
    return out


def _data(path: Path) -> np.ndarray:
    return nib.load(path).get_fdata()


def _dice(one: np.ndarray, other: np.ndarray) -> float:
    return 2 * np.sum(one & other) / (np.sum(one) + np.sum(other))


def test_a_training_learns_to_find_lesions_in_scans_it_has_not_seen(
    blob_cohort: Path, predicted: Path, trained: Path
) -> None:
    """An untrained network calls nothing lesion; chance overlap is below 0.05."""
    found = [
        _dice(
            _data(predicted / f"{scan}_space-model_desc-lesion_mask.nii.gz") > 0,
            _data(blob_cohort / f"{scan}_mask.nii.gz") > 0,
        )
        for scan in TESTED
    ]
    assert np.mean(found) > 0.6
    history = pd.read_csv(trained / "history.tsv", sep="\t")
    assert history["segmentation"].iloc[-1] < 0.5 * history["segmentation"].iloc[0]


def test_the_folder_holds_what_the_contract_names(predicted: Path) -> None:
    endings = [
        "desc-lesion_mask.nii.gz",
        "desc-lesion_probseg.nii.gz",
        "space-model_desc-lesion_mask.nii.gz",
        "space-model_desc-lesion_probseg.nii.gz",
        "space-model_desc-localisation1_map.nii.gz",
        "space-model_desc-localisation2_map.nii.gz",
        "space-model_desc-localisation3_map.nii.gz",
    ]
    expected = [f"{scan}_{ending}" for scan in TESTED for ending in endings]
    assert sorted(path.name for path in predicted.iterdir()) == [
        "predictions.tsv",
        *sorted(expected),
    ]
    assert [path.name for path in predicted.parent.iterdir()] == ["fold-0"]


def test_class_probabilities_have_six_decimals_and_add_up(predicted: Path) -> None:
    table = pd.read_csv(predicted / "predictions.tsv", sep="\t", dtype=str)
    assert list(table.columns) == ["scan", "diagnosis", "p_ms", "p_nmosd"]
    assert list(table["scan"]) == TESTED
    assert list(table["diagnosis"]) == ["MS", "MS", "NMOSD", "NMOSD"]
    assert table[["p_ms", "p_nmosd"]].map(lambda text: len(text.split(".")[1])).eq(6).all(axis=None)
    np.testing.assert_allclose(
        table["p_ms"].astype(float) + table["p_nmosd"].astype(float), 1, 2e-6
    )


@pytest.mark.parametrize("scan", TESTED[:2])
def test_maps_lie_on_their_grids_and_are_thresholded_there(
    blob_cohort: Path, predicted: Path, scan: str
) -> None:
    sidecar = json.loads((blob_cohort / f"{scan}.json").read_text())
    space = ModelSpace.from_json(sidecar["geometry"])
    for stem, grid in ((f"{scan}_space-model", space.model), (scan, space.native)):
        mask = nib.load(predicted / f"{stem}_desc-lesion_mask.nii.gz")
        probability = nib.load(predicted / f"{stem}_desc-lesion_probseg.nii.gz")
        assert mask.get_data_dtype() == np.uint8
        assert probability.get_data_dtype() == np.uint8
        for image in (mask, probability):
            assert image.shape == grid.shape
            np.testing.assert_allclose(image.header.get_sform(), grid.affine, atol=1e-5)
            assert int(image.header["sform_code"]) == grid.sform_code
        np.testing.assert_array_equal(mask.get_fdata() > 0, probability.get_fdata() > 0.5)

    native = _data(predicted / f"{scan}_desc-lesion_probseg.nii.gz")
    model = _data(predicted / f"{scan}_space-model_desc-lesion_probseg.nii.gz")
    # each is rounded to 1/255
    np.testing.assert_allclose(native, space.to_native(model), atol=1.01 / 255)
    outside = np.ones(native.shape, dtype=bool)
    outside[4:34, 5:41, 2:28] = False
    assert not native[outside].any()
    assert native.max() > 0.5


def test_localisation_maps_are_those_of_the_predicted_class(
    blob_cohort: Path, trained: Path, predicted: Path
) -> None:
    """The class's logit is the sum of its maps' means plus its bias (Zhou et al. 2016)."""
    run = json.loads((trained / "run.json").read_text())
    model = load_model(trained / "weights.safetensors", run, CPU)
    scan = "sub-NMOSD3"
    image = torch.from_numpy(_data(blob_cohort / f"{scan}_FLAIR.nii.gz")).float()
    with torch.inference_mode():
        logits = model(image[None, None]).class_logits[0]
    predicted_class = int(logits.argmax())
    maps = predict_scan(model, image.numpy(), CPU).localisation
    assert [each.shape for each in maps] == [(16, 16, 16), (8, 8, 8), (4, 4, 4)]
    bias = model.classification.fully_connected.bias[predicted_class]
    total = sum(float(each.mean()) for each in maps) + bias.item()
    assert total == pytest.approx(float(logits[predicted_class]), abs=1e-4)
    brain = load_mask(blob_cohort / f"{scan}_brain.nii.gz")
    for index, values in enumerate(maps, start=1):
        path = predicted / f"{scan}_space-model_desc-localisation{index}_map.nii.gz"
        written = nib.load(path)
        assert written.shape == values.shape
        assert written.get_data_dtype() == np.int16
        step = np.abs(values).max() / 32767
        whole = upsample(torch.from_numpy(values)[None, None], (32, 32, 32))[0, 0].numpy()
        read = read_map(path, brain.grid)
        np.testing.assert_allclose(read[brain.data], whole[brain.data], atol=1.01 * step)


@pytest.mark.parametrize("edge", [4, 8, 16, 32])
def test_a_map_is_kept_where_the_brain_reads_it(tmp_path: Path, edge: int) -> None:
    """A voxel of the map beside the brain counts in the interpolation of the brain's voxels."""
    brain = np.zeros((32, 32, 32), dtype=bool)
    brain[3:11, 2:9, 1:12] = True
    grid = Grid.from_affine((32, 32, 32), np.diag([1.0, 2.0, 3.0, 1.0]))
    crop = Crop.around(np.ones((32, 32, 32)), grid)
    space = ModelSpace(crop, Resize((32, 32, 32), (32, 32, 32), (0, 0, 0), (32, 32, 32)))
    scan = LoadedScan("sub-1", Volume(np.zeros(brain.shape), grid), brain, space)
    values = np.random.default_rng(edge).uniform(1, 2, (edge, edge, edge)).astype(np.float32)
    scan.save_map(tmp_path / "map.nii.gz", values, np.int16)
    whole = upsample(torch.from_numpy(values)[None, None], (32, 32, 32))[0, 0].numpy()
    read = read_map(tmp_path / "map.nii.gz", grid)
    np.testing.assert_allclose(read[brain], whole[brain], atol=2e-4)
    assert not read[-4:, -4:, -4:].any(), "nothing is kept far from the brain"


def test_a_brain_mask_on_another_grid_is_named(
    blob_cohort: Path, trained: Path, tmp_path: Path
) -> None:
    table = pd.read_csv(blob_cohort / "test-0.tsv", sep="\t", keep_default_na=False)
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    wrong = tmp_path / "brain.nii.gz"
    save_volume(wrong, np.ones((32, 32, 32)), Grid.from_affine((32, 32, 32), affine), np.uint8)
    table.loc[1, "brain"] = str(wrong)
    write_tsv(tmp_path / "test.tsv", table)
    with pytest.raises(InputError, match="the grid of") as error:
        _predict(blob_cohort, trained, tmp_path / "out", scans=str(tmp_path / "test.tsv"))
    assert [finding.file for finding in error.value.findings] == [str(wrong)]
    assert not (tmp_path / "out").exists()


def test_equal_inputs_give_equal_bytes(
    blob_cohort: Path, trained: Path, predicted: Path, tmp_path: Path
) -> None:
    _predict(blob_cohort, trained, tmp_path / "again")
    names = sorted(path.name for path in predicted.iterdir())
    assert names == sorted(path.name for path in (tmp_path / "again").iterdir())
    assert all(
        (predicted / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
        for name in names
    )


def test_a_higher_threshold_gives_a_smaller_mask(
    blob_cohort: Path, trained: Path, predicted: Path, tmp_path: Path
) -> None:
    _predict(blob_cohort, trained, tmp_path / "out", threshold="0.9")
    name = "sub-MS0_desc-lesion_mask.nii.gz"
    low, high = _data(predicted / name), _data(tmp_path / "out" / name)
    assert 0 <= high.sum() < low.sum()
    assert not (high > low).any()


def test_a_map_that_cannot_be_written_leaves_no_folder(
    blob_cohort: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, *_: object) -> None:
        if "sub-NMOSD3" in Path(path).name:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("msnmo.predict.fold.save_probability", full)
    with pytest.raises(DiskError, match="No space left"):
        _predict(blob_cohort, trained, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def _truncate(model: Path) -> None:
    path = model / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def _flip_a_bit(model: Path) -> None:
    path = model / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 4
    path.write_bytes(content)


def _pickle(model: Path) -> None:
    torch.save({"weights": torch.zeros(3)}, model / "weights.safetensors")


def _rewrite(model: Path, tensors: dict[str, torch.Tensor], method: str = "joint") -> None:
    """Write other weights that are whole and that run.json knows."""
    path, run = model / "weights.safetensors", json.loads((model / "run.json").read_text())
    save_file(tensors, path, {"msnmo": json.dumps({"method": method, "fold": 0, "seed": 1})})
    write_json(model / "run.json", run | {"weights_sha256": sha256(path)})


def _other_shape(model: Path) -> None:
    tensors = load_file(model / "weights.safetensors")
    _rewrite(model, tensors | {"sharing.crossover.weight": torch.zeros(3, 3)})


def _other_names(model: Path) -> None:
    tensors = load_file(model / "weights.safetensors")
    _rewrite(model, {f"x.{name}": tensor for name, tensor in tensors.items()})


def _not_finite(model: Path) -> None:
    tensors = load_file(model / "weights.safetensors")
    tensors["sharing.crossover.weight"][0, 0] = float("nan")
    _rewrite(model, tensors)


def _pipe(model: Path) -> None:
    (model / "weights.safetensors").unlink()
    os.mkfifo(model / "weights.safetensors")


def _other_method(model: Path) -> None:
    _rewrite(model, load_file(model / "weights.safetensors"), method="only-seg")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_truncate, "SafetensorError"),
        (_flip_a_bit, "checksum"),
        (_pickle, "SafetensorError"),
        (_other_shape, "such as sharing.crossover.weight"),
        (_other_names, "missing"),
        (_not_finite, r"NaN or infinity in 1 of \d+ numbers of sharing.crossover.weight"),
        (_pipe, "no such file"),
        (_other_method, "only-seg"),
        (lambda model: (model / "weights.safetensors").unlink(), "FileNotFoundError"),
    ],
)
def test_weights_that_cannot_be_used_are_named(
    blob_cohort: Path, trained: Path, tmp_path: Path, damage: Callable[[Path], Any], words: str
) -> None:
    model = shutil.copytree(trained, tmp_path / "model")
    damage(model)
    with pytest.raises(InputError, match=words) as error:
        _predict(blob_cohort, model, tmp_path / "out")
    assert error.value.findings[0].file == str(model / "weights.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize(
    ("changed", "words"),
    [({"fold": "1"}, "method joint, fold 1"), ({"method": "vnet"}, "method vnet, fold 0")],
)
def test_a_model_of_another_method_or_fold_is_refused(
    blob_cohort: Path, trained: Path, tmp_path: Path, changed: dict[str, str], words: str
) -> None:
    with pytest.raises(InputError, match=words) as error:
        _predict(blob_cohort, trained, tmp_path / "out", **changed)
    assert error.value.findings[0].file == str(trained / "run.json")


def test_an_incomplete_run_json_is_named(blob_cohort: Path, trained: Path, tmp_path: Path) -> None:
    write_json(tmp_path / "run.json", {"method": "joint", "fold": 0})
    with pytest.raises(InputError, match="no settings, size"):
        _predict(blob_cohort, trained, tmp_path / "out", run=str(tmp_path / "run.json"))


def test_a_scan_that_was_trained_on_is_not_tested_on(
    blob_cohort: Path, trained: Path, tmp_path: Path
) -> None:
    """The folds were made anew after the training."""
    with pytest.raises(DataLeakageError, match="sub-MS1"):
        _predict(blob_cohort, trained, tmp_path / "out", scans=str(blob_cohort / "test-1.tsv"))


def test_every_bad_scan_is_reported_at_once_and_nothing_is_written(
    blob_cohort: Path, trained: Path, tmp_path: Path
) -> None:
    table = pd.read_csv(blob_cohort / "test-0.tsv", sep="\t", keep_default_na=False)
    table = table.set_index("scan", drop=False)
    space = ModelSpace.from_json(json.loads((blob_cohort / "sub-MS3.json").read_text())["geometry"])
    box = np.zeros(space.native.shape, dtype=bool)
    box[1:9, 1:9, 1:9] = True
    crop = Crop.around(box, space.native)
    resize = Resize.fit(crop.shape, crop.grid.voxel_mm, (32, 32, 32), "stretch")
    write_json(tmp_path / "mixed.json", {"geometry": ModelSpace(crop, resize).to_json()})
    write_json(tmp_path / "empty.json", {})
    table.loc["sub-MS0", "image"] = str(tmp_path / "gone.nii.gz")
    table.loc["sub-MS3", "sidecar"] = str(tmp_path / "mixed.json")
    table.loc["sub-NMOSD0", "sidecar"] = str(tmp_path / "empty.json")
    table.loc["sub-NMOSD3", "sidecar"] = str(tmp_path / "none.json")
    write_tsv(tmp_path / "test.tsv", table)
    with pytest.raises(InputError) as error:
        _predict(blob_cohort, trained, tmp_path / "out", scans=str(tmp_path / "test.tsv"))
    files = [Path(finding.file).name for finding in error.value.findings]
    assert files == ["gone.nii.gz", "mixed.json", "empty.json", "none.json"]
    assert not any(path.name.endswith("out") for path in tmp_path.iterdir())


def test_scans_of_another_size_than_trained_are_refused(blob_cohort: Path) -> None:
    table = pd.read_csv(blob_cohort / "manifest.tsv", sep="\t")[:2]
    with pytest.raises(InputError, match=r"(?s)MS1_FLAIR.*expected: shape \(48, 48, 48\)"):
        load_scans(table, (48, 48, 48))


@pytest.mark.parametrize("threshold", ["0", "1", "nan", "half"])
def test_a_threshold_that_makes_no_sense_is_a_wrong_command_line(
    blob_cohort: Path, trained: Path, tmp_path: Path, threshold: str
) -> None:
    with pytest.raises(SystemExit) as stop:
        _predict(blob_cohort, trained, tmp_path / "out", threshold=threshold)
    assert stop.value.code == 2


class _OneTask(torch.nn.Module):
    def __init__(self, **outputs: torch.Tensor):
        super().__init__()
        self.outputs = Outputs(**outputs)

    def forward(self, _image: torch.Tensor) -> Outputs:
        return self.outputs


def test_a_method_of_one_task_predicts_that_task_only() -> None:
    image = np.zeros((16, 16, 16), dtype=np.float32)
    lesion = torch.randn(1, 1, 16, 16, 16)
    only_seg = predict_scan(_OneTask(lesion_logits=lesion), image, CPU)
    np.testing.assert_allclose(
        only_seg.lesion_probability, 1 / (1 + np.exp(-lesion[0, 0].numpy())), 1e-5
    )
    assert only_seg.class_probabilities is None
    assert predictions_row("sub-1", "MS", only_seg)["p_nmosd"] == "n/a"

    only_cls = predict_scan(_OneTask(class_logits=torch.tensor([[0.0, np.log(3)]])), image, CPU)
    assert only_cls.lesion_probability is None
    assert only_cls.localisation == ()
    row = predictions_row("sub-1", "NMOSD", only_cls)
    assert (row["p_ms"], row["p_nmosd"]) == ("0.250000", "0.750000")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_output_that_is_no_number_is_no_prediction(value: float) -> None:
    """The class of NaN would be the first, and its lesions none."""
    image, logits = np.zeros((4, 4, 4), dtype=np.float32), torch.zeros(1, 1, 4, 4, 4)
    logits[0, 0, 1, 2, 3] = value
    for model, named in (
        (_OneTask(lesion_logits=logits), "1 of 64 numbers of lesion_logits"),
        (_OneTask(class_logits=torch.tensor([[value, 0.0]])), "1 of 2 numbers of class_logits"),
    ):
        with pytest.raises(MsnmoError, match=named):
            predict_scan(model, image, torch.device("cpu"))


def test_full_memory_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(JointModel, "forward", full)
    image = np.zeros((16, 16, 16), dtype=np.float32)
    model = JointModel(*[torch.nn.Identity()] * 4)
    with pytest.raises(MsnmoError, match="one scan of size 16x16x16"):
        predict_scan(model, image, CPU)


def _interrupted(target: Path) -> None:
    with atomic_folder(target) as folder:
        (folder / "new").touch()
        raise KeyboardInterrupt


def test_an_interrupted_folder_leaves_the_old_one_and_is_cleared_by_the_next(
    tmp_path: Path,
) -> None:
    target = tmp_path / "fold-0"
    with atomic_folder(target) as folder:
        (folder / "old").touch()
    with pytest.raises(KeyboardInterrupt):
        _interrupted(target)
    assert [path.name for path in target.iterdir()] == ["old"]

    (tmp_path / ".tmp-k1ll_3d_-fold-0" / "new").mkdir(parents=True)
    (tmp_path / ".tmp-k1ll_3d_-fold-0" / "new" / "left by a kill").touch()
    (tmp_path / ".tmp-k1ll_3d_-fold-0" / "held").touch()
    with atomic_folder(target) as folder:
        (folder / "newer").touch()
    assert [path.name for path in target.iterdir()] == ["newer"]
    assert [path.name for path in tmp_path.iterdir()] == ["fold-0"]


def test_a_prediction_is_in_0_to_1(predicted: Path) -> None:
    for path in predicted.glob("*_probseg.nii.gz"):
        data = _data(path)
        assert 0 <= data.min() <= data.max() <= 1


@pytest.mark.gpu
def test_cuda_predicts_what_the_cpu_predicts(
    blob_cohort: Path, trained: Path, predicted: Path, tmp_path: Path
) -> None:
    _predict(blob_cohort, trained, tmp_path / "out", device="cuda")
    for scan in TESTED:
        name = f"{scan}_desc-lesion_probseg.nii.gz"
        np.testing.assert_allclose(
            _data(tmp_path / "out" / name), _data(predicted / name), atol=0.02
        )
