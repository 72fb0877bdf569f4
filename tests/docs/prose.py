"""How long sentences of Markdown pages are: `python -m tests.docs.prose README.md docs/*.md`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

LONG = 25
"""Words above which a sentence is called long."""
FENCE = re.compile(r"^ {0,12}(`{3,}|~{3,}).*?^ *\1[`~]*$", re.MULTILINE | re.DOTALL)
END = re.compile(r"(?<=[.!?])[*_)\"']*\s+(?=[*_(\"']*[A-Z0-9`\[<])")
LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)|<(https?://[^>]*)>")


def paragraphs(page: str) -> list[str]:
    """Return the running text of a page: no code, table, heading, picture or comment."""
    page = re.sub(r"<!--.*?-->", "", FENCE.sub("", page), flags=re.DOTALL)
    found: list[list[str]] = [[]]
    listed = False
    for line in page.splitlines():
        text = line.strip()
        item = re.match(r"([-*]|\d+\.)\s", text)
        listed = bool(item) or (listed and bool(text) and line.startswith(" "))
        code = line.startswith("    ") and not listed
        if not text or code or text.startswith(("|", "#", "![", "---", ":::")):
            found.append([])
            listed = listed and not text.startswith(("|", "#"))
            continue
        if item:
            found.append([])
            text = text[item.end() :]
        found[-1].append(text)
    return [" ".join(lines) for lines in found if lines]


def sentences(page: str) -> list[str]:
    """Return the sentences of a page's running text; a link counts as its words, code as one."""
    text = [LINK.sub(r"\1", re.sub(r"`[^`]*`", "`code`", each)) for each in paragraphs(page)]
    return [sentence for each in text for sentence in END.split(each) if sentence.strip()]


def long_share(page: str) -> tuple[int, int]:
    """Return how many sentences have more than `LONG` words, and how many there are."""
    found = sentences(page)
    return sum(len(each.split()) > LONG for each in found), len(found)


def main() -> None:
    """Print the share of long sentences of each page that is named, and of all."""
    counts = []
    for name in sys.argv[1:]:
        counts.append(long_share(Path(name).read_text(encoding="utf-8")))
        print(f"{name}: {counts[-1][0]} of {counts[-1][1]}")
    long, total = (sum(each) for each in zip(*counts, strict=True))
    print(f"together: {long} of {total} sentences over {LONG} words ({100 * long / total:.1f} %)")


if __name__ == "__main__":
    main()
