"""The fixtures of bundles, which tests of what applies them share."""

import sys
from pathlib import Path

# pytest imports test modules one by one: modules that several of them share are found by folder
sys.path.insert(0, str(Path(__file__).parent))

from made import bundle, config, export_bundle, training  # noqa: F401
