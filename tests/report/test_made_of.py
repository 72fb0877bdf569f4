"""Pages are written again when a table that they show changes, whatever its time."""

import os

from msnmo.core.files import read_json
from msnmo.report.made_of import main


def test_the_list_changes_with_the_content_of_a_table_and_with_nothing_else(tmp_path):
    tables = [tmp_path / name for name in ("cohort.tsv", "all metrics.tsv")]
    for path in tables:
        path.write_text(path.name)

    def listed():
        main(["--tables", *map(str, tables), "--out", str(tmp_path / "made_of.json")])
        return (tmp_path / "made_of.json").read_bytes()

    before = listed()
    assert list(read_json(tmp_path / "made_of.json")["tables"]) == [path.name for path in tables]
    os.utime(tables[0], (1, 1))
    assert listed() == before
    tables[1].write_text("another")
    assert listed() != before
