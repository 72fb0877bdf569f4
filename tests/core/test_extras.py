import tomllib
from importlib import import_module, metadata
from pathlib import Path

import pytest

from msnmo.core.errors import MsnmoError
from msnmo.core.extras import EXTRAS, require_extra

ROOT = Path(__file__).parents[2]


def main_of(module):
    return import_module(f"msnmo.{module}.__main__").main


@pytest.fixture
def without_extras(monkeypatch):
    for extra in EXTRAS:
        monkeypatch.setitem(EXTRAS, extra, ("no_such_module", "pathlib"))


def test_each_extra_is_one_of_the_project_and_its_modules_are_of_its_packages():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    packages = metadata.packages_distributions()
    for extra, modules in EXTRAS.items():
        declared = " ".join(project["optional-dependencies"][extra])
        for module in modules:
            assert packages[module][0].lower() in declared, module


def test_what_is_installed_is_enough():
    for extra in EXTRAS:
        require_extra(extra, "msnmo")


@pytest.mark.usefixtures("without_extras")
@pytest.mark.parametrize(
    ("module", "words", "command", "extra"),
    [
        ("cohort", "dicom EMPTY --nifti n --salt-file s --out OUT", "msnmo cohort dicom", "dicom"),
        ("cohort", "bids EMPTY --diagnosis-column d --out OUT", "msnmo cohort bids", "bids"),
        ("demo", "--out OUT", "msnmo demo", "locations"),
        ("apply", "EMPTY --ids A --bundle b --out OUT", "msnmo apply to DICOM", "dicom"),
        ("apply", "x.nii --dicom-seg --bundle b --out OUT", "msnmo apply to DICOM", "dicom"),
        ("apply", "x.nii --locations --bundle b --out OUT", "msnmo apply --locations", "locations"),
    ],
)
def test_a_command_whose_extra_is_missing_says_how_to_get_it(
    module, words, command, extra, tmp_path
):
    out = tmp_path / "out"
    places = {"EMPTY": str(tmp_path), "OUT": str(out)}
    with pytest.raises(MsnmoError) as raised:
        main_of(module)([places.get(word, word) for word in words.split()])
    expected = f"{command} needs the extra {extra}: pip install 'msnmo[{extra}]'"
    assert str(raised.value) == f"{expected} (missing: no_such_module)"
    assert not out.exists()


@pytest.mark.usefixtures("without_extras")
def test_other_importers_need_no_extra(tmp_path):
    with pytest.raises(MsnmoError, match="input problem"):
        main_of("cohort")(["isbi2015", str(tmp_path), "--out", str(tmp_path / "scans.tsv")])
