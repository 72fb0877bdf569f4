"""Fresh networks."""

from torch import nn

from msnmo.settings.config import complete_config, method_settings
from msnmo.settings.methods import get_method
from msnmo.settings.training import Settings
from msnmo.train.job import Job
from msnmo.train.loop import fresh_model


def network_of(method: str, size: int = 96) -> nn.Module:
    """Return a method's network with the default settings."""
    settings = Settings.from_mapping(
        method_settings(complete_config({"model": {"base_channels": 16}}), method),
        get_method(method),
    )
    return fresh_model(Job(method, 0, 1, settings), (size,) * 3, [0, 1])
