"""A page of three scans, as the command writes it."""

import json
import threading

import pandas as pd
import pytest

from msnmo.core.files import write_tsv
from msnmo.quality.overview import main
from msnmo.quality.rating import Rating
from msnmo.quality.server import Server
from tests.quality.served import Rater

NUMBERS = {
    "brain_ml": 1300.0,
    "brain_apart": 0.0,
    "brain_cut": 0.0,
    "bias_range": 1.7,
    "z_min": -4.0,
    "z_max": 8.0,
    "lesion_ml": 10.0,
    "lesion_count": 12.0,
    "lesion_outside_ml": 0.1,
    "contrast": 1.4,
}
HOSTILE = '"><script>alert(1)</script>'


@pytest.fixture
def make_page(tmp_path):
    """A function that writes the page of three scans, with a rater's table if one is given."""

    def make(decisions: str | None = None, count: int = 3):
        folder = tmp_path / "quality é"
        rows = []
        for number in range(1, count + 1):
            place = folder / f"sub-{number}"
            place.mkdir(parents=True, exist_ok=True)
            flags = [HOSTILE] if number == 1 else []
            volume = 2600.0 if number == 9 else 1300.0 + 10 * number
            content = {"engine": "surface", "flags": flags, "scan": f"sub-{number}"}
            content["numbers"] = NUMBERS | {"brain_ml": volume}
            (place / f"sub-{number}.json").write_text(json.dumps(content))
            (place / f"sub-{number}.png").write_bytes(b"\x89PNG picture")
            site, told = (HOSTILE, "yes") if number == 1 else ("A", "no")
            rows.append((f"sub-{number}", "MS", site, told))
        cohort = pd.DataFrame(rows, columns=["scan", "diagnosis", "site", "simulated"])
        write_tsv(tmp_path / "cohort.tsv", cohort)
        command = ["--cohort", tmp_path / "cohort.tsv"]
        command += ["--numbers", f"{folder}/{{folder}}/{{scan}}.json"]
        command += ["--pictures", f"{folder}/{{folder}}/{{scan}}.png"]
        command += ["--out-table", folder / "quality.tsv", "--out-page", folder / "index.html"]
        if decisions is not None:
            (tmp_path / "decisions.tsv").write_text(decisions)
            command += ["--decisions", tmp_path / "decisions.tsv"]
        main([str(each) for each in command])
        return folder / "index.html"

    return make


@pytest.fixture
def server(make_page, tmp_path):
    """A running server of the page of three scans."""
    server = Server(0, Rating(make_page(), tmp_path / "out é" / "decisions.tsv"))
    thread = threading.Thread(target=server.serve_forever, args=[0.05])
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def rater(server):
    """A browser that opened the server's address."""
    return Rater.of(server)
