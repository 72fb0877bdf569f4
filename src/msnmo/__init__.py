"""Joint lesion segmentation and MS / NMOSD classification of T2-FLAIR MRI."""

import sys
from types import TracebackType


def _end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Say nothing of Ctrl-C while libraries are loaded: it is no fault."""
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)


# `python -m msnmo.apply` makes the working folder the first place of libraries: a `pandas.py` that
# lies there, such as in a bundle, would run. argv[0] is "-m" only while Python looks for the module
# that it is to run, so that a script or notebook that imports this package keeps its own folder.
if sys.argv[:1] == ["-m"]:
    sys.excepthook = _end
    if not sys.flags.safe_path:
        del sys.path[0]
