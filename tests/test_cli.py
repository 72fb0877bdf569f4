"""The command `msnmo`: quick to start, every command and option described, wrong words answered."""

import argparse
import ast
import resource
import statistics
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from msnmo import cli
from msnmo.benchmark.__main__ import PARTS as BENCHMARKS
from msnmo.core.command import CALLED, program
from msnmo.core.errors import bad_input

SOURCE = Path(cli.__file__).parent
HEAVY = {"torch", "ants", "pandas", "nibabel", "numpy", "snakemake", "nipype", "monai"}
CPU_SECONDS = 0.5


@pytest.fixture(autouse=True)
def called():
    """Leave no word of how a module was called to the next test."""
    yield
    CALLED.clear()


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    return left.value.code, capsys.readouterr()


def cpu_seconds(*command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_help_costs_little():
    command = [sys.executable, "-m", "msnmo.cli", "--help"]
    assert statistics.median(cpu_seconds(*command) for _ in range(5)) < CPU_SECONDS


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [(["--help"], set()), (["apply", "--help"], HEAVY - {"torch", "ants", "monai", "nipype"})],
)
def test_help_imports_nothing_that_it_does_not_need(arguments, allowed):
    code = "import atexit, sys; atexit.register(lambda: print('LOADED', *sys.modules)); "
    code += f"from msnmo.cli import main; main({arguments})"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = set(done.stdout.partition("LOADED")[2].split())
    assert "msnmo.cli" in loaded
    assert loaded & (HEAVY - allowed) == set()


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_lists_every_command_with_its_purpose(capsys, arguments):
    code, written = run(capsys, *arguments)
    assert code == 0
    for name, command in cli.COMMANDS.items():
        assert f"  {name}" in written.out
        assert command.purpose in written.out


def test_the_version_is_told(capsys):
    code, written = run(capsys, "--version")
    assert code == 0
    assert written.out.split()[0] == "msnmo"


@pytest.mark.parametrize(
    ("word", "answer"),
    [
        ("aply", "no command 'aply': did you mean `msnmo apply`?"),
        ("Cohort", "did you mean `msnmo cohort`?"),
        ("exprot", "did you mean `msnmo export`?"),
        ("", "no command ''"),
        ("--verison", "no option '--verison'"),
    ],
)
def test_a_wrong_word_is_answered_with_the_nearest_right_one(capsys, word, answer):
    code, written = run(capsys, word)
    assert code == 2
    assert answer in written.err
    assert written.out == ""


@pytest.mark.parametrize("name", [*cli.COMMANDS, *cli.ALIASES])
def test_each_command_helps_under_its_own_name_with_an_example(capsys, name):
    code, written = run(capsys, name, "--help")
    assert code == 0
    assert written.out.startswith(f"usage: msnmo {name} ")
    assert "Example" in written.out


@pytest.mark.parametrize("command", cli.COMMANDS.values(), ids=cli.COMMANDS)
def test_a_module_called_as_one_says_so(capsys, command):
    with pytest.raises(SystemExit):
        command.load()(["--help"])
    assert capsys.readouterr().out.startswith(f"usage: python -m {command.module} ")


class Caught(Exception):  # noqa: N818 - no error: a parser on its way
    """Raised with a command's parser where it would read its arguments."""


def parsers(name, monkeypatch):
    """The parsers of a command, that of each word after it too, as they are when it is called."""

    def catch(parser, *arguments):
        raise Caught(parser)

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", catch)
    command = cli.COMMANDS[cli.ALIASES.get(name, name)]
    CALLED[command.module] = f"msnmo {name}"
    with pytest.raises(Caught) as caught:
        command.load()([])
    waiting = [caught.value.args[0]]
    for part in BENCHMARKS if name == "benchmark" else ():
        module = f"{command.module}.{part}"
        CALLED[module] = f"msnmo {name} {part}"
        with pytest.raises(Caught) as caught:
            import_module(module).main([])
        waiting.append(caught.value.args[0])
    while waiting:
        parser = waiting.pop()
        yield parser
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                waiting += action.choices.values()


@pytest.mark.parametrize("name", [*cli.COMMANDS, *cli.ALIASES])
def test_every_parser_of_a_command_says_its_name_and_describes_each_option(name, monkeypatch):
    found = list(parsers(name, monkeypatch))
    for parser in found:
        assert parser.prog.startswith(f"msnmo {name}"), parser.prog
        assert len(parser.description) > 20
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                assert all(each.help for each in action._choices_actions), parser.prog
            elif action.help != argparse.SUPPRESS:
                told = (action.help or "").split()
                assert len(told) > 1, f"{parser.prog} {action.option_strings or action.dest}"
    names = [parser.prog for parser in found]
    assert len(set(names)) == len(names)
    if name == "cohort":
        assert "msnmo cohort bids" in names
    if name == "benchmark":
        assert len(names) == 1 + len(BENCHMARKS)


@pytest.mark.parametrize(
    "path",
    [path for path in SOURCE.rglob("*.py") if "ArgumentParser(" in path.read_text("utf-8")],
    ids=lambda path: str(path.relative_to(SOURCE)),
)
def test_a_module_that_python_runs_is_called_by_its_own_name(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    module = ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts)
    module = module.removesuffix(".__main__")
    for parser in calls(tree, "ArgumentParser"):
        (own,) = [each.value for each in parser.keywords if each.arg == "prog"]
        assert ast.unparse(own) in (repr(f"python -m {module}"), f"program({module!r})")


def test_exit_codes_are_those_of_the_modules(capsys, monkeypatch):
    def fail(arguments):
        raise bad_input(arguments[0], "b", "c", "d")

    def interrupt(arguments):
        raise KeyboardInterrupt

    module = import_module("msnmo.demo.__main__")
    monkeypatch.setattr(module, "main", fail)
    code, written = run(capsys, "demo", "--a")
    assert code == 1
    assert written.err.startswith("msnmo: error: 1 input problem:\n  --a")
    monkeypatch.setattr(module, "main", interrupt)
    assert run(capsys, "demo")[0] == 130


def test_a_command_has_its_modules_name_unless_it_was_called_otherwise():
    assert program("msnmo.apply") == "python -m msnmo.apply"
    CALLED["msnmo.apply"] = "msnmo apply"
    assert program("msnmo.apply") == "msnmo apply"


def calls(tree, name):
    """The calls of a function or method of that name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = getattr(node.func, "attr", getattr(node.func, "id", None))
            if called == name:
                yield node


def keywords(call):
    return {keyword.arg for keyword in call.keywords}


def modules_with_options():
    for path in sorted(SOURCE.rglob("*.py")):
        if "argparse" in (text := path.read_text(encoding="utf-8")):
            yield pytest.param(ast.parse(text), id=str(path.relative_to(SOURCE)))


@pytest.mark.parametrize("tree", [*modules_with_options()])
def test_every_option_is_described_and_every_parser_says_what_for_and_whose(tree):
    for option in calls(tree, "add_argument"):
        (text,) = [each.value for each in option.keywords if each.arg == "help"]
        assert not isinstance(text, ast.Constant) or len(text.value.strip()) > 1
    for parser in calls(tree, "ArgumentParser"):
        assert keywords(parser) >= {"prog", "description"}
    for subparser in calls(tree, "add_parser"):
        assert keywords(subparser) >= {"help", "description", "epilog"}


@pytest.mark.parametrize("tree", [*modules_with_options()])
def test_a_main_takes_its_arguments_and_hands_them_on(tree):
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    for main in (each for each in functions if each.name == "main"):
        assert main.args.args[0].arg == "arguments"
        assert ast.unparse(main.args.defaults[0]) == "None"
    for parse in calls(tree, "parse_args"):
        assert parse.args, "options are read from the command line, whatever main was given"
