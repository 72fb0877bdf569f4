"""The steps of preprocessing and their commands, run by the rules and by `msnmo.apply`.

It is the one place that has the module, the files and the options of each step. Importing it is
fast, because the workflow does so at each start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True)
class Step:
    """One step: a module of ours, run in a separate process.

    Parameters
    ----------
    module : str
        Within the package.
    inputs, outputs : tuple of str
        Its files. The option of ``image`` is ``--image`` or ``--out-image``.
    perhaps : tuple of str
        Inputs that not every scan has.
    of_scan : tuple of str
        Columns of the scan table that say (yes or no) how the scan arrived.
    section : str
        Section of the config that has the settings.
    settings : mapping of str to str
        For each option, the key of the section.
    environment : mapping of str to str
        Variables of its environment.
    """

    module: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    perhaps: tuple[str, ...] = ()
    of_scan: tuple[str, ...] = ()
    section: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    def options(self, config: Mapping[str, Any], known: Mapping[str, Any]) -> list[str]:
        """Return the words of all options except for files that each scan has.

        Parameters
        ----------
        config : mapping
            With the step's section.
        known : mapping
            The scan's entries of `of_scan` and `perhaps`.
        """
        settings = {name: config[self.section][key] for name, key in self.settings.items()}
        given = {name: known[name] for name in (*self.perhaps, *self.of_scan)} | settings
        return [word for name, value in given.items() for word in _option(name, value)]

    def command(self, files: Mapping[str, object], options: list[str]) -> list[str]:
        """Return the words of the command without the interpreter.

        Parameters
        ----------
        files : mapping of str to path
            Inputs by name, outputs by name with ``out_`` before it.
        options : list of str
            As `options` returns.
        """
        inputs = [word for name in self.inputs for word in (_flag(name), str(files[name]))]
        places = [f"out_{name}" for name in self.outputs]
        outputs = [word for name in places for word in (_flag(name), str(files[name]))]
        return ["-m", f"msnmo.{self.module}", *inputs, *options, *outputs]

    def shell_line(self) -> str:
        """Return the command as a rule's shell line; Snakemake fills in and quotes the files.

        The rule's inputs and outputs have the same names as here. If the step has options, the
        rule's parameter ``options`` holds what `options` returns.
        """
        files = {name: f"{{input.{name}:q}}" for name in self.inputs}
        files |= {f"out_{name}": f"{{output.{name}:q}}" for name in self.outputs}
        has_options = self.perhaps or self.of_scan or self.settings
        words = self.command(files, ["{params.options:q}"] if has_options else [])
        variables = [f"{name}={value}" for name, value in self.environment.items()]
        return " ".join([*variables, "python", *words, "> {log:q} 2>&1"])


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _option(name: str, value: object) -> list[str]:
    """Return an option's words: only its name for True, nothing for False or empty values."""
    if isinstance(value, bool):
        return [_flag(name)] if value else []
    values = list(value) if isinstance(value, list | tuple) else [value]
    return [_flag(name), *map(str, values)] if values else []


STEPS: Mapping[str, Step] = MappingProxyType(
    {
        "skullstrip": Step(
            "preprocess.skullstrip",
            inputs=("flair",),
            outputs=("image", "mask", "sidecar"),
            perhaps=("brain",),
            of_scan=("stripped",),
            section="skull_strip",
            settings={name: name for name in ("engine", "frac", "robust", "implausible")},
            environment={"NO_ET": "1"},  # nipype phones home without
        ),
        "n4": Step(
            "preprocess.n4",
            inputs=("image", "brain"),
            outputs=("image", "sidecar"),
            of_scan=("bias_corrected",),
            section="n4",
            settings={name: name for name in ("shrink", "iterations", "tolerance")},
        ),
        "crop": Step(
            "preprocess.crop",
            inputs=("image", "brain"),
            outputs=("image", "brain", "sidecar"),
        ),
        "resize": Step(
            "preprocess.resize",
            inputs=("image", "brain", "sidecar"),
            outputs=("image", "brain", "sidecar"),
            section="resize",
            settings={"size": "size", "mode": "mode", "order": "image_order", "mask": "mask"},
        ),
        "zscore": Step(
            "preprocess.zscore",
            inputs=("image", "brain", "sidecar"),
            outputs=("image", "sidecar"),
            section="zscore",
            settings={"over": "over"},
        ),
    }
)
"""From head to model space, in order."""
