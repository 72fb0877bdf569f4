"""What was done to scans, as a text for an article, made of what a run's records say.

A sentence is there only if what it tells was done. A work is referred to only where it is cited.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msnmo.core.counts import counted
from msnmo.core.provenance import NOT_KNOWN
from msnmo.core.templates import templates

SHARED = "preprocessing.md.jinja"
"""What texts of runs and of new scans say alike."""
LICENCE = "https://creativecommons.org/publicdomain/zero/1.0/"
DOI = "https://doi.org/"
REFERENCES: Mapping[str, tuple[str, str]] = {
    "adam": (
        "Kingma and Ba 2015",
        "Kingma DP, Ba J. Adam: a method for stochastic optimization. International Conference on "
        "Learning Representations, 2015. https://arxiv.org/abs/1412.6980",
    ),
    "attention_unet": (
        "Oktay et al. 2018",
        "Oktay O, Schlemper J, Le Folgoc L, et al. Attention U-Net: learning where to look for the "
        "pancreas. Medical Imaging with Deep Learning, 2018. https://arxiv.org/abs/1804.03999",
    ),
    "bet": (
        "Smith 2002",
        "Smith SM. Fast robust automated brain extraction. Hum. Brain Mapp. 17:143-155, 2002. "
        f"{DOI}10.1002/hbm.10062",
    ),
    "bootstrap": (
        "Efron and Tibshirani 1993",
        "Efron B, Tibshirani RJ. An introduction to the bootstrap. Chapman and Hall, 1993.",
    ),
    "densenet": (
        "Huang G. et al. 2017",
        "Huang G, Liu Z, van der Maaten L, Weinberger KQ. Densely connected convolutional "
        f"networks. CVPR, 2017. {DOI}10.1109/CVPR.2017.243",
    ),
    "exact": (
        "Clopper and Pearson 1934",
        "Clopper CJ, Pearson ES. The use of confidence or fiducial limits illustrated in the case "
        f"of the binomial. Biometrika 26:404-413, 1934. {DOI}10.1093/biomet/26.4.404",
    ),
    "hd-bet": (
        "Isensee et al. 2019",
        "Isensee F, Schell M, Pflueger I, et al. Automated brain extraction of multisequence MRI "
        "using artificial neural networks. Hum. Brain Mapp. 40:4952-4964, 2019. "
        f"{DOI}10.1002/hbm.24750",
    ),
    "holm": (
        "Holm 1979",
        "Holm S. A simple sequentially rejective multiple test procedure. Scand. J. Stat. 6:65-70, "
        "1979.",
    ),
    "huang": (
        "Huang L. et al. 2024",
        "Huang L, Shao Y, Yang H, et al. A joint model for lesion segmentation and classification "
        f"of MS and NMOSD. Front. Neurosci. 18:1351387, 2024. {DOI}10.3389/fnins.2024.1351387",
    ),
    "mni": (
        "Fonov et al. 2011",
        "Fonov V, Evans AC, Botteron K, et al. Unbiased average age-appropriate atlases for "
        f"pediatric studies. NeuroImage 54:313-327, 2011. {DOI}10.1016/j.neuroimage.2010.07.033",
    ),
    "monai": (
        "Cardoso et al. 2022",
        "Cardoso MJ, Li W, Brown R, et al. MONAI: an open-source framework for deep learning in "
        "healthcare. 2022. https://arxiv.org/abs/2211.02701",
    ),
    "n4": (
        "Tustison et al. 2010",
        "Tustison NJ, Avants BB, Cook PA, et al. N4ITK: improved N3 bias correction. IEEE Trans. "
        f"Med. Imaging 29:1310-1320, 2010. {DOI}10.1109/TMI.2010.2046908",
    ),
    "nipype": (
        "Gorgolewski et al. 2011",
        "Gorgolewski K, Burns CD, Madison C, et al. Nipype: a flexible, lightweight and extensible "
        "neuroimaging data processing framework in Python. Front. Neuroinform. 5:13, 2011. "
        f"{DOI}10.3389/fninf.2011.00013",
    ),
    "nnunet": (
        "Isensee et al. 2021",
        "Isensee F, Jaeger PF, Kohl SAA, et al. nnU-Net: a self-configuring method for deep "
        "learning-based biomedical image segmentation. Nat. Methods 18:203-211, 2021. "
        f"{DOI}10.1038/s41592-020-01008-z",
    ),
    "resnet": (
        "He et al. 2016",
        "He K, Zhang X, Ren S, Sun J. Deep residual learning for image recognition. CVPR, 2016. "
        f"{DOI}10.1109/CVPR.2016.90",
    ),
    "senet": (
        "Hu et al. 2018",
        f"Hu J, Shen L, Sun G. Squeeze-and-excitation networks. CVPR, 2018. "
        f"{DOI}10.1109/CVPR.2018.00745",
    ),
    "snakemake": (
        "Mölder et al. 2021",
        "Mölder F, Jablonski KP, Letcher B, et al. Sustainable data analysis with Snakemake. "
        f"F1000Research 10:33, 2021. {DOI}10.12688/f1000research.29032.2",
    ),
    "staple": (
        "Warfield et al. 2004",
        "Warfield SK, Zou KH, Wells WM. Simultaneous truth and performance level estimation "
        "(STAPLE): an algorithm for the validation of image segmentation. IEEE Trans. Med. Imaging "
        f"23:903-921, 2004. {DOI}10.1109/TMI.2004.828354",
    ),
    "swin_unetr": (
        "Hatamizadeh et al. 2022",
        "Hatamizadeh A, Nath V, Tang Y, et al. Swin UNETR: Swin transformers for semantic "
        "segmentation of brain tumors in MRI images. BrainLes, 2022. "
        "https://arxiv.org/abs/2201.01266",
    ),
    "temperature": (
        "Guo et al. 2017",
        "Guo C, Pleiss G, Sun Y, Weinberger KQ. On calibration of modern neural networks. ICML, "
        "2017. https://arxiv.org/abs/1706.04599",
    ),
    "torch": (
        "Paszke et al. 2019",
        "Paszke A, Gross S, Massa F, et al. PyTorch: an imperative style, high-performance deep "
        "learning library. NeurIPS, 2019. https://arxiv.org/abs/1912.01703",
    ),
    "unet": (
        "Falk et al. 2019",
        "Falk T, Mai D, Bensch R, et al. U-Net: deep learning for cell counting, detection, and "
        f"morphometry. Nat. Methods 16:67-70, 2019. {DOI}10.1038/s41592-018-0261-2",
    ),
    "vnet": (
        "Milletari et al. 2016",
        "Milletari F, Navab N, Ahmadi SA. V-Net: fully convolutional neural networks for "
        f"volumetric medical image segmentation. 3DV, 2016. {DOI}10.1109/3DV.2016.79",
    ),
}
"""By a key: how a work is cited in the text, and its entry in the list below it."""
NETWORKS = {
    "build_joint_model": "huang",
    "build_segmentation_model": "huang",
    "build_classification_model": "huang",
    "build_unet": "unet",
    "build_vnet": "vnet",
    "build_attention_unet": "attention_unet",
    "build_resnet": "resnet",
    "build_densenet121": "densenet",
    "build_senet50": "senet",
    "build_dynunet": "nnunet",
    "build_swin_unetr": "swin_unetr",
}
"""The work that describes a network, by the function that builds it."""
SOFTWARE = {"python": "Python", "torch": "PyTorch", "monai": "MONAI", "numpy": "NumPy"}
"""How libraries of run.json are called in a text."""


def write_text_of(template: str, package: str, **facts: Any) -> str:
    """Return the text of a template, with the list of the works that it cites.

    Parameters
    ----------
    template : str
    package : str
        That has it, such as ``msnmo.apply``.
    **facts
        What it tells.
    """
    cited: set[str] = set()

    def cite(*keys: str) -> str:
        cited.update(keys)
        return "; ".join(REFERENCES[key][0] for key in keys)

    environment = templates(package, __package__, keep_trailing_newline=True)
    environment.globals |= {"cite": cite, "counted": counted, "listed": listed}
    environment.filters |= {"number": number}
    body = environment.get_template(template).render(**facts, licence=LICENCE, shared=SHARED)
    # a sentence that a template leaves out leaves a space or an empty line
    paragraphs = [" ".join(part.split()) for part in body.split("\n\n")]
    entries = sorted(REFERENCES[key][1] for key in cited)
    works = "\n".join(f"- {entry}" for entry in entries)
    return "\n\n".join([*filter(None, paragraphs), "## References", works]) + "\n"


def listed(words: Iterable[str]) -> str:
    """Return words as a list in a sentence: a, b and c."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def number(value: float) -> str:
    """Return a setting as it is written in a text: 0.0001, 1e-07, 15."""
    return f"{value:g}"


def ways(records: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return each thing that was done, the most frequent first, with the number of ``scans``."""
    counts = Counter(json.dumps(record, sort_keys=True) for record in records)
    ordered = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    return [json.loads(record) | {"scans": scans} for record, scans in ordered]


def stripping_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a brain was found, of the JSON of its mask: what is of one scan alone is not."""
    engine = str(record["engine"])
    settings = {
        name: value
        for name, value in record.get("settings", {}).items()
        if name in {"frac", "robust"}
    }
    return {"engine": engine, "version": str(record.get("version", "")), "settings": settings}


def space_of(sidecar: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a scan was brought to model space, of the JSON of its z-scored image."""
    return {
        "size": sidecar["geometry"]["resize"]["target"],
        "mode": sidecar.get("resize", {}).get("mode", ""),
        "over": sidecar.get("zscore", {}).get("over", ""),
    }


def software_of(versions: Sequence[Mapping[str, str]]) -> list[str]:
    """Return each library with the versions of it that were used."""
    told = []
    for name, called in SOFTWARE.items():
        if used := dict.fromkeys(each[name] for each in versions if name in each):
            told.append(f"{called} {' and '.join(used)}")
    return told


def commits_of(runs: Iterable[Mapping[str, Any]]) -> str:
    """Return the commits that made some run.json; empty where they are not known."""
    states = [run["git"] for run in runs]
    told = [
        f"{str(state['commit'])[:12]}{' with changes' if state['dirty'] is True else ''}"
        for state in states
        if state["commit"] != NOT_KNOWN
    ]
    return " and ".join(dict.fromkeys(told))
