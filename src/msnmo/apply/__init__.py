"""Trained folds applied to new scans: masks in each scan's own space, class, lesions, pages.

The package can be called, ``msnmo.apply(image, affine, bundle)``: that is
`msnmo.apply.in_memory.apply_to_image`, which is imported when it is.
"""

from __future__ import annotations

import sys

# by a name of ours: no job of the workflow calls the package, so that none depends on what it loads
from importlib import import_module as _load
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from msnmo.apply.in_memory import Applied


class _Callable(ModuleType):
    """A package that a user calls as a function of `msnmo`."""

    def __call__(self, *arguments: Any, **options: Any) -> Applied:
        """Apply a bundle to an image in memory; see `msnmo.apply.in_memory.apply_to_image`."""
        applied: Applied = _load(f"{__name__}.in_memory").apply_to_image(*arguments, **options)
        return applied


sys.modules[__name__].__class__ = _Callable
