"""Config files read as data: no pipe is waited for, no Python is run, no alias goes on for ever."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import yaml

from msnmo.core.errors import bad_input

EXPECTED = "a config file, YAML"
TEMPLATE = "__use_yte__"
"""The key by which Snakemake takes a file for a template, whose expressions are Python."""
MOST_VALUES = 100_000
"""In a config: aliases can make a billion of a few lines, which YAML or Snakemake go through."""


class _Wrong(ValueError):  # noqa: N818 - said of the file
    """What was found in the place of a config, and the remedy."""

    def __init__(self, found: str, remedy: str):
        super().__init__(found)
        self.found, self.remedy = found, remedy


def read_config(path: Path, if_gone: str) -> dict[str, Any]:
    """Return the content of a config file: what stands in it, nothing checked but that it is data.

    Parameters
    ----------
    path : Path
        In YAML or JSON, the formats of Snakemake.
    if_gone : str
        The remedy where no file is there or it cannot be opened.

    Raises
    ------
    InputError
        If it is no file, no text in these formats, or more than data: it has objects of Python,
        is a template, or its aliases stand for more than `MOST_VALUES` values.
    """
    try:
        _refuse_other_than_file(path)
        return _data(path.read_text(encoding="utf-8"))
    except OSError as error:
        found, remedy = error.strerror or str(error), if_gone
    except UnicodeDecodeError:
        found, remedy = "bytes that are no UTF-8", "save it as UTF-8 text"
    except RecursionError:
        found, remedy = "lists or sections within each other, too deep to read", "remove them"
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        found = f"{getattr(error, 'problem', None) or error}{where}"
        remedy = "correct that line; indent by spaces, no tabs"
    except _Wrong as wrong:
        found, remedy = wrong.found, wrong.remedy
    except ValueError as error:  # a date or number that is none
        found, remedy = str(error), "correct that value"
    raise bad_input(path, EXPECTED, found, remedy)


def _refuse_other_than_file(path: Path) -> None:
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        remedy = "give the path of a file; with snakemake, write no target behind --configfile"
        raise _Wrong("a folder", remedy)
    if not stat.S_ISREG(mode):
        # Snakemake reads twice, which a pipe does not allow, and some devices never end
        remedy = "write its content to a file and give that file"
        raise _Wrong("a pipe, socket or device", remedy)


def _data(text: str) -> dict[str, Any]:
    content = _parse(text)
    if not isinstance(content, dict):
        found = "nothing" if content is None else f"a {type(content).__name__}"
        remedy = "write keys as config.yaml does, each with its value"
        raise _Wrong(f"{found}, without keys", remedy)
    if TEMPLATE in content:
        remedy = f"write values out, without {TEMPLATE}"
        raise _Wrong(f"{TEMPLATE}, by which it may hold Python", remedy)
    return content


def _parse(text: str) -> Any:
    """Return the content of a text in JSON, which Snakemake tries first, or in YAML.

    JSON with tabs is no YAML. YAML's tags that name objects of Python are refused.
    """
    try:
        return json.loads(text)
    except ValueError:
        pass
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        _refuse_endless(node)
        return None if node is None else loader.construct_document(node)
    finally:
        loader.dispose()


def _refuse_endless(node: yaml.Node | None) -> None:
    """Refuse more values than `MOST_VALUES`, where each alias stands for values of its own."""
    waiting, count = [node], 0
    while waiting:
        each = waiting.pop()
        count += 1
        if count > MOST_VALUES:
            found = f"more than {MOST_VALUES} values, its aliases (*name) written out"
            raise _Wrong(found, "remove values or aliases")
        if isinstance(each, yaml.MappingNode):
            waiting += [value for _, value in each.value]
        elif isinstance(each, yaml.SequenceNode):
            waiting += each.value
