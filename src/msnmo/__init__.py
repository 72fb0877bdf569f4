"""Joint lesion segmentation and MS / NMOSD classification of T2-FLAIR MRI.

``msnmo.apply(image, affine, bundle)`` applies a bundle to an image in memory.
"""

import os
import sys

# `python -m msnmo.apply` makes the working folder the first place of libraries: a `pandas.py` that
# lies there, such as in a bundle, would run; so nothing is imported before but what Python itself
# has loaded. argv[0] is "-m" only while Python looks for the module that it is to run: a script or
# notebook that imports this package keeps its folder, as does who works where the package lies.
_CALLED = sys.argv[:1] == ["-m"]
_OWN = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
if _CALLED and not sys.flags.safe_path and sys.path[0] != _OWN:
    del sys.path[0]

# by a name of ours: no job of the workflow asks for it, so that none depends on what it loads
from importlib import import_module as _load  # noqa: E402
from types import TracebackType  # noqa: E402
from typing import Any  # noqa: E402


def _end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Say nothing of Ctrl-C while libraries are loaded: it is no fault."""
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)


if _CALLED:
    sys.excepthook = _end


def __getattr__(name: str) -> Any:
    """Return what is called by name after ``import msnmo``, which itself imports nothing."""
    if name == "apply":
        return _load(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
