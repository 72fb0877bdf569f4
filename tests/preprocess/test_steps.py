"""The steps' commands: what their modules take, in rules and in `msnmo.apply` alike."""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from snakemake.iocontainers import Namedlist
from snakemake.utils import format as fill_in

from msnmo.preprocess.steps import STEPS, Step

ROOT = Path(__file__).parents[2]
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
KNOWN = {"brain": ["a brain's.nii"], "stripped": "no", "bias_corrected": "yes"}
HOSTILE = """it's "a" $(touch x) `b` ; é 脳.nii.gz"""


class Reached(Exception):  # noqa: N818 - no error
    """A module's parser, before it parses."""


@pytest.fixture(params=STEPS)
def step(request: pytest.FixtureRequest) -> Step:
    return STEPS[request.param]


def parser_of(module: str, monkeypatch: pytest.MonkeyPatch) -> argparse.ArgumentParser:
    def stop(parser: argparse.ArgumentParser, arguments: object = None) -> None:
        raise Reached(parser)

    name = f"msnmo.{module}"
    if (ROOT / "src" / name.replace(".", "/")).is_dir():
        name += ".__main__"
    main = import_module(name).main
    with monkeypatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", stop)
        with pytest.raises(Reached) as reached:
            main([])
    return reached.value.args[0]


def files_of(step: Step, name: str) -> dict[str, str]:
    places = [*step.inputs, *(f"out_{output}" for output in step.outputs)]
    return {place: f"/{place} {name}" for place in places}


def test_a_step_gives_every_option_of_its_module(
    step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that no default of a module decides in the place of the config."""
    parser = parser_of(step.module, monkeypatch)
    taken = {text for action in parser._actions for text in action.option_strings}
    taken -= {"-h", "--help"}
    words = step.command(files_of(step, "x"), step.options(CONFIG, KNOWN))
    given = {word for word in words[2:] if word.startswith("--")}
    # a switch that is off is not given
    assert taken - given == ({"--robust"} if step is STEPS["skullstrip"] else set())
    assert given <= taken


def test_its_module_understands_the_values(step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    words = step.command(files_of(step, HOSTILE), step.options(CONFIG, KNOWN))
    given = vars(parser_of(step.module, monkeypatch).parse_args(words[2:]))
    for place, path in files_of(step, HOSTILE).items():
        assert given[place] == Path(path)
    for name, key in step.settings.items():
        assert given[name] == CONFIG[step.section][key]
    for name in step.of_scan:
        assert given[name] == KNOWN[name]


def test_the_shell_line_gives_the_words_of_the_command(step: Step) -> None:
    files, options = files_of(step, HOSTILE), step.options(CONFIG, KNOWN)
    line = fill_in(
        step.shell_line(),
        input=Namedlist(fromdict={name: files[name] for name in step.inputs}),
        output=Namedlist(fromdict={name: files[f"out_{name}"] for name in step.outputs}),
        params=Namedlist(fromdict={"options": options}),
        log=Namedlist([HOSTILE]),
    )
    variables = [f"{name}={value}" for name, value in step.environment.items()]
    words = [*variables, "python", *step.command(files, options), ">", HOSTILE, "2>&1"]
    assert shlex.split(line) == words


def test_each_step_is_a_rule_that_runs_it_and_knows_its_code() -> None:
    text = "".join(
        (ROOT / f"workflow/rules/{name}.smk").read_text() for name in ("preprocess", "model_space")
    )
    assert re.findall(r'command\("(\w+)"\)', text) == list(STEPS)
    for name, step in STEPS.items():
        (rule,) = [part for part in text.split("\nrule ") if f'command("{name}")' in part]
        assert f'code=code("{step.module}")' in rule
        assert (f'options=options("{name}")' in rule) == bool(step.section)


def test_switches_lists_and_what_a_scan_lacks() -> None:
    step = Step("m", (), (), ("brain",), section="s", settings={"on": "a", "off": "b", "many": "c"})
    config = {"s": {"a": True, "b": False, "c": [1, 2.5e-7]}}
    assert step.options(config, {"brain": []}) == ["--on", "--many", "1", "2.5e-07"]


def test_importing_the_list_imports_no_numpy() -> None:
    code = "import msnmo.preprocess.steps, sys; sys.exit('numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
