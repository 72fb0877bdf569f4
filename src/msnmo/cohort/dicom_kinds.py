"""What a DICOM image shows by its header: the head or another part, acquired or computed.

Each value is read separately, because vendors give values in any place and number (PS3.3
C.7.6.1.1.2, C.8.3.1.1.1 and C.8.13.3.1.1, plus their own). A value that no rule knows is ignored.
An unknown part of the body is reported, because scanners write odd values even for heads.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

NAMED_HEAD = re.compile(
    r"brain|head|neuro|skull|crani|cereb|[ck]ephal|cefal|kopf|sch(ae|ä)del|hirn|t[eê]te(?![a-z])"
    r"|cr[aâ]ne|cabe[cçz]a|(?<![a-z])testa(?![a-z])|cervello|头|頭|脑|腦|脳|颅|голов|мозг|череп",
    re.IGNORECASE,
)
SAYS_NOTHING = re.compile(
    r"(other|unknown|undefined|unspecified|none|n\W*a|default|mr|\W|_)*", re.I
)
# Stems may begin anywhere (CSPINE, wholespine); short words must stand alone
NAMED_ELSEWHERE = re.compile(
    r"spine(?!cho)|spinal|wirbel|rachis|columna|colonna|myelo|medull|neck|phantom|abdom|pelvi|thora|chest"
    r"|cardia|heart|breast|mamma|liver|prostat|kidney|knee|ankle|shoulder|elbow|wrist|femur|extremi"
    r"|(?<![a-z])([hbl]ws|cord|hips?|hands?|f[oe][oe]t|legs?|arms?|knie|acr|qa|qc)(?![a-z])",
    re.IGNORECASE,
)
MAGNITUDE = re.compile(r"(M|MAGNITUDE|MIXED)( .*)?")
# CR is Philips' corrected real part
OTHER_COMPLEX = re.compile(r"(P|R|I|CR|PHASE|REAL|IMAGINARY|IMAG)( .*)?")
COMPUTED = re.compile(
    r"(.* )?(MIP|MINIP|MNIP|MAXIP|(MAX|MIN|MEAN|AVG) IP|PROJECTION|SUB|SUBTRACT(ION|ED)?|ADDITION"
    r"|DIVISION|DIFFERENCE|RATIO|MAXIMUM|MINIMUM|MASKED|STD|T TEST|Z SCORE|MTT|QUANTITY|MAP|ADC|VRT"
    r"|SSD|VOLREN|RENDER(ED|ING)|SURFACE|FUS(ED|ION)|COLOU?R|OVERLAY|SEGMENTATION)( .*)?"
    r"|T[12](STAR|RHO)?MAP"
)
REFORMATTED = re.compile(
    r"(.* )?(MPR|REFORMAT(TED)?|RESAMPLED|CURVED|COMPOSED|COMP|AVERAGE|MEAN|SYNTHETIC|SYMRI|MAGIC)"
    r"( .*)?"
)
# Names given by people; FLAIR* is FLAIR times T2*
NAMED_COMPUTED = re.compile(
    r"flair[\W_]*(\*|star(?![a-z]))|synth|symri"
    r"|(?<![a-z])(m(in)?ips?|mpr|sub(tract\w*)?|psir|phase|real|magic|fus(ed|ion)|reformat\w*|ratio"
    r"|diff|avg|average|maps?|colou?r|rgb|mask|segm?|overlay)(?![a-z])",
    re.IGNORECASE,
)


def _values(kinds: Iterable[str]) -> list[str]:
    return [" ".join(re.findall(r"[^\W_]+", kind.upper())) for kind in kinds]


def is_magnitude(kinds: Iterable[str]) -> bool:
    """Whether some of an image is a magnitude, by ImageType and similar values.

    Phase, real and imaginary parts are marked; magnitudes need not be.
    """
    values = _values(kinds)
    return any(map(MAGNITUDE.fullmatch, values)) or not any(map(OTHER_COMPLEX.fullmatch, values))


def computed(kinds: Iterable[str]) -> str:
    """Return why an image is not an acquired image of a head; empty if it may be one.

    Parameters
    ----------
    kinds : iterable of str
        The values of ImageType of a series or an image.
    """
    kinds = list(kinds)
    if not is_magnitude(kinds):
        return "a phase, real or imaginary part, not a magnitude (ImageType)"
    found = sorted(value for value in _values(kinds) if COMPUTED.fullmatch(value))
    return f"computed from other images (ImageType {_known(found[0], COMPUTED)})" if found else ""


def maybe_computed(kinds: Iterable[str], texts: str) -> str:
    """Return the hint that an image is reformatted or computed but may be usable; else nothing."""
    found = sorted(value for value in _values(kinds) if REFORMATTED.fullmatch(value))
    if found:
        return f"its ImageType says {_known(found[0], REFORMATTED)}: reformatted or computed"
    if named := NAMED_COMPUTED.search(texts):
        return f"its name says {named[0].lower()}: computed from other images, perhaps"
    return ""


def _known(value: str, rule: re.Pattern[str]) -> str:
    """Return the word of a value that a rule knows. Other words may be personal."""
    words = value.split()
    known = (part for part in (*words, " ".join(words[-2:])) if rule.fullmatch(part))
    return next(known, "such a value")


def elsewhere(part: str, texts: str) -> list[str]:
    """Return the hints that an image is not of the head: from its body part and its names.

    Parameters
    ----------
    part : str
        BodyPartExamined.
    texts : str
        Names of the series.
    """
    said = []
    if not NAMED_HEAD.search(part) and not SAYS_NOTHING.fullmatch(part):
        known = NAMED_ELSEWHERE.search(part)
        said.append(f"BodyPartExamined is not the head{f' ({known[0].lower()})' if known else ''}")
    named = NAMED_ELSEWHERE.search(texts)
    if named and not NAMED_HEAD.search(texts):
        said.append(f"its name says {named[0].lower()}")
    return said
