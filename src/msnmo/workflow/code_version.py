"""A version of a module's code. It changes when code or data that its process can import changes.

Only the standard library is used, so that any Python can compute it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from msnmo.workflow import meaning as reader
from msnmo.workflow.meaning import ANY, DATA_ENDINGS, Meaning, read_meaning

READER = Path(reader.__file__)


@cache
def code_version(module: str, source: Path, chosen: tuple[str, ...] = ()) -> str:
    """Return a digest of all of the package that a module's process can import or read.

    Comments, docstrings and layout do not count, so a cosmetic edit reruns nothing. The Python that
    computes it does not matter either.

    Parameters
    ----------
    module : str
        Dotted name of the module that ``python -m`` runs, such as ``msnmo.preprocess.n4``.
    source : Path
        Folder that holds the package.
    chosen : tuple of str
        Dotted names of the modules that are meant if the code imports one by a name that it builds.
        If none of them fits, such a name means every module that it fits.

    Returns
    -------
    str
        Sixteen hexadecimal digits.

    Raises
    ------
    ModuleNotFoundError
        If the module does not exist.
    """
    digest = hashlib.sha256()
    for path in files_of(module, source, chosen):
        name = path.relative_to(source).as_posix()
        digest.update(f"{name} {file_digest(path, source)}\n".encode())
    return digest.hexdigest()[:16]


def reads(name: str, module: str, source: Path, chosen: tuple[str, ...] = ()) -> bool:
    """Return whether a module's process can import the module `name`; the others as above."""
    return modules_of(name.partition(".")[0], source)[name] in files_of(module, source, chosen)


@cache
def files_of(module: str, source: Path, chosen: tuple[str, ...] = ()) -> tuple[Path, ...]:
    """Return the files of the package that a module's process can import or read, sorted.

    These are the modules that it imports, at the top or within a function, with their packages; and
    modules that it names as text, in full or by their beginning (for `import_module`, or as a
    command). Data files count too, in packages that a module names and in its own package if it
    asks for its place: the files that it names, or all if it names none.
    """
    modules = modules_of(module.partition(".")[0], source)
    start = f"{module}.__main__" if f"{module}.__main__" in modules else module
    for name in (start, *chosen):
        if name not in modules:
            raise ModuleNotFoundError(f"no module {name} in {source}")
    files: set[Path] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name not in modules or modules[name] in files:
            continue
        files.add(modules[name])
        meaning = read_code(modules[name], source)
        named = {each for text in meaning.named for each in _meant(text, modules, chosen)}
        files.update(*(_read(data_of(each, source), meaning) for each in named))
        waiting += [*meaning.imports, *named, *_packages((name, *meaning.imports, *named))]
    return tuple(sorted(files))


def _meant(text: str, modules: Mapping[str, Path], chosen: tuple[str, ...]) -> list[str]:
    """Return the modules that a dotted name stands for, or one that ends in `*`."""
    if not text.endswith(ANY):
        return [text]
    fitting = [name for name in modules if name.startswith(text.removesuffix(ANY))]
    return [name for name in chosen if name in fitting] or fitting


def _read(data: tuple[Path, ...], meaning: Meaning) -> set[Path]:
    """Return the data files of a package that a module names, or all if it names none."""
    found = {path for path in data if any(fnmatchcase(path.name, name) for name in meaning.data)}
    if not found:
        return set(data)
    templates = [path.read_text(encoding="utf-8") for path in found if path.suffix == ".jinja"]
    return found | {path for path in data if any(path.name in text for text in templates)}


def _packages(names: Iterable[str]) -> Iterator[str]:
    """Return the packages that names lie in: Python imports them first."""
    for name in names:
        while name := name.rpartition(".")[0]:
            yield name


@cache
def modules_of(package: str, source: Path) -> Mapping[str, Path]:
    """Return the file of every module of a package and of the packages in it, by dotted name."""
    modules = {}
    for path in sorted(source.joinpath(package).rglob("*.py")):
        parts = path.relative_to(source).with_suffix("").parts
        # nothing imports the names of an editor's own files
        if all(part.isidentifier() for part in parts):
            modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return modules


@cache
def data_of(package: str, source: Path) -> tuple[Path, ...]:
    """Return the data files beside the modules of a package: templates, tables, schemas."""
    beside = source.joinpath(*package.split(".")).glob("*")
    return tuple(path for path in beside if path.name.endswith(DATA_ENDINGS) and path.is_file())


@cache
def read_code(path: Path, source: Path) -> Meaning:
    """Read a Python file of the package. It is read once, as the rules share most files."""
    return KEPT.get(kept_as(path, source)) or read_meaning(path, _package(path, source))


KEPT: dict[str, Meaning] = {}
"""Meanings of files that an earlier run read, by `kept_as`."""


@cache
def kept_as(path: Path, source: Path) -> str:
    """Return a digest of all that determines a file's meaning, including how it is read."""
    parts = (READER.read_bytes(), _package(path, source).encode(), path.read_bytes())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _package(path: Path, source: Path) -> str:
    return ".".join(path.parent.relative_to(source).parts)


@cache
def file_digest(path: Path, source: Path) -> str:
    """Return a digest of a file: of the code of a Python file, of the bytes of another file."""
    if path.suffix == ".py":
        return read_code(path, source).digest
    return hashlib.sha256(path.read_bytes()).hexdigest()
