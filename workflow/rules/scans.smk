# What a scan's jobs read, run and write: entries of the scan table, files by its name or its folder.

import shlex

from msnmo.core.names import folder_of, scan_of
from msnmo.preprocess.steps import STEPS


def of_scan(column):
    """Return an input or params function: the scan table's entry for the job's scan."""
    return lambda wildcards: SCANS.loc[wildcards.scan, column]


def paths_of_scan(column):
    """Return an input function: the files that a column names for the job's scan, maybe none."""
    return lambda wildcards: [
        path for path in SCANS.loc[wildcards.scan, column].split(";") if path
    ]


def option(name, column):
    """Return a params function: a command's option where the scan table's column has an entry."""

    def given(wildcards):
        entry = SCANS.loc[wildcards.scan, column]
        return f"{name}={shlex.quote(entry)}" if entry else ""

    return given


def command(step):
    """Return the shell line of a step of preprocessing: what `msnmo.apply` runs, too."""
    return STEPS[step].shell_line()


def options(step):
    """Return a params function: a step's options by the config, the scan table and its files."""

    def given(wildcards, input):
        row = SCANS.loc[wildcards.scan]
        known = {name: row[name] for name in STEPS[step].of_scan}
        known |= {name: list(getattr(input, name)) for name in STEPS[step].perhaps}
        return STEPS[step].options(config, known)

    return given


def lesions_of_scan(wildcards):
    """Return a scan's lesion masks as preprocessed, native and in model space, if it has any."""
    if not SCANS.loc[wildcards.scan, "lesion_mask"]:
        return {}
    return {
        "lesion": rules.combine_raters.output,
        "model_lesion": rules.resize_lesion.output,
    }


def per_scan(pattern, labelled=None):
    """Return a per-scan file of every scan that goes on, or an input function for it.

    Of all scans, or of those with (`labelled`) or without a lesion mask.
    """

    def files(cohort):
        has_mask = cohort["lesion_mask"] != ""
        named = cohort if labelled is None else cohort[has_mask == labelled]
        return [
            pattern.format(scan=scan, folder=folder_of(scan)) for scan in named["scan"]
        ]

    def accepted(wildcards):
        (path,) = checkpoints.name_accepted.get().output
        return files(SCANS[SCANS["scan"].isin(Path(path).read_text().split())])

    # bad scans that stop the run leave all of them or none: the jobs are known from the start
    return accepted if config["on_bad_scan"] == "exclude" else files(SCANS)


def of_folder(pattern):
    """Return an input or params function: a file of the scan that a folder is of."""
    return lambda wildcards: str(pattern).format(
        folder=wildcards.folder, scan=scan_of(wildcards.folder)
    )


def folder_of_scan(pattern):
    """Return an input function: a folder of the job's scan."""
    return lambda wildcards: pattern.format(folder=folder_of(wildcards.scan))


def new_scans(wildcards):
    """Return the page of every scan to predict; that there is none is said.

    Scans with a lesion mask are what the folds trained here learned from; to another bundle all
    scans are new.
    """
    which = None if config["predict"]["bundle"] else False
    pages = per_scan(rules.draw_applied.output.page, labelled=which)
    pages = pages(wildcards) if callable(pages) else pages
    if not pages:
        raise WorkflowError(
            f"{config['scans']}: no scan to predict: all have a lesion mask, and so are "
            "among those that the folds learned from. Add scans without diagnosis and mask, "
            "or name a bundle in the config (predict.bundle)."
        )
    return pages
