"""One environment of templates: what is not given is an error, and HTML is escaped."""

from pathlib import Path

import pytest
from jinja2 import UndefinedError

import msnmo
from msnmo.core.templates import templates

SOURCE = Path(msnmo.__file__).parent


def test_every_template_compiles_in_its_room():
    paths = [path for path in SOURCE.rglob("*.jinja") if not path.name.endswith(".tex.jinja")]
    assert len(paths) > 8
    for path in paths:
        room = ".".join(("msnmo", *path.parent.relative_to(SOURCE).parts))
        environment = templates("msnmo.viewing", room)
        environment.filters |= {"pipe_table": str, "abbreviations": list, "number": str}
        assert environment.get_template(path.name).name == path.name


def test_a_name_that_nobody_gives_is_an_error():
    with pytest.raises(UndefinedError):
        templates("msnmo.check").get_template("findings.html.jinja").render()


def test_html_alone_is_escaped():
    html = templates("msnmo.check").get_template("findings.html.jinja")
    assert html.environment.autoescape("a.html.jinja")
    assert not html.environment.autoescape("card.md.jinja")


def test_no_room_makes_an_environment_of_its_own():
    makers = [path for path in SOURCE.rglob("*.py") if " Environment(" in path.read_text("utf-8")]
    assert makers == [SOURCE / "core/templates.py"]
