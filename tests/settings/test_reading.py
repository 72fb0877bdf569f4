"""A config is data in a file: all else is refused at once, in words."""

import os

import pytest

from msnmo.core.errors import InputError
from msnmo.settings.reading import EXPECTED, MOST_VALUES, read_config


def of_aliases(first, each):
    """Some 30 lines whose last stands for a billion values."""
    lines = [f"a{n}: &a{n} " + each.format(f"*a{n - 1}", f"*a{n - 1}") for n in range(1, 30)]
    return "\n".join([f"a0: &a0 {first}", *lines])


REFUSED = {
    "lists too deep": ("[" * 10_000, "too deep"),
    "JSON too deep": ('{"a": ' * 10_000, "too deep"),
    "an object of Python": ("seed: !!python/object/apply:os.getpid []\n", "line 1"),
    "a template": ("__use_yte__: true\n?print(1): 2\n", "__use_yte__"),
    "a template in JSON": ('{"__use_yte__": true}', "__use_yte__"),
    "aliases of sections": (of_aliases("{k: 1}", "{{k: {}, l: {}}}"), f"{MOST_VALUES} values"),
    "aliases of lists": (of_aliases("[1]", "[{}, {}]"), f"{MOST_VALUES} values"),
    "merges": (of_aliases("{k: 1}", "{{<<: [{}, {}]}}"), f"{MOST_VALUES} values"),
    "an alias of itself": ("a: &a {b: *a}\n", f"{MOST_VALUES} values"),
    "a tab": ("a:\n\tb: 1\n", "line 2"),
    "two documents": ("a: 1\n---\nb: 2\n", "another document, line 2"),
    "a date that is none": ("seed: 2024-13-41\n", "month must be in 1..12"),
    "a list": ("- 1\n", "a list, without keys"),
    "nothing": ("\n", "nothing, without keys"),
}


@pytest.mark.parametrize(("text", "found"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_data_is_refused_with_a_remedy(tmp_path, text, found):
    path = tmp_path / "my.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as refused:
        read_config(path, "correct the path")
    (finding,) = refused.value.findings
    assert (finding.file, finding.expected) == (str(path), EXPECTED)
    assert found in finding.found
    assert finding.remedy


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (os.mkfifo, "a pipe, socket or device"),
        (lambda path: path.symlink_to("/dev/zero"), "a pipe, socket or device"),
        (lambda path: path.mkdir(), "a folder"),
        (lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
        (lambda path: None, "No such file or directory"),
    ],
    ids=["a pipe", "an endless device", "a folder", "a link to itself", "nothing"],
)
def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path, make, found):
    path = tmp_path / "my.yaml"
    make(path)
    with pytest.raises(InputError, match=found):
        read_config(path, "correct the path")


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("seed: 1\n", {"seed": 1}),
        ('{\n\t"seed": 1\n}', {"seed": 1}),
        ("a: &a {k: [1]}\nb: *a\n", {"a": {"k": [1]}, "b": {"k": [1]}}),
        ("a: &a {k: 1}\nb: {<<: *a, l: 2}\n", {"a": {"k": 1}, "b": {"k": 1, "l": 2}}),
        ("p: 1.0e-4\nq: no\n", {"p": 1.0e-4, "q": False}),
    ],
)
def test_data_is_read_as_it_stands(tmp_path, text, content):
    path = tmp_path / "my.yaml"
    path.write_text(text)
    assert read_config(path, "correct the path") == content
