"""Joint lesion segmentation and MS / NMOSD classification of T2-FLAIR MRI."""

import sys

# `python -m msnmo.apply` makes the working folder the first place of libraries: a `pandas.py` that
# lies there, such as in a bundle, would run. argv[0] is "-m" only while Python looks for the module
# that it is to run, so that a script or notebook that imports this package keeps its own folder.
if sys.argv[:1] == ["-m"] and not sys.flags.safe_path:
    del sys.path[0]
