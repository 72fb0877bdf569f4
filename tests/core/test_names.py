"""Names of scans and of their folders, which everything on disk is found by."""

import re
from pathlib import Path

import pytest
import yaml

from msnmo.core.names import FOLDER, ID, SCAN, folder_of, is_id, name_of_scan, path_of_scan, scan_of

ROOT = Path(__file__).parents[2]
NAMES = [("01", "", "sub-01", "sub-01"), ("P7", "base", "sub-P7_ses-base", "sub-P7/ses-base")]


@pytest.mark.parametrize(("subject", "session", "scan", "folder"), NAMES)
def test_name_and_folder_follow_from_each_other(subject, session, scan, folder):
    assert name_of_scan(subject, session) == scan
    assert folder_of(scan) == folder
    assert scan_of(folder) == scan
    assert re.fullmatch(SCAN, scan)
    assert re.fullmatch(FOLDER, folder)
    assert path_of_scan("a/{folder}/{scan}_{fold}.json", scan, fold=2) == Path(
        f"a/{folder}/{scan}_2.json"
    )


@pytest.mark.parametrize("text", ["", "a_b", "a-b", "é", "1\n", "sub-1/..", "٣"])
def test_what_is_no_id(text):
    assert not is_id(text)
    assert not re.fullmatch(SCAN, f"sub-{text}")
    assert not re.fullmatch(FOLDER, f"sub-1/ses-{text}")


def test_scan_table_and_workflow_mean_the_same_by_an_id():
    schema = yaml.safe_load((ROOT / "workflow/schemas/scans.schema.yaml").read_text())
    assert schema["properties"]["subject"]["pattern"] == f"^{ID}$"
    common = (ROOT / "workflow/rules/common.smk").read_text()
    assert f'scan=r"{SCAN}"' in common or "scan=SCAN," in common
    assert f'folder=r"{FOLDER}"' in common or "folder=FOLDER," in common
