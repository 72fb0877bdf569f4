"""Write the JSON Schema and the reference page of the config, generated from its models.

python -m msnmo.settings.reference schema > workflow/schemas/config.schema.yaml
python -m msnmo.settings.reference page > docs/reference-config.md
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from msnmo.core.errors import run_command
from msnmo.settings.config import Config
from msnmo.settings.findings import in_words, keys_of
from msnmo.settings.methods import METHODS, Method, ModelSettings

GENERATED = "Generated from src/msnmo/settings by `python -m msnmo.settings.reference {}`."
HEAD = """# Reference: the config

Every key has the default shown here unless your own file says otherwise. Give only what differs
(`--configfile my.yaml`). [config.yaml](../config.yaml) shows the same as YAML. In the last column,
*paper* marks what Huang et al. 2024 state, and *ours* what they leave open. Where nothing stands,
the key is about this software.

A key that is not listed is refused. So is a value of another type: `"32"` is no number, and `true`
is none. NaN and infinity are refused, too. Write small numbers as `1.0e-4`: YAML reads `1e-4` as
text. All that is wrong of a config is told at once.

## Paths

`~` and `~user` at the start of a path are home folders. `$NAME` and `${NAME}` anywhere are
variables of the environment. One that is not set is an error. The same holds in scan tables and in
options of commands. There, a file that is there just as it is written is taken so. A slash at the
end is of no consequence. Refused are braces, control characters, a dash at the start, and a file
where `results` is to be a folder.

Relative paths in the config (`scans`, `results`, `decisions`, `apply.bundle`) are relative to
the folder that Snakemake works in: where it is started, or `--directory`. Relative paths in a
scan table are relative to the table's folder. Those in options are relative to where the command
is started.
"""
METHOD_SETTINGS = """## `method_settings`

Settings of a single method: `method_settings.<method>.<section>.<key>`, with the sections `train`,
`augment`, `model` and, for methods of both tasks, `loss`. They override the sections above, and a
change retrains only that method. The keys of `train`, `augment` and `loss` are those above. The
keys of `model` are those of its network:
"""
COLUMNS = ("key", "value", "default", "meaning", "from")


def schema() -> str:
    """Return the JSON Schema of the config as YAML."""
    rules = {"$schema": "https://json-schema.org/draft/2020-12/schema"} | Config.rules()
    text = yaml.safe_dump(rules, sort_keys=False, allow_unicode=True, width=120)
    return f"# {GENERATED.format('schema')}\n{text}"


def page() -> str:
    """Return the reference page of the config as Markdown."""
    keys = dict(keys_of(Config.rules()))
    plain = {name: node for name, node in keys.items() if "." not in name}
    sections = dict.fromkeys(name.partition(".")[0] for name in keys if "." in name)
    parts = [f"<!-- {GENERATED.format('page')} -->\n", HEAD]
    parts.append("## Keys of no section\n\n" + _table(plain))
    for section in sections:
        parts.append(METHOD_SETTINGS if section == "method_settings" else _section(section, keys))
        if section == "method_settings":
            parts += _networks()
    return "\n".join(parts)


def _section(section: str, keys: Mapping[str, Mapping[str, Any]]) -> str:
    own = {name: node for name, node in keys.items() if name.startswith(f"{section}.")}
    meaning = Config.model_fields[section].description
    return f"## `{section}`\n\n{str(meaning).capitalize()}.\n\n{_table(own)}"


def _networks() -> Iterator[str]:
    """Yield a table for each kind of network, with the methods that use it."""
    kinds: dict[Any, list[Method]] = {}
    for method in METHODS.values():
        kinds.setdefault(method.settings, []).append(method)
    for kind, methods in kinds.items():
        names = ", ".join(f"`{method.name}`" for method in methods)
        if kind is ModelSettings:
            yield f"### {names}\n\nThe keys of the section `model`, which they override.\n"
            continue
        yield f"### {names}\n\n{kind.__doc__}\n\n{_table(dict(keys_of(kind.rules())))}"


def _table(keys: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [COLUMNS, tuple("---" for _ in COLUMNS)]
    for name, node in keys.items():
        cells = (
            f"`{name}`",
            in_words(node),
            f"`{_as_yaml(node['default'])}`",
            node["description"],
            node.get("origin", ""),
        )
        rows.append(tuple(cell.replace("|", "\\|") for cell in cells))
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _as_yaml(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=float("inf"))
    return text.strip().removesuffix("...").strip()


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the schema or the page."""
    parser = argparse.ArgumentParser(
        prog="python -m msnmo.settings.reference",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=("schema", "page"), help="what to print")
    given = parser.parse_args(arguments)
    print({"schema": schema, "page": page}[given.what](), end="")


if __name__ == "__main__":
    run_command(main)
