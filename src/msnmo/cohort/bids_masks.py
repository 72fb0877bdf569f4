"""Lesion masks of a BIDS dataset and its derivatives: which are some, and whose each is."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from msnmo.cohort.bids_names import Ids, Named, niftis, same
from msnmo.cohort.importing import LeftOut
from msnmo.core.fetched import not_fetched

LeaveOut = Callable[[LeftOut], None]
# of LST-AI and ivadomed, a mask may end with an entity: seg-lst, lesion-manual
SUFFIXES = ("mask", "roi", "seg", "dseg", "")
DESCRIBING = ("label", "desc", "seg", "lesion")
LESION_LABELS = ("wmh", "wml")
LESION_SEGMENTATIONS = ("lst", "wmh", "wml")
FLAIR_SPACES = ("orig", "native", "flair", "t2flair")
# what tells apart images of one session, or their grids
PICTURE = (
    *("acq", "ce", "trc", "rec", "dir", "run", "echo", "flip", "inv", "mt", "part", "proc"),
    *("chunk", "sample", "res", "den", "hemi"),
)
# lesions of other images, and not all of a FLAIR's
OTHER_LESIONS = re.compile(r"t1|gad|gd|enhanc|blackhole|black-?hole|dwi|swi|dir", re.IGNORECASE)
LIKE_LESIONS = re.compile(r"lesion|wmh|wml|lst|_roi$|flair_(seg|mask)$", re.IGNORECASE)
ANNOTATED = (
    "a map whose labels are regions, beside which tools write a binary mask: --mask desc=... takes "
    "it, and lesion_masks.labels: any (msnmo check --lesion-labels any) reads it"
)
OWN = "the dataset itself"
MAY_BE_OF = "taken, but by its name it may as well be of"


@dataclass(frozen=True)
class Masks:
    """The lesion masks by subject and session, and files that might be some by their names."""

    wanted: Mapping[str, tuple[str, ...]]
    by_visit: Mapping[tuple[str, str], list[Named]]
    alike: Mapping[tuple[str, str], list[Named]]

    @classmethod
    def find(
        cls,
        dataset: Path,
        folders: Collection[Path],
        wanted: Mapping[str, tuple[str, ...]],
        ids: Ids,
        leave_out: LeaveOut,
    ) -> Masks:
        """Look for masks in a dataset's subjects and in folders; maps of regions are told of."""
        by_visit, alike = defaultdict(list), defaultdict(list)
        for path in niftis([*dataset.glob("sub-*"), *folders]):
            named = Named.from_path(path, ids)
            if not (not named.lacks(wanted) if wanted else _is_lesion_mask(named)):
                if LIKE_LESIONS.search("_".join((*named.words, _description(named), named.suffix))):
                    alike[named.visit].append(named)
            elif "annotated" in (named.has("desc") or "").lower() and "desc" not in wanted:
                leave_out(LeftOut(path, ANNOTATED))
            else:
                by_visit[named.visit].append(named)
        return cls(wanted, by_visit, alike)

    def of(self, flair: Named, beside: Iterable[Named], leave_out: LeaveOut) -> tuple[Path, ...]:
        """Return a scan's masks, by name; those of another image or space are told of.

        So is one that may as well be of another FLAIR of the session (`beside`), which is taken.
        """
        beside = list(beside)
        chosen = []
        for mask in self.by_visit.get(flair.visit, []):
            reason = self._other(mask, flair) or not_fetched(mask.path)
            if reason:
                leave_out(LeftOut(mask.path, reason))
                continue
            chosen.append(mask.path)
            for other in beside:
                if not self._other(mask, other):
                    leave_out(LeftOut(mask.path, f"{MAY_BE_OF} {other.path.name}"))
        return tuple(chosen)

    def without_flair(self, visits: Collection[tuple[str, str]], leave_out: LeaveOut) -> None:
        """Tell of every mask whose subject and session have no FLAIR."""
        for visit, masks in sorted(self.by_visit.items()):
            if visit not in visits:
                name = f"sub-{visit[0]}" + (f" ses-{visit[1]}" if visit[1] else " without session")
                for mask in masks:
                    leave_out(LeftOut(mask.path, f"a lesion mask, but no FLAIR of {name}"))

    def hint(self, flair: Named) -> str:
        """Return which file might be a scan's mask and how to say so; empty if there is none."""
        for mask in self.alike.get(flair.visit, []):
            options = [
                f"{name}={mask.has(name)}" for name in (*DESCRIBING, "space") if mask.has(name)
            ]
            options += [f"suffix={mask.suffix}"] if mask.suffix else []
            return f"; if {mask.path.name} is one, say --mask {' '.join(options)}"
        return ""

    def _other(self, mask: Named, flair: Named) -> str:
        """Return why a mask is not of this FLAIR; what the user named is not asked again."""
        grid = f", so not on the grid of {flair.path.name}"
        contrast = mask.contrast or _other_lesions(mask)
        named = {"contrast", *DESCRIBING} & set(self.wanted)
        if contrast and not (named if not mask.contrast else {"contrast"} & named):
            return f"a lesion mask of another image ({contrast}), not of {flair.path.name}"
        other = [
            name
            for name in PICTURE
            if name not in self.wanted
            and name in mask.entities
            and not same(name, mask.has(name), flair.has(name))
        ]
        if other:
            return f"a lesion mask with {', '.join(other)} of another scan{grid}"
        space = mask.has("space")
        if space is None or "space" in self.wanted or space == flair.has("space"):
            return ""
        return "" if space.lower() in FLAIR_SPACES else f"a lesion mask with space-{space}{grid}"


def sources(masks: Iterable[Path], dataset: Path) -> list[str]:
    """Return where in a dataset the masks of one scan come from: folders of derivatives, itself."""
    inside = [mask.relative_to(dataset).parts for mask in masks if mask.is_relative_to(dataset)]
    return sorted({"/".join(parts[:2]) if parts[0] == "derivatives" else OWN for parts in inside})


def _description(named: Named) -> str:
    return "_".join(f"{name}-{named.entities[name]}" for name in DESCRIBING if named.has(name))


def _other_lesions(named: Named) -> str:
    found = OTHER_LESIONS.search(" ".join(named.has(name) or "" for name in ("label", "desc")))
    return _description(named) if found else ""


def _is_lesion_mask(named: Named) -> bool:
    label, segmentation = (named.entities.get(name, "").lower() for name in ("label", "seg"))
    description = _description(named).lower()
    says = "lesion" in description or label in LESION_LABELS or segmentation in LESION_SEGMENTATIONS
    return named.suffix in SUFFIXES and says and "prob" not in description
