"""A version of a module's code that changes when what its process can import does.

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

    Comments, docstrings and layout do not count, so that a cosmetic edit reruns nothing. Nor does
    the Python that computes it.

    Parameters
    ----------
    module : str
        Dotted name, such as ``msnmo.preprocess.n4``, of what ``python -m`` runs.
    source : Path
        Folder that holds the package.
    chosen : tuple of str
        Dotted names of the modules that are meant where the code imports one by a name that it puts
        together. Without one of them such a name stands for every module that it fits.

    Returns
    -------
    str
        Sixteen hexadecimal digits.

    Raises
    ------
    ModuleNotFoundError
        If there is no such module.
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

    These are the modules that it imports, at the top or within a function, and the packages that
    they lie in; those that it names as text, in full or by how they begin (for `import_module`, or
    as a command). Of a package that a module names, and of its own where it asks for its place,
    data files count: those that it names too, or all of them if it names none.
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
    """Return those of a package's data files that a module names, or all if it names none."""
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
        # an editor's own files have names that nothing imports
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
    """Read a Python file of the package; once, since the rules share most of them."""
    return KEPT.get(kept_as(path, source)) or read_meaning(path, _package(path, source))


KEPT: dict[str, Meaning] = {}
"""What files mean that an earlier run read, by `kept_as`."""


@cache
def kept_as(path: Path, source: Path) -> str:
    """Return a digest of all that a file's meaning follows from, how it is read included."""
    parts = (READER.read_bytes(), _package(path, source).encode(), path.read_bytes())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _package(path: Path, source: Path) -> str:
    return ".".join(path.parent.relative_to(source).parts)


@cache
def file_digest(path: Path, source: Path) -> str:
    """Return a digest of what counts of a file: of a Python file its code, of another its bytes."""
    if path.suffix == ".py":
        return read_code(path, source).digest
    return hashlib.sha256(path.read_bytes()).hexdigest()
