"""What is generated from the models is what lies in the repository."""

from pathlib import Path

import pytest

from msnmo.settings.reference import main

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("what", "file"),
    [("schema", "workflow/schemas/config.schema.yaml"), ("page", "docs/reference-config.md")],
)
def test_committed_files_are_those_that_are_generated(what, file, capsys):
    main([what])
    command = f"run: python -m msnmo.settings.reference {what} > {file}"
    assert capsys.readouterr().out == (ROOT / file).read_text(encoding="utf-8"), command


def test_the_page_has_every_key_with_rule_default_meaning_and_origin(capsys):
    main(["page"])
    page = capsys.readouterr().out
    assert (
        "| `train.learning_rate` | a number above 0 and below 1 | `0.0001` | "
        "Adam's learning rate at the start | paper |" in page
    )
    assert "| `n4.tolerance` | a number from 0 to 1 | `1.0e-07` |" in page
    assert "| `feature_size` | a multiple of 12 from 12 to 768 | `24` |" in page
