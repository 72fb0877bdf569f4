"""Lesion masks of a BIDS dataset and its derivatives: which files are masks, and of which scan."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from msnmo.cohort.bids_lesions import (
    LABELS,
    LIKE_LESIONS,
    NAME_IT,
    NOT_ALL,
    PROBABILITIES,
    is_agreed,
    is_label_map,
    is_lesion_mask,
    is_like,
    may_be,
    odd_words,
    oddities,
    options_for,
    read_by,
    strange_ids,
    without_rater,
)
from msnmo.cohort.bids_names import NONE, Ids, Named, stem_of
from msnmo.cohort.bids_sidecars import Sidecars
from msnmo.cohort.importing import LeftOut
from msnmo.cohort.tree import InTree, is_nifti, other_form, unusable
from msnmo.core.errors import bad_input

LeaveOut = Callable[[LeftOut], None]
OWN = "the dataset itself"
MAY_BE_OF = "taken, but by its name it may also belong to"
NOT_SAID = "a mask, but its name does not mention lesions"
NO_JSON = "no JSON object"
TAKES = "; {} takes it all the same"
CONVERT = "an image in another format: convert it to NIfTI, .nii.gz"


@dataclass(frozen=True)
class Masks:
    """The lesion masks by subject and session, and files that might be masks by their names.

    Parameters
    ----------
    dataset : Path
    wanted : mapping
        The entities that the user names, with their allowed values.
    by_visit, alike : mapping
        Masks that are about lesions or wanted; and masks that may show anything.
    sidecars : Sidecars
    """

    dataset: Path
    wanted: Mapping[str, tuple[str, ...]]
    by_visit: Mapping[tuple[str, str], list[Named]]
    alike: Mapping[tuple[str, str], list[Named]]
    sidecars: Sidecars

    @classmethod
    def find(
        cls,
        dataset: Path,
        files: Iterable[InTree],
        wanted: Mapping[str, tuple[str, ...]],
        ids: Ids,
        leave_out: LeaveOut,
    ) -> Masks:
        """Look for masks among the files of subjects and of mask folders."""
        by_visit, alike = defaultdict(list), defaultdict(list)
        files = list(files)
        for file in files:
            path = file.path
            if not (is_nifti(path) or other_form(path)):
                continue
            named = Named.of(file, ids)
            if not named.subject:
                if LIKE_LESIONS.search(path.name):
                    leave_out(LeftOut(path, _whose(path)))
            elif is_like(named) or (wanted and not named.lacks(wanted)):
                by_visit[named.visit].append(named)
            elif may_be(named):
                alike[named.visit].append(named)
        _check_wanted(wanted, by_visit)
        return cls(dataset, wanted, by_visit, alike, Sidecars(files, dataset, ids))

    def of(self, flair: Named, beside: Iterable[Named], leave_out: LeaveOut) -> tuple[Path, ...]:
        """Return a scan's masks, by name. Report all other files about lesions.

        A taken mask is reported too, if it may also belong to another FLAIR of the session
        (`beside`).
        """
        beside = list(beside)
        chosen: list[Named] = []
        for mask in self.by_visit.get(flair.visit, []):
            reason = self._reason(mask, flair) or _twin(mask, chosen)
            if reason:
                leave_out(LeftOut(mask.path, reason))
                continue
            chosen.append(mask)
            for other in beside:
                if not self._reason(mask, other):
                    leave_out(LeftOut(mask.path, f"{MAY_BE_OF} {other.path.name}"))
            for sidecar in self.sidecars.unreadable(mask):
                leave_out(LeftOut(sidecar, f"{NO_JSON}: {mask.path.name} is taken without it"))
        return tuple(mask.path for mask in self._raters(flair, chosen, leave_out))

    def without_flair(self, visits: Collection[tuple[str, str]], leave_out: LeaveOut) -> None:
        """Report every mask whose subject and session have no FLAIR."""
        for visit, masks in sorted(self.by_visit.items()):
            if visit not in visits:
                name = f"sub-{visit[0]}" + (f" ses-{visit[1]}" if visit[1] else " without session")
                for mask in masks:
                    leave_out(LeftOut(mask.path, f"a lesion mask, but no FLAIR of {name}"))

    def hint(self, flair: Named) -> str:
        """Return which file might be a scan's mask and the option that takes it; empty if none."""
        parts = [
            mask.path.name
            for mask in self.by_visit.get(flair.visit, [])
            if NOT_ALL in self._reason(mask, flair)
        ]
        if len(parts) > 1:
            return f"; if {' and '.join(parts)} are parts of the lesions, join them into one mask"
        for mask in self.alike.get(flair.visit, []):
            if is_nifti(mask.path):
                odd = dict(oddities(mask, flair))
                return f"; if {mask.path.name} is one, say {options_for(mask, odd)}"
        return ""

    def _reason(self, mask: Named, flair: Named) -> str:
        """Return why a file is no mask of this FLAIR. What the user named is not questioned."""
        if not is_nifti(mask.path):
            return CONVERT
        if lacking := mask.lacks(self.wanted):
            has = ", ".join(f"{name}={mask.has(name) or NONE}" for name in lacking)
            return f"not chosen by --mask: it has {has}"
        return unusable(mask.path) or strange_ids(mask) or self._against(mask, flair)

    def _against(self, mask: Named, flair: Named) -> str:
        against = [*oddities(mask, flair), *self.sidecars.oddities(mask, flair)]
        odd = {name: why for name, why in against if name not in self.wanted}
        takes = TAKES.format(options_for(mask, odd)) + read_by(mask)
        if odd:
            why = next(why for name, why in against if name in odd)
            return why if why == PROBABILITIES else f"{why}{takes}"
        if self.wanted:
            return ""
        if words := odd_words(mask):
            return f"{words[0]!r} in its name {NOT_ALL}{takes}"
        if is_lesion_mask(mask):
            return ""
        return f"{LABELS if is_label_map(mask) else NOT_SAID}{takes}"

    def _raters(self, flair: Named, masks: list[Named], leave_out: LeaveOut) -> list[Named]:
        """Return the masks of a scan. A consensus replaces the masks of its folder.

        Otherwise, masks of one folder count as raters' masks. This is reported if their names do
        not say so.
        """
        taken: list[Named] = []
        of_source = sorted(masks, key=self._source)
        for _, several in groupby(of_source, self._source):
            group = list(several)
            agreed = [mask for mask in group if is_agreed(mask)]
            if agreed and not self.wanted:
                for mask in group:
                    if mask not in agreed:
                        reason = f"{agreed[0].path.name} is taken, the raters' consensus; "
                        options = options_for(mask, {})
                        leave_out(LeftOut(mask.path, f"{reason}{options} takes this one"))
                group = agreed
            if len({without_rater(mask) for mask in group}) > 1:
                names = " and ".join(mask.path.name for mask in group)
                reason = f"{names} are taken as masks of several raters; --mask chooses"
                leave_out(LeftOut(flair.path, reason))
            taken += group
        return [mask for mask in masks if mask in taken]

    def _source(self, mask: Named) -> str:
        return sources([mask.path], self.dataset)[0] if self._inside(mask) else ""

    def _inside(self, mask: Named) -> bool:
        return mask.path.is_relative_to(self.dataset)


def _check_wanted(
    wanted: Mapping[str, tuple[str, ...]], by_visit: Mapping[tuple[str, str], list[Named]]
) -> None:
    """Check that some file matches ``--mask``.

    Raises
    ------
    InputError
        If no file matches it.
    """
    masks = [mask for group in by_visit.values() for mask in group]
    if not wanted or any(not mask.lacks(wanted) for mask in masks):
        return
    named = " ".join(f"{name}={','.join(values)}" for name, values in wanted.items())
    names = sorted(mask.path.name for mask in masks)
    found = f"none; files about lesions: {', '.join(names[:5])}" if names else "none"
    remedy = "correct --mask, or remove it"
    raise bad_input("command line", f"a file with --mask {named}", found, remedy)


def sources(masks: Iterable[Path], dataset: Path) -> list[str]:
    """Return the sources of one scan's masks: folders of derivatives or the dataset itself."""
    inside = [mask.relative_to(dataset).parts for mask in masks if mask.is_relative_to(dataset)]
    return sorted({"/".join(parts[:2]) if parts[0] == "derivatives" else OWN for parts in inside})


def _whose(path: Path) -> str:
    """Return why a file has no owner. For example, LST writes ``ples_lpa_msub-01_FLAIR.nii.gz``."""
    reason = "its name does not begin with a subject's, sub-X, so its owner is unknown"
    return f"{reason}: name a mask {NAME_IT} (threshold a probability map first)"


def _twin(mask: Named, chosen: Iterable[Named]) -> str:
    """Return the taken mask that is the same file, or has the same name in the same folder."""
    for other in chosen:
        beside = mask.path.parent == other.path.parent
        if beside and stem_of(mask.path) == stem_of(other.path):
            return f"{other.path.name} is taken, which has the same name"
        if mask.path.samefile(other.path):
            return f"the same file as {other.path}, which is taken"
    return ""
