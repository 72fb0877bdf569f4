"""What a Python file means and what it may import, the same from every Python that reads it.

The meaning is the syntax tree without docstrings. `ast.dump` will not do: Python 3.12 gave
functions a field, 3.13 leaves empty fields out, and each knows other characters as printable. Here
fields go by name, empty ones and empty text are left out, and a string's characters are escaped.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

IMPORTERS = frozenset({"import_module", "__import__", "run_module"})
"""Functions that import the module that their first argument names."""
OWN_PACKAGE = frozenset({"__file__", "__package__"})
"""What a module finds the files beside it by."""
DATA_ENDINGS = (".css", ".csv", ".jinja", ".js", ".json", ".txt", ".yaml")
ANY = "*"
LEFT_OUT = frozenset({"ctx", "type_comment", "type_ignores"})
"""Fields of a tree that follow from others, or are for type checkers."""


@dataclass(frozen=True)
class Meaning:
    """What counts of a Python file.

    Parameters
    ----------
    digest : str
        Of its code; comments, docstrings and layout do not count.
    imports : frozenset of str
        The dotted names that its import statements give, at any depth.
    named : frozenset of str
        The dotted names that it gives as text, so that it may import them or read their data. One
        that ends in `*` stands for all that begin so.
    data : frozenset of str
        The names of data files that it gives as text; `*` stands for what it puts in.
    """

    digest: str
    imports: frozenset[str]
    named: frozenset[str]
    data: frozenset[str]


def read_meaning(path: Path, package: str) -> Meaning:
    """Return what a Python file means.

    Parameters
    ----------
    path : Path
    package : str
        Dotted name of the package that it is in: relative imports start there, and only names that
        begin with the first part of it are given.

    Raises
    ------
    SyntaxError
        Naming the file, if it is not Python.
    """
    reader = _Reader(package)
    reader.read(ast.parse(path.read_bytes(), str(path)))
    digest = hashlib.sha256("\n".join(reader.written).encode()).hexdigest()
    imports, named = reader.of_root(reader.imports), reader.of_root(reader.named)
    return Meaning(digest, imports, named, frozenset(reader.data))


class _Reader:
    """Goes through a tree once; writes what it means and notes the names of modules.

    Parameters
    ----------
    package : str
        Dotted name of the package that the file is in.
    """

    def __init__(self, package: str):
        self.package = package
        self.root = package.partition(".")[0]
        self.written: list[str] = []
        self.imports: set[str] = set()
        self.named: set[str] = set()
        self.data: set[str] = set()
        self.special: Mapping[type, Callable[[Any], None]] = {
            list: self.read_list,
            ast.Constant: self.read_constant,
            ast.JoinedStr: self.read_f_string,
            ast.Name: self.read_name,
            ast.Call: self.read_call,
            ast.If: self.read_if,
            ast.Import: self.read_import,
            ast.ImportFrom: self.read_import_from,
        }

    def of_root(self, names: set[str]) -> frozenset[str]:
        """Return the names that are of the root package."""
        return frozenset(name for name in names if f"{name}.".startswith(f"{self.root}."))

    def read(self, value: object) -> None:
        """Read a node of the tree, a list of them, or what a node holds."""
        read = self.special.get(type(value))
        if read is not None:
            read(value)
        elif isinstance(value, ast.AST):
            self.read_node(value)
        else:
            self.written.append(_write(value))

    def read_node(self, node: ast.AST) -> None:
        """Read a node; fields go by name, empty ones are left out."""
        kind = type(node)
        self.written.append(kind.__name__)
        for field in _fields(kind.__name__):
            content = getattr(node, field, None)
            # a body of docstrings alone is as one without
            if field == "body" or (content is not None and content != []):
                self.written.append(field)
                self.read(content)
        self.written.append(")")

    def read_list(self, values: list[ast.AST]) -> None:
        """Read a list; text that stands alone is a docstring, of a module or of what is above."""
        self.written.append("[")
        for value in values:
            if not (type(value) is ast.Expr and _is_text(value.value)):
                self.read(value)
        self.written.append("]")

    def read_constant(self, node: ast.Constant) -> None:
        """Read a constant; text may name a module or a file."""
        # told apart from the None that stands for nothing in a list
        self.written.append(f"Constant {_write(node.value)}")
        if isinstance(node.value, str):
            self.named.update(_dotted(node.value))
            self.data.update(_data(node.value))

    def read_f_string(self, node: ast.JoinedStr) -> None:
        """Read an f-string; it may begin a module's name or end a file's."""
        self.written.append("JoinedStr")
        for value in node.values:
            if type(value) is not ast.Constant:
                self.read(value)
            elif value.value:  # Python 3.12 has empty text between some values
                self.written.append(_write(value.value))
        self.written.append(")")
        text = _pattern(node)
        start, puts_in, _ = text.partition(ANY)
        self.named.update(f"{name}{puts_in}" for name in _dotted(start))
        self.data.update(_data(text))

    def read_name(self, node: ast.Name) -> None:
        """Read a name; a module that asks for its own place may read files there."""
        self.written.append(f"Name {node.id}")
        if node.id in OWN_PACKAGE:
            self.named.add(self.package)

    def read_call(self, node: ast.Call) -> None:
        """Read a call; what is imported by a name that is not written here may be any module."""
        self.read_node(node)
        if _last_name(node.func) in IMPORTERS and not _tells_module(node):
            self.named.add(f"{self.root}.{ANY}")

    def read_if(self, node: ast.If) -> None:
        """Read a condition; of one for type checkers only what a run does."""
        if _last_name(node.test) == "TYPE_CHECKING":
            for each in node.orelse:
                self.read(each)
        else:
            self.read_node(node)

    def read_import(self, node: ast.Import) -> None:
        """Read an import."""
        self.read_node(node)
        self.imports.update(alias.name for alias in node.names)

    def read_import_from(self, node: ast.ImportFrom) -> None:
        """Read an import; what it takes from a module may be a module too."""
        self.read_node(node)
        parents = self.package.split(".")
        above = parents[: len(parents) + 1 - node.level] if node.level else []
        module = ".".join([*above, *filter(None, [node.module])])
        self.imports.update([module, *(f"{module}.{alias.name}" for alias in node.names)])


def _is_text(node: ast.AST | None) -> bool:
    return type(node) is ast.Constant and type(node.value) is str


def _last_name(node: ast.expr) -> str:
    """Return the last part of a name; empty for what is not one."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _tells_module(call: ast.Call) -> bool:
    """Say whether a call's first argument begins with text, and not with a relative name."""
    return not _pattern(call.args[0] if call.args else None).startswith((ANY, "."))


def _dotted(text: str) -> list[str]:
    """Return text that is a dotted name or the beginning of one; none otherwise."""
    parts = text.split(".")
    return [text] if all(part.isidentifier() for part in [*parts[:-1], parts[-1] or "x"]) else []


def _data(text: str) -> list[str]:
    return [text] if text.endswith(DATA_ENDINGS) else []


def _pattern(node: ast.expr | None) -> str:
    """Return a text with `*` for what it puts in; `*` for what is no text."""
    if isinstance(node, ast.JoinedStr):
        return "".join(_pattern(value) for value in node.values)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return ANY


def _write(value: object) -> str:
    # the decimal digits of a long integer are refused, and `repr` asks the tables of Unicode
    text = hex(value) if type(value) is int else ascii(value)
    return f"{type(value).__name__} {text}"


@cache
def _fields(kind: str) -> tuple[str, ...]:
    return tuple(sorted(set(getattr(ast, kind)._fields) - LEFT_OUT))
