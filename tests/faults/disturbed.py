"""A copy of the workflow that is disturbed, and what it should hold all the same."""

import hashlib
import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.injection import Fault
from tests.workflow.dag import SNAKEMAKE

# what tells of the run itself, not of its results
OF_THE_RUN = ("logs/", "benchmarks/", "report/provenance.html")
EVERYTHING = ("all", "bundle", "apply", "check")


@dataclass
class Site:
    """The copy, its cohort and config, and what an undisturbed run made."""

    folder: Path
    config: Path
    mounted: bool
    undisturbed: dict[str, str] = field(default_factory=dict)

    @property
    def cohort(self) -> Path:
        return self.folder / "cohort"

    @property
    def results(self) -> Path:
        return self.disk / "results"

    @property
    def disk(self) -> Path:
        return self.folder / "disk"

    def run(self, *targets: Path | str, faults: tuple[Fault, ...] = ()) -> tuple[int, str]:
        process = self.start(*targets, faults=faults)
        output, _ = process.communicate(timeout=1200)
        return process.returncode, output

    def start(self, *targets: Path | str, faults: tuple[Fault, ...] = ()) -> subprocess.Popen:
        named = [str(target) for target in targets if not str(target).startswith("-")]
        options = [str(target) for target in targets if str(target).startswith("-")]
        command = [
            *SNAKEMAKE,
            *(named or EVERYTHING),
            *options,
            "--cores",
            "2",
            "--configfile",
            str(self.config),
        ]
        told = json.dumps([fault.told(self.folder / "marks") for fault in faults])
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=os.environ | {"FAULTS": told, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def happened(self, fault: Fault) -> bool:
        return (self.folder / "marks" / fault.name).exists()

    def wait_for(self, fault: Fault, seconds: float = 300) -> None:
        deadline = time.monotonic() + seconds
        while not self.happened(fault):
            assert time.monotonic() < deadline, f"{fault} did not happen"
            time.sleep(0.1)

    def recovers(self, *targets: Path | str) -> None:
        """Assert that a plain rerun ends with the undisturbed results, and nothing beside them."""
        code, output = self.run(*targets)
        assert code == 0, output[-4000:]
        wrong = differences(self.undisturbed, contents(self.results))
        assert not wrong, wrong


def contents(results: Path) -> dict[str, str]:
    """Return what each file of the results holds, as digests; temporary files count as well."""
    found = {}
    for path in sorted(results.rglob("*")):
        name = str(path.relative_to(results))
        if path.is_file() and not name.startswith(OF_THE_RUN):
            found[name] = hashlib.sha256(lasting(path)).hexdigest()
    return found


def lasting(path: Path) -> bytes:
    """Return a file's content without the times and resumptions that a job tells of."""
    if path.name.endswith("run.json"):
        told = json.loads(path.read_bytes())
        told |= dict.fromkeys(("resumed_from", "seconds", "peak_memory_bytes"))
        return json.dumps(told).encode()
    if path.name == "history.tsv":
        rows = [line.split("\t") for line in path.read_text().splitlines()]
        place = rows[0].index("seconds")
        return json.dumps([row[:place] + row[place + 1 :] for row in rows]).encode()
    return path.read_bytes()


def differences(one: dict[str, str], other: dict[str, str]) -> dict[str, str]:
    """Return which files are missing, new or changed."""
    names = sorted(one.keys() | other.keys())
    kinds = {name: (name in one, name in other) for name in names}
    words = {(True, False): "missing", (False, True): "new", (True, True): "changed"}
    return {name: words[kinds[name]] for name in names if one.get(name) != other.get(name)}


def kill_all(process: subprocess.Popen) -> None:
    """Kill -9 a run and all that it has started, as a power cut does."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
