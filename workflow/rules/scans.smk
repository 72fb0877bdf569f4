# What jobs of one scan read, run and write: entries of the scan table, files by its name or folder.

LESION_LABELS = config["lesion_masks"]["labels"]  # a list, or any


def sources(column, output):
    """Return an input function: the files of a scan that a column names; there may be none.

    Their content decides whether the job is run again (`contents`), not their times: a mask may be
    replaced by an older file, a scan be touched. Times decide where Snakemake has no record of the
    output, for then it cannot compare the content.
    """

    def files(wildcards):
        made = IOFile(str(output).format(**wildcards))
        recorded = workflow.persistence.metadata(made) is not None
        return [
            ancient(path) if recorded else path for path in named(wildcards, column)
        ]

    return files


def named(wildcards, *columns):
    """Return the files that columns of the scan table name for the job's scan."""
    scan = wildcards.get("scan") or scan_of(wildcards.folder)
    entries = ";".join(OPENED.loc[scan, column] for column in columns)
    return [path for path in entries.split(";") if path]


def contents(*columns):
    """Return a params function: digests of the files that columns name."""

    def told(wildcards):
        scan = wildcards.get("scan") or scan_of(wildcards.folder)
        checked = path_of_scan(REPORT_OF_SCAN, scan)
        if workflow.dryrun and not checked.exists():
            return "not checked yet"
        return [content(Path(path), checked) for path in named(wildcards, *columns)]

    return told


from msnmo.core.names import folder_of, path_of_scan, scan_of
from msnmo.preprocess.steps import STEPS


def of_scan(column):
    """Return an input or params function: the scan table's entry for the job's scan."""
    return lambda wildcards: OPENED.loc[wildcards.scan, column]


def option(name, column):
    """Return a params function: a command's option, if the scan table's column has an entry."""

    def given(wildcards):
        entry = OPENED.loc[wildcards.scan, column]
        return f"{name}={shlex.quote(entry)}" if entry else ""

    return given


def command(step):
    """Return the shell line of a step of preprocessing. `msnmo.apply` runs the same steps."""
    return STEPS[step].shell_line()


def options(step):
    """Return a params function: a step's options by the config and the scan table."""

    # a function of the wildcards only: Snakemake does not compare params that may depend on inputs
    def given(wildcards):
        known = {name: SCANS.loc[wildcards.scan, name] for name in STEPS[step].of_scan}
        known |= {
            name: named(wildcards, f"{name}_mask") for name in STEPS[step].perhaps
        }
        return STEPS[step].options(config, known)

    return given


def lesions_of_scan(wildcards):
    """Return the preprocessed lesion masks of a scan, native and in model space, if it has any."""
    if not SCANS.loc[wildcards.scan, "lesion_mask"]:
        return {}
    return {
        "lesion": rules.combine_raters.output,
        "model_lesion": rules.resize_lesion.output,
    }


def of_folder(pattern):
    """Return an input or params function: a file of the scan that a folder is of."""
    return lambda wildcards: str(pattern).format(
        folder=wildcards.folder, scan=scan_of(wildcards.folder)
    )


def folder_of_scan(pattern):
    """Return an input function: a folder of the job's scan."""
    return lambda wildcards: pattern.format(folder=folder_of(wildcards.scan))


def new_scans(wildcards):
    """Return the page of every scan to apply a bundle to. Stop with a message if there is none.

    The folds trained here learned from the scans with a lesion mask. For another bundle all scans
    are new.
    """
    which = None if config["apply"]["bundle"] else False
    pages = per_scan(rules.draw_applied.output.page, labelled=which)(wildcards)
    if not pages:
        raise WorkflowError(
            f"{config['scans']}: no scan to apply a bundle to: all have a lesion mask, and so are "
            "among those that the folds learned from. Add scans without diagnosis and mask, "
            "or name a bundle in the config (apply.bundle)."
        )
    return pages
