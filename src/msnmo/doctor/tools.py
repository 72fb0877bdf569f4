"""Programs beside Python: FSL, dcm2niix, a browser, conda, Slurm."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from msnmo.core.processes import ask
from msnmo.doctor.line import Line

SECONDS_TO_ANSWER = 10
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def look_at_tools() -> Iterator[Line]:
    """Yield a line for each program that a part of msnmo may use."""
    yield _skull_stripping()
    yield _dcm2niix()
    yield _browser()
    yield _optional("conda", "without it `--sdm conda` does not work", "--version")
    yield from _slurm()


def _skull_stripping() -> Line:
    bet = shutil.which("bet")
    if bet is None:
        found = "no `bet` on the PATH: skull_strip.engine: auto takes `surface`"
        fsl = _variables("FSLDIR")
        if not fsl:
            return Line("FSL", "ok", found)
        remedy = (
            "put FSL's bin folder on the PATH if you want it: source $FSLDIR/etc/fslconf/fsl.sh"
        )
        return Line("FSL", "note", f"{found}, although {fsl}", remedy)
    known = _variables("FSLDIR", "FSLOUTPUTTYPE") or "FSLDIR and FSLOUTPUTTYPE not set, nor needed"
    return Line("FSL", "ok", f"{bet} ({known}): skull_strip.engine: auto takes `fsl`")


def _variables(*names: str) -> str:
    return ", ".join(f"{name}={os.environ[name]}" for name in names if os.environ.get(name))


def _dcm2niix() -> Line:
    # pip puts it beside Python, which need not be on the PATH
    places = os.pathsep.join([os.environ.get("PATH", ""), str(Path(sys.executable).parent)])
    program = shutil.which("dcm2niix", path=places)
    if program is None:
        return Line("dcm2niix", "ok", "none: `msnmo cohort dicom` and DICOM scans need it")
    return _answering("dcm2niix", program, "--version", codes=(0, 3))


def _browser() -> Line:
    named = os.environ.get("CHROMIUM")
    program = named or next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        return Line("Chromium", "ok", "none: only tests use it, any browser opens the report")
    return _answering("Chromium", program, "--version")


def _optional(name: str, remark: str, *arguments: str) -> Line:
    program = shutil.which(name)
    if program is None:
        return Line(name, "ok", f"none: {remark}")
    return _answering(name, program, *arguments)


def _answering(name: str, program: str, *arguments: str, codes: tuple[int, ...] = (0,)) -> Line:
    asked = ask(program, *arguments, seconds=SECONDS_TO_ANSWER)
    if asked.code not in codes:
        return Line(name, "note", f"{program}: {asked.wrong}", "check that it works if you need it")
    version = [line for line in asked.said.splitlines() if line.strip()]
    return Line(name, "ok", f"{program}: {version[-1].strip() if version else 'unknown version'}")


def _slurm() -> Iterator[Line]:
    if shutil.which("sbatch") is None:
        yield Line("Slurm", "ok", "no `sbatch` on the PATH: jobs run on this machine")
        return
    yield _answering("Slurm", "sbatch", "--version")
    if shutil.which("sinfo") is None:
        return
    asked = ask("sinfo", "--noheader", "--format=%P %a %l %D %G", seconds=SECONDS_TO_ANSWER)
    if asked.wrong:
        remedy = "the profile slurm will not work until `sinfo` answers: ask your site"
        yield Line("partitions", "note", asked.wrong, remedy)
        return
    lines = asked.said.splitlines()
    remedy = "name your partitions in profiles/slurm/config.yaml"
    yield Line("partitions", "ok" if lines else "note", "; ".join(lines) or "none", remedy)
