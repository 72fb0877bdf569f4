"""A version of a module's code that changes when the code does, not when its comments do."""

from __future__ import annotations

import ast
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

DATA_ENDINGS = {".css", ".csv", ".jinja", ".js", ".json", ".txt", ".yaml"}


@dataclass(frozen=True)
class Code:
    """What counts of a file.

    Parameters
    ----------
    meaning : str
        A Python file's syntax tree without docstrings, or a data file's text.
    imports : tuple of str
        The modules, and what of them, that it imports.
    """

    meaning: str
    imports: tuple[str, ...]


@cache
def code_version(module: str, source: Path) -> str:
    """Return a digest of a module and of every module of its package that it imports.

    Comments, docstrings and layout do not count, so that a cosmetic edit reruns nothing. The data
    files of its package (templates, reference tables, schemas) do.

    Parameters
    ----------
    module : str
        Dotted name, such as ``msnmo.preprocess.n4``; a package stands for its ``__main__``.
    source : Path
        Folder that holds the package.

    Returns
    -------
    str
        Sixteen hexadecimal digits.
    """
    reached: dict[str, Path] = {}
    _reach(module, source, reached)
    digest = hashlib.sha256()
    for name in sorted(reached):
        digest.update(f"{name}\n{read_code(reached[name]).meaning}\n".encode())
    return digest.hexdigest()[:16]


def _reach(module: str, source: Path, reached: dict[str, Path]) -> None:
    for name, path in _files(module, source):
        if name in reached:
            continue
        reached[name] = path
        for imported in read_code(path).imports:
            if imported.partition(".")[0] == module.partition(".")[0]:
                _reach(imported, source, reached)


def _files(module: str, source: Path) -> list[tuple[str, Path]]:
    """Return the files that importing or running a module reads, its package's included."""
    base = source.joinpath(*module.split("."))
    folder, package = (base, module) if base.is_dir() else (base.parent, module.rpartition(".")[0])
    files = [(module, base.with_suffix(".py")), (f"{package}.__init__", folder / "__init__.py")]
    if folder == base:
        files.append((f"{module}.__main__", folder / "__main__.py"))
    files += [
        (f"{package}/{path.name}", path) for path in folder.glob("*") if path.suffix in DATA_ENDINGS
    ]
    return [(name, path) for name, path in files if path.is_file()]


@cache
def read_code(path: Path) -> Code:
    """Read a file of the package; once, since the rules share most of them."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return Code(text, ())
    tree = ast.parse(text)
    return Code(_meaning(tree), tuple(_imports(tree)))


def _imports(tree: ast.AST) -> list[str]:
    """Return the modules that a file imports, at any depth of the file."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def _meaning(tree: ast.AST) -> str:
    """Return a file's syntax tree; its docstrings are removed."""
    for node in ast.walk(tree):
        documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
    return ast.dump(tree)
