"""Read what JSON files say of images: which image a mask belongs to, and whether it is simulated.

Files higher up apply to those below.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from msnmo.cohort.bids_lesions import FLAIR_SPACES, PICTURE
from msnmo.cohort.bids_names import CONTRAST, Ids, Named, same
from msnmo.cohort.simulated import MANUFACTURER
from msnmo.cohort.tree import InTree

SPACE, SOURCES = "SpatialReference", ("Sources", "RawSources", "IntendedFor")
DEMO, SIMULATE = "msnmo.demo", "msnmo simulate"
"""What BIDS's key GeneratedBy names in the description of a simulated dataset."""
OTHER_TYPES = ("Brain", "Face", "ROI")  # of masks, besides Lesion


class Sidecars:
    """The JSON files of a data set and its derivatives.

    Parameters
    ----------
    files : iterable of InTree
    top : Path
        The data set. JSON files above an image count up to this folder.
    ids : Ids
    """

    def __init__(self, files: Iterable[InTree], top: Path, ids: Ids):
        self._files = [each for each in files if each.path.suffix == ".json"]
        self._top, self._ids = top, ids
        self._read: dict[Path, Mapping[str, Any] | None] = {}

    @cached_property
    def _by_folder(self) -> dict[Path, list[Named]]:
        found: dict[Path, list[Named]] = {}
        above = [InTree(path, self._top, ()) for path in self._top.glob("*.json")]
        for each in (*above, *self._files):
            found.setdefault(each.path.parent, []).append(_named(each.path, self._ids))
        return found

    def oddities(self, mask: Named, flair: Named) -> Iterator[tuple[str, str]]:
        """Yield reasons in a mask's JSON why it is not a FLAIR's, as `bids_lesions.oddities`."""
        said = self._of(mask)
        references = [text for text in _texts(said.get(SPACE)) if not _is_flair(text)]
        if references:
            yield (
                "space",
                f"its JSON puts it on the grid of {references[0]}, not of {flair.path.name}",
            )
        if said.get("Type") in OTHER_TYPES:
            yield "suffix", f"its JSON says Type {said['Type']}, not Lesion"
        sources = [text for name in SOURCES for text in _texts(said.get(name))]
        images = [text for text in sources if _is_flair(text) or CONTRAST.fullmatch(_suffix(text))]
        flairs = [text for text in images if _is_flair(text)]
        of_another = images and not flairs
        if of_another or (flairs and not any(self._may_be(text, flair) for text in flairs)):
            yield "contrast", f"its JSON names another image ({images[0]}), not {flair.path.name}"

    def simulated(self, flair: Named, description: Mapping[str, Any]) -> bool:
        """Whether a FLAIR is simulated, as the demo's are.

        Its Manufacturer decides. If its JSON names none, the dataset's GeneratedBy does.

        Parameters
        ----------
        flair : Named
        description : mapping
            Content of dataset_description.json.
        """
        manufacturer = self._of(flair).get("Manufacturer")
        if isinstance(manufacturer, str) and manufacturer.strip():
            return manufacturer.strip().lower() == MANUFACTURER
        made_by = description.get("GeneratedBy")
        steps = made_by if isinstance(made_by, list) else []
        return any(
            isinstance(step, Mapping) and step.get("Name") in (DEMO, SIMULATE) for step in steps
        )

    def unreadable(self, image: Named) -> list[Path]:
        """Return an image's JSON files that hold no valid JSON."""
        return [path for path in self._paths(image) if self._content(path) is None]

    def _of(self, image: Named) -> Mapping[str, Any]:
        said: dict[str, Any] = {}
        for path in self._paths(image):
            said |= self._content(path) or {}
        return said

    def _paths(self, image: Named) -> list[Path]:
        """Return the JSON files that apply to an image, the nearest last."""
        return [
            named.path.with_name(f"{named.path.name}.json")
            for folder in reversed(image.path.parents)
            for named in sorted(self._by_folder.get(folder, []), key=lambda each: each.path)
            if _holds_for(named, image)
        ]

    def _content(self, path: Path) -> Mapping[str, Any] | None:
        if path not in self._read:
            try:
                content = json.loads(path.read_text(encoding="utf-8-sig"))
            except (OSError, ValueError):
                content = None
            self._read[path] = content if isinstance(content, dict) else None
        return self._read[path]

    def _may_be(self, text: str, flair: Named) -> bool:
        source = _named(Path(text), self._ids)
        ids = source.subject in {"", flair.subject} and source.session in {"", flair.session}
        return ids and all(
            same(name, source.has(name), flair.has(name))
            for name in PICTURE
            if name in source.entities
        )


def _named(path: Path, ids: Ids) -> Named:
    stem = path.with_name(path.name.removesuffix(".json")) if path.name else path
    return Named.of(InTree(stem, stem.parent, ()), ids)


def _holds_for(sidecar: Named, image: Named) -> bool:
    """Whether a JSON file applies to an image by BIDS: same suffix, and only its entities."""
    ids = (sidecar.subject in {"", image.subject}) and (sidecar.session in {"", image.session})
    entities = sidecar.entities.items() <= image.entities.items()
    words = {*sidecar.words} <= {*image.words}
    return ids and entities and words and sidecar.suffix == image.suffix


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        value = list(value.values())
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _suffix(text: str) -> str:
    return Path(text).name.partition(".")[0].rpartition("_")[2]


def _is_flair(text: str) -> bool:
    return "flair" in Path(text).name.lower() or text.lower() in FLAIR_SPACES
