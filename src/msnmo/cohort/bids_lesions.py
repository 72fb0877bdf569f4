"""Decide by its name whether a file is a mask of all lesions of a FLAIR.

All entities that describe a mask must consist of known words, and must say lesion, WMH or WML once:
``label-lesion``, ``desc-T2lesionsRater2``, ``seg-lst``, ``lesion-manual``. Other files about
lesions are left out: masks of new, enhancing, cortical or spinal lesions, of regions, and of the
brain without lesions. This needs no list of all such names.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping

from msnmo.cohort.bids_names import CONTRAST, NONE, Named, same

# with LST-AI and ivadomed, a mask's name may end with an entity: seg-lst, lesion-manual
SUFFIXES = ("mask", "roi", "seg", "dseg", "")
DESCRIBING = ("label", "desc", "seg", "lesion")
FLAIR_SPACES = ("orig", "native", "flair", "t2flair")
# entities that distinguish images of one session, or their grids
PICTURE = (
    *("acq", "ce", "trc", "rec", "dir", "run", "echo", "flip", "inv", "mt", "part", "proc"),
    *("chunk", "sample", "res", "den", "hemi"),
)
RATERS = ("rater", "reader", "expert", "observer", "annotator")
LESION = (
    r"(?:brain|wm|white-?matter)?lesions?|wmhs?|wmls?|(?:wm|white-?matter)?hyperintensit(?:y|ies)"
    r"|plaques?"
)
# words for who or what made a mask, how, and for all lesions on a FLAIR
MAKER = (
    rf"(?:{'|'.join(RATERS)}|radiologist|neurologist)[a-z]{{0,3}}\d*|manual(?:ly)?\d*|semi|auto\d*"
    r"|automatic(?:ally)?|automated|consensus|majority|staple|union|intersection|final|corrected"
    r"|edited|reviewed|curated|checked|gt|ground|truth|gold|standard|reference"
    r"|lst|ai|lga|lpa|bianca|samseg|nnu?net|unet|nicms|flames|deepmedic|mimosa"
    r"|mindglide|truenet|synth|hypermapper|shiva|segcsvd"
)
PLAIN = (
    r"t2|flair|ms|nmosd?|all|total|whole|wholebrain|masks?|seg|segm"
    r"|segment(?:ed|ations?)|labels?|bin|binary|binari[sz]ed|thr(?:esh(?:old)?)?[\d.p]*|native|orig"
)
KNOWN = re.compile(rf"(?:(?:{LESION}|{MAKER}|{PLAIN})[-_+. ]?)+", re.IGNORECASE)
LONGEST = 48
SAYS = re.compile(LESION, re.IGNORECASE)
# tools that segment nothing but lesions
LESION_TOOLS = re.compile(r"lst(-?ai)?", re.IGNORECASE)
AGREED = re.compile(r"consensus|majority|staple|union|intersection", re.IGNORECASE)
RATER = re.compile(rf"({'|'.join(RATERS)}|manual)-?[a-z]{{0,3}}\d*", re.IGNORECASE)
# words that make a file worth a note although it is no such mask
LIKE_LESIONS = re.compile(
    r"lesion|l[aä]sion|wmh|wml|hyperint|plaque|black-?hole|label-l(?![a-z])|bianca|samseg|nicms"
    r"|(?<![a-z])lst|[pb]les_|(?<![a-z])l[pg]a(?![a-z])",
    re.IGNORECASE,
)
PROBABLE = re.compile(r"prob|pmap|softmax|logit|heatmap|confidence|likelihood", re.IGNORECASE)
# names of label maps of LST-AI and FreeSurfer, with the labels that mean lesion
LABEL_MAPS = {"annotated": "any", "samseg": "99"}
OF_OTHERS = re.compile(
    r"t1|t2w|t2star|gad|gd|enhanc|black-?hole|dwi|swi|psir|stir|dir(?!ect)", re.IGNORECASE
)
ANATOMY = re.compile(
    r"brain|skull|ribbon|csf|tissue|aseg|aparc|cort(ex|ical)|spin(e|al)|ventric|thalam|hippoc|tumou?r"
    r"|(?<![a-z])(bet|hdbet|head|gm|wm|cord|eyes?|face|neck|air|body|defacing)(?![a-z])",
    re.IGNORECASE,
)
# names of derivatives' folders, which BIDS does not restrict
ODD_FOLDER = re.compile(
    r"new|enlarg|change|enhanc|gad|black-?hole|cortical|spine|spinal|fill|without|non-?lesion|dilat"
    r"|erod|prob|(?<![a-z])(t1w?|t2w|mprage|mni|sct|cord|old|backup|bak|trash|archive|tmp|copy|draft)(?![a-z])",
    re.IGNORECASE,
)
BODY_PARTS = {("bodypart", "brain"), ("bodypart", "head")}
ANOTHER = "a lesion mask of another image ({}), not of {}"
NAME_IT = "sub-X_label-lesion_mask.nii.gz"
PROBABILITIES = f"by its name a probability map: threshold it first and name it {NAME_IT}"
LABELS = "a map of regions by labels, so not a lesion mask as it is"
NOT_ALL = "is not known to mean all lesions of a FLAIR (join masks of parts into one first)"


def is_like(named: Named) -> bool:
    """Whether a file's name is about lesions and the file is not a picture of them."""
    suffix = named.suffix
    if suffix and (CONTRAST.fullmatch(suffix) or "flair" in suffix.lower()):
        return False
    return bool(LIKE_LESIONS.search(_said(named)))


def may_be(named: Named) -> bool:
    """Whether a file is a mask and nothing in its name says that it is not of lesions."""
    masks = named.suffix in SUFFIXES[:3]
    told = PROBABLE.search(_said(named)) or ANATOMY.search(_said(named))
    return masks and not told and not named.contrast


def is_lesion_mask(named: Named) -> bool:
    """Whether a name says that the mask holds lesions, all of them or some."""
    segmentation = named.entities.get("seg", "")
    texts = [*(named.entities.get(name, "") for name in DESCRIBING), *named.words]
    says = any(SAYS.search(text) for text in texts) or "lesion" in named.entities
    return says or bool(LESION_TOOLS.match(segmentation))


def oddities(named: Named, flair: Named) -> list[tuple[str, str]]:
    """Return what in a mask's name says that it is not of all lesions of a FLAIR, and why.

    Each item comes with the entity (as in `Named.has`) that makes ``--mask`` take it all the same.
    """
    others = (_of_another_image, _of_other_lesions, _of_unknown_kind)
    return [each for generator in others for each in generator(named, flair)]


def _of_another_image(named: Named, flair: Named) -> Iterator[tuple[str, str]]:
    if PROBABLE.search(_said(named)):
        yield ("suffix" if named.suffix else "desc"), PROBABILITIES
    if contrast := named.contrast:
        yield "contrast", ANOTHER.format(contrast, flair.path.name)
    grid = f", so not on the grid of {flair.path.name}"
    for name in PICTURE:
        if name in named.entities and not same(name, named.has(name), flair.has(name)):
            yield name, f"a lesion mask with {name} of another scan{grid}"
    space = named.has("space")
    if space and space != flair.has("space") and space.lower() not in FLAIR_SPACES:
        yield "space", f"a lesion mask with space-{space}{grid}"


def _of_other_lesions(named: Named, flair: Named) -> Iterator[tuple[str, str]]:
    for name in DESCRIBING:
        value = named.entities.get(name, "")
        known = _is_known(value) or (name, value) in {("label", "L"), (name, "")}
        if OF_OTHERS.search(value):
            yield name, ANOTHER.format(f"{name}-{value}", flair.path.name)
        elif not known and is_label_map(named) and _map_of(value):
            yield name, LABELS
        elif not known:
            yield name, f"{name}-{value} {NOT_ALL}"


def _of_unknown_kind(named: Named, _: Named) -> Iterator[tuple[str, str]]:
    for name, value in named.entities.items():
        of_brain = (name, value.lower()) in BODY_PARTS
        if name not in {*DESCRIBING, *PICTURE, *RATERS, "space", "mod"} and not of_brain:
            yield name, f"{name}-{value} {NOT_ALL}"
    if named.suffix not in SUFFIXES:
        yield "suffix", f"the end of its name, {named.suffix!r}, {NOT_ALL}"
    if folder := _odd_folder(named):
        yield "folder", f"its folder, {folder}/, {NOT_ALL}"


def odd_words(named: Named) -> list[str]:
    """Return parts of a name that are neither entities, nor FLAIR, nor words for making a mask."""
    images = [word for word in named.words if CONTRAST.fullmatch(word) or "flair" in word.lower()]
    return [word for word in named.words if word not in images and not _is_known(word)]


def strange_ids(named: Named) -> str:
    """Return how a file's folders contradict the subject or session in its name; empty if not."""
    for prefix, of_name in (("sub-", named.subject), ("ses-", named.session)):
        for folder in named.folders:
            if folder.startswith(prefix) and folder != f"{prefix}{of_name}":
                own = f"{prefix}{of_name}" if of_name else "no session"
                return f"its folder says {folder}, its name {own}: its owner is unknown"
    return ""


def options_for(named: Named, odd: Mapping[str, str]) -> str:
    """Return the ``--mask`` option that takes a file in spite of these oddities."""
    # oddities come first: desc=annotated
    names = sorted(filter(named.has, DESCRIBING), key=lambda name: name not in odd)
    if not names or "suffix" in odd:
        names.append("suffix")
    names += [name for name in odd if name not in names]
    values = {name: named.has(name) or NONE for name in names}
    if "folder" in values:
        values["folder"] = _odd_folder(named)
    return "--mask " + " ".join(shlex.quote(f"{name}={value}") for name, value in values.items())


def is_label_map(named: Named) -> bool:
    """Whether a file is by its name a label map; labels may be regions or parts of lesions."""
    kind = _map_of(_said(named))
    if kind == "annotated":
        return True
    if is_lesion_mask(named):
        return False
    return named.suffix == "dseg" or (kind != "" and named.suffix in {"seg", ""})


def read_by(named: Named) -> str:
    """Return how a label map is read once it is taken; empty for other files."""
    if not is_label_map(named):
        return ""
    if not (labels := LABEL_MAPS.get(_map_of(_said(named)))):
        return ", and lesion_masks.labels says which labels are lesion"
    value = labels if labels == "any" else f"[{labels}]"
    return f", and lesion_masks.labels: {value} (msnmo check --lesion-labels {labels}) reads it"


def _map_of(text: str) -> str:
    """Return the label map that a text names; empty if none."""
    return next((kind for kind in LABEL_MAPS if kind in text.lower()), "")


def without_rater(named: Named) -> str:
    """Return a name without the parts that distinguish raters."""
    parts = [f"{name}-{value}" for name, value in named.entities.items() if name not in RATERS]
    return RATER.sub("", "_".join((*parts, *named.words, named.suffix)))


def is_agreed(named: Named) -> bool:
    """Whether a mask is the consensus of several raters."""
    values = [named.entities.get(name, "") for name in (*DESCRIBING, *RATERS)]
    return any(AGREED.search(value) for value in values)


def _odd_folder(named: Named) -> str:
    """Return a folder name in which no full lesion mask of a FLAIR is expected; empty if none."""
    ids = [place for place, folder in enumerate(named.folders) if folder.startswith("sub-")]
    first = ids[-1] if ids else len(named.folders)
    free = [folder for folder in named.folders[:first] if ODD_FOLDER.search(folder)]
    inside = [
        folder
        for folder in named.folders[first + 1 :]
        if not re.match(r"anat$|ses-", folder) and not _is_known(folder)
    ]
    odd = [folder for folder in (*free, *inside) if folder != named.contrast]
    return odd[0] if odd else ""


def _is_known(text: str) -> bool:
    """Whether a text consists of known words. A long text counts as unknown, to save time."""
    return len(text) <= LONGEST and KNOWN.fullmatch(text) is not None


def _said(named: Named) -> str:
    entities = [f"{name}-{value}" for name, value in named.entities.items()]
    return "_".join((*named.words, *entities, named.suffix))
