"""One scan, and several scans."""

from msnmo.core.counts import counted


def test_one_is_no_several():
    assert [counted(count, "scan") for count in (0, 1, 2)] == ["0 scans", "1 scan", "2 scans"]
    assert [counted(count, "study", "studies") for count in (1, 2)] == ["1 study", "2 studies"]
