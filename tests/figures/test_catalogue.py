"""The catalogue names every figure, its methods and its module, and costs nothing to read."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

from msnmo.core.errors import InputError
from msnmo.figures.catalogue import DRAWN, FIGURES, drawable, get_figure, left_out_twins, methods_of
from msnmo.settings.methods import METHODS


def test_reading_it_imports_nothing_slow():
    code = (
        "import sys; import msnmo.figures.catalogue;"
        "print([m for m in ('torch', 'pandas', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_papers_figures_show_the_methods_of_their_tables():
    assert set(methods_of("figure-8", METHODS)) >= {"unet", "vnet", "attention_unet", "joint"}
    assert methods_of("figure-9", METHODS) == [
        *("resnet50", "resnet101", "resnet152", "densenet121", "senet50", "joint")
    ]
    assert methods_of("figure-10", METHODS) == ["only_seg", "joint"]
    assert methods_of("figure-11", METHODS) == ["only_cls", "joint"]
    assert methods_of("figure-12", METHODS) == ["joint"]
    assert methods_of("training-curves", METHODS) == list(DRAWN)
    assert "senet50" not in methods_of("bland-altman", METHODS)
    assert "unet" not in methods_of("confusion", METHODS)
    assert methods_of("calibration", METHODS) == [
        *("resnet50", "resnet101", "resnet152", "densenet121", "senet50", "only_cls", "joint")
    ]


def test_only_chosen_methods_are_shown():
    assert methods_of("figure-8", ["only_cls", "joint", "vnet"]) == ["vnet", "joint"]


def test_a_figure_is_drawable_when_one_of_its_methods_was_run():
    assert drawable([]) == ["figure-2"]
    assert drawable(["senet50"]) == [
        *("figure-2", "figure-9", "training-curves", "confusion", "calibration")
    ]
    assert "figure-12" not in drawable([name for name in METHODS if name != "joint"])
    assert drawable(["joint", "only_cls"]) == list(FIGURES)


def test_of_two_figures_that_would_be_the_same_one_is_left_out():
    assert left_out_twins(["joint"]) == {"figure-11": "figure-9"}
    assert set(FIGURES) - set(drawable(["joint"])) == {"figure-11"}
    assert left_out_twins(["joint", "resnet50"]) == {}, "Figure 9 shows one more"
    assert "figure-11" in drawable(["only_cls"])
    assert left_out_twins(["unet"]) == {}, "neither is drawn"


def test_an_unknown_figure_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match="figure-12"):
        get_figure("figure-7")


@pytest.mark.parametrize("figure", FIGURES.values(), ids=FIGURES)
def test_every_module_can_draw(figure):
    assert callable(import_module(f"msnmo.figures.{figure.module}").draw)
    assert FIGURES[figure.name] is figure
    assert figure.needed <= set(figure.methods)
