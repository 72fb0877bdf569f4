"""How the tests share two workers; and a small cohort in model space to train and predict on."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator
from importlib.abc import MetaPathFinder
from importlib.util import find_spec
from pathlib import Path
from threading import current_thread, main_thread

# before libraries read them: several workers share the cores, and small arrays gain nothing
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = "1"
# networks that are given two threads: one that waits for the other lets another worker compute
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
# where this is set, each of the hundreds of processes that tests start would compile our modules
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings

from msnmo.core.files import write_json, write_tsv
from msnmo.core.geometry import Crop, ModelSpace, Resize
from msnmo.core.grid import Grid
from msnmo.core.saving import save_volume

sys.dont_write_bytecode = False
# a loaded machine is slow, not wrong
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

# a shell starts what it puts in the background deaf to Ctrl-C, and nohup to the end of a terminal;
# commands that tests start inherit it
for _number, _usual in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(_number) is signal.SIG_IGN and current_thread() is main_thread():
        signal.signal(_number, _usual)

# what takes longest starts first, so that no worker is left alone with it at the end
LONGEST = (
    "workflow/test_workflow.py",
    "workflow/test_check.py",
    "apply/test_apply.py",
    "evaluate/statistics/test_compare.py",
    "report/test_browser.py",
    "quality/test_rating_page.py",
    "workflow/test_screen.py",
    "apply/test_records.py",
    "workflow/test_results_lock.py",
    "workflow/test_one_class.py",
    "workflow/test_anywhere.py",
    "workflow/test_seeds.py",
    "workflow/test_robustness.py",
    "workflow/test_folds.py",
    "train/test_main.py",
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the longest files first; the others keep their order. Skip what lacks torch."""
    items.sort(key=lambda item: ([*LONGEST, _file(item)]).index(_file(item)))
    if config.getoption("--without-torch"):
        for item in items:
            if item.get_closest_marker("torch"):
                item.add_marker(pytest.mark.skip("needs torch, which is not installed"))


def pytest_collection_finish() -> None:
    """Leave what is loaded by now out of all later garbage collections: it stays to the end.

    statsmodels collects after each correction of p-values, which took a sixth of a second here.
    """
    gc.collect()
    gc.freeze()


def _file(item: pytest.Item) -> str:
    return item.path.relative_to(Path(__file__).parent).as_posix()


SIZE = 32
FOLDS = 3
# three small lesions or a large one: the classes differ as much as a small network can learn
LESIONS = {"MS": (3, 3.0), "NMOSD": (1, 6.0)}
# left-handed, oblique, and of another shape and voxel size than model space
NATIVE_SHAPE = (38, 46, 30)
NATIVE_AFFINE = np.array(
    [[-0.9, 0.05, 0.0, 20.0], [0.05, 0.8, -0.1, -15.0], [0.0, 0.1, 1.2, 3.0], [0, 0, 0, 1.0]]
)


@pytest.fixture(autouse=True)
def _torch_as_it_was() -> Iterator[None]:
    """Commands set threads and determinism for their whole process; other tests share ours."""
    yield
    if torch := sys.modules.get("torch"):
        torch.use_deterministic_algorithms(mode=False)
        torch.set_num_threads(1)
        torch.backends.cudnn.benchmark = False


@pytest.fixture(autouse=True)
def _gpu_of_this_test_alone(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let go of the GPU after a test: a process holds it to its end, so the next test would wait.

    And cuDNN tries one algorithm a convolution: ten take minutes, where a test trains seconds.
    """
    if not request.node.get_closest_marker("gpu"):
        yield
        return
    import torch  # here, as most tests do without

    from msnmo.compute.device import HELD

    torch.backends.cudnn.benchmark_limit = 1
    yield
    for held in HELD:
        held.lock.release(force=True)
    HELD.clear()


class _SkipImportersOfTorch(MetaPathFinder):
    """Skips the module or the test that imports torch, or what is built on it."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        if fullname in ("torch", "monai"):
            pytest.skip("needs torch, which is not installed", allow_module_level=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--without-torch",
        action="store_true",
        help="torch is not installed: skip what needs it (asked for, lest it happen by mistake)",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--without-torch"):
        if find_spec("torch"):
            raise pytest.UsageError("--without-torch: torch is installed, so nothing is skipped")
        sys.meta_path.insert(0, _SkipImportersOfTorch())


@pytest.fixture(scope="session")
def blob_cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the files of 12 scans of 32³ voxels, and tables of them.

    manifest.tsv, folds.tsv and of each fold train-0.tsv and test-0.tsv, as `msnmo.cohort.parts`
    lists its sides.

    Lesions are bright balls in noise. Read-only: tests that break something copy the tables.
    """
    folder = tmp_path_factory.mktemp("cohort")
    generator = np.random.default_rng(20240415)
    rows = [
        _write_scan(folder, generator, diagnosis, index)
        for diagnosis in LESIONS
        for index in range(6)
    ]
    table = pd.DataFrame(rows)
    write_tsv(folder / "manifest.tsv", table.drop(columns="fold"))
    write_tsv(folder / "folds.tsv", table[["scan", "subject", "diagnosis", "fold"]])
    for fold in range(FOLDS):
        tested = table["fold"] == fold
        write_tsv(folder / f"train-{fold}.tsv", table[~tested])
        write_tsv(folder / f"test-{fold}.tsv", table[tested])
    return folder


def _write_scan(
    folder: Path, generator: np.random.Generator, diagnosis: str, index: int
) -> dict[str, object]:
    scan = f"sub-{diagnosis}{index}"
    count, radius = LESIONS[diagnosis]
    lesion = np.zeros((SIZE,) * 3, dtype=bool)
    voxels = np.moveaxis(np.indices(lesion.shape), 0, -1)
    for centre in generator.uniform(8, SIZE - 8, (count, 3)):
        lesion |= ((voxels - centre) ** 2).sum(axis=-1) <= radius**2
    brain = np.zeros_like(lesion)
    brain[2:-2, 3:-3, 1:-1] = True
    image = generator.normal(0, 0.5, lesion.shape) + 2.5 * lesion
    space = _space()
    save_volume(folder / f"{scan}_FLAIR.nii.gz", image, space.model)
    save_volume(folder / f"{scan}_mask.nii.gz", lesion, space.model, np.uint8)
    save_volume(folder / f"{scan}_brain.nii.gz", brain, space.model, np.uint8)
    write_json(folder / f"{scan}.json", {"geometry": space.to_json()})
    return {
        "scan": scan,
        "subject": scan,
        "diagnosis": diagnosis,
        "image": str(folder / f"{scan}_FLAIR.nii.gz"),
        "lesion": str(folder / f"{scan}_mask.nii.gz"),
        "sidecar": str(folder / f"{scan}.json"),
        "brain": str(folder / f"{scan}_brain.nii.gz"),
        "native_lesion": None,
        "native_brain": None,
        "fold": index % FOLDS,
    }


def _space() -> ModelSpace:
    native = Grid.from_affine(NATIVE_SHAPE, NATIVE_AFFINE)
    brain = np.zeros(NATIVE_SHAPE, dtype=bool)
    brain[4:34, 5:41, 2:28] = True
    crop = Crop.around(brain, native)
    return ModelSpace(crop, Resize.fit(crop.shape, crop.grid.voxel_mm, (SIZE,) * 3, "stretch"))


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """A function that puts a command on a PATH that holds nothing else but the shell."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def put(name: str, body: str) -> None:
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)

    return put
