"""What trainings start from, as the config names it, and what of it is refused at planning.

Nothing here imports torch. Whether each tensor fits is seen when a training starts
(`msnmo.train.start`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from msnmo.core.errors import Finding, InputError
from msnmo.core.files import read_json
from msnmo.core.starter import bundle_of_config
from msnmo.settings.config import method_settings
from msnmo.settings.methods import METHODS

COPY_AGAIN = "copy the bundle again from its source"
LEAVE_EMPTY = "or leave it empty to start like the paper"
PER_METHOD = (
    "name it only for methods that it fits (method_settings.<method>.train.start_from), "
    f"{LEAVE_EMPTY}"
)


def start_of(config: Mapping[str, Any], name: str) -> str:
    """Return the path of the weights that a method's trainings start from, or nothing."""
    own = config["method_settings"].get(name, {}).get("train", {})
    return bundle_of_config(own.get("start_from", config["train"]["start_from"]))


def refuse_starts(config: Mapping[str, Any]) -> None:
    """Refuse weights that are not there or fit no network of theirs, before anything is done.

    Raises
    ------
    InputError
        Names all of them: keys, paths and methods.
    """
    findings: list[Finding] = []
    for name in config["methods"]:
        if path := start_of(config, name):
            findings += _misfits(config, name, Path(path)) if Path(path).exists() else [_gone(path)]
    if findings:
        raise InputError(dict.fromkeys(findings))


def _gone(path: str) -> Finding:
    return Finding(
        "config: train.start_from",
        "the folder of a bundle, or a file of weights (safetensors)",
        f"{path}: no such file or folder",
        f"correct the path, {LEAVE_EMPTY}",
    )


def _misfits(config: Mapping[str, Any], name: str, path: Path) -> Iterator[Finding]:
    """Yield why a bundle fits no network of a method, if that is so.

    The joint model and its variants share their settings, and take each other's tensors if they are
    equally wide. The tensors of other networks have other names.
    """
    given = _network_of(path / "bundle.json")
    if given is None:
        return
    method, width = given
    wanted = method_settings(config, name)["model"].get("base_channels")
    if METHODS[method].settings is not METHODS[name].settings:
        yield Finding(
            f"config: train.start_from, of {name}",
            "weights of a network of the same kind",
            f"{path}: weights of {method}",
            PER_METHOD,
        )
    elif width != wanted:
        yield Finding(
            f"config: model.base_channels, of {name}",
            f"{width}, as in the weights to start from ({path})",
            f"{wanted}",
            f"set model.base_channels: {width}; or leave train.start_from empty",
        )


def _network_of(description: Path) -> tuple[str, int | None] | None:
    """Return the method of a bundle and its width, or None if that is not told.

    Whether a bundle is sound is seen when it is read as a whole.
    """
    if not description.is_file():
        return None
    content = read_json(description, COPY_AGAIN)
    try:
        method = str(content["method"])
        width = content["folds"][0]["settings"]["model"].get("base_channels")
    except (AttributeError, IndexError, KeyError, TypeError):
        return None
    return (method, width) if method in METHODS else None
