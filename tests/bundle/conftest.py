"""The fixtures of bundles, which tests of what applies them share."""

from tests.bundle.made import bundle, config, make_bundle, training  # noqa: F401
