"""Joint lesion segmentation and MS / NMOSD classification of T2-FLAIR MRI.

``msnmo.apply(image, affine, bundle)`` applies a bundle to an image in memory.
"""

# by a name of ours: no job of the workflow asks for it, so that none depends on what it loads
from importlib import import_module as _load
from typing import Any


def __getattr__(name: str) -> Any:
    """Return what is called by name after ``import msnmo``, which itself imports nothing."""
    if name == "apply":
        return _load(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
