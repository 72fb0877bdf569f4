"""Skull stripping: which voxels of a head scan are brain.

Each engine has its own module, which is imported only when it is used. `fsl` is BET, the tool that
the paper names, run through nipype. `surface` is our own, after the article that describes BET.
`hd-bet` is a neural network and an optional extra. A scan that arrives skull-stripped needs no
engine: see `arrival`.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from msnmo.core.errors import bad_input
from msnmo.core.volumes import Volume
from msnmo.preprocess.skullstrip.extraction import Extraction
from msnmo.settings.skullstrip import Engine


def strip(
    scan: Volume,
    file: Path,
    engine: Engine = "auto",
    frac: float = 0.4,
    robust: bool = False,
) -> Extraction:
    """Return the brain mask of a head scan.

    Parameters
    ----------
    scan : Volume
        The scan as it arrived.
    file : Path
        Its file, for messages.
    engine : {"auto", "fsl", "surface", "hd-bet"}
        ``auto`` is ``fsl`` if `bet` is on the PATH, else ``surface``.
    frac : float
        Fractional intensity threshold of ``fsl`` and ``surface``, in [0, 1]; larger gives a smaller
        brain. ``hd-bet`` has none.
    robust : bool
        For ``fsl`` and ``surface``: repeat the search for the centre of the brain.

    Raises
    ------
    InputError
        Naming the file, if the engine finds no brain or is not installed, or `frac` is out of
        range.
    """
    if not 0.0 <= frac <= 1.0:
        remedy = "0.4 suits T2-FLAIR; 0.3 gives a larger brain, 0.5 a smaller one"
        raise bad_input("skull stripping", "frac between 0 and 1", f"frac {frac:g}", remedy)
    engine = choose_engine(engine)
    try:
        return _run(engine, scan, frac, robust)
    except ValueError as error:
        remedy = "check the scan; exclude it if it shows no head"
        raise bad_input(file, "a head scan", str(error), remedy) from error


def choose_engine(engine: Engine) -> Engine:
    """Return the engine that ``auto`` means on this machine. Others are returned unchanged."""
    if engine != "auto":
        return engine
    return "fsl" if shutil.which("bet") else "surface"


def _run(engine: Engine, scan: Volume, frac: float, robust: bool) -> Extraction:
    if engine == "fsl":
        from msnmo.preprocess.skullstrip import fsl  # noqa: PLC0415 (nipype costs a second)

        return fsl.extract_brain(scan, frac, robust)
    if engine == "hd-bet":
        from msnmo.preprocess.skullstrip import hdbet  # noqa: PLC0415 (torch and the weights: optional extra)

        return hdbet.extract_brain(scan)
    from msnmo.preprocess.skullstrip import surface  # noqa: PLC0415 (as the others)

    return surface.extract_brain(scan, frac, robust)
