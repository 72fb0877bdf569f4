"""From head scans to the tables of Huang et al. 2024: cohort, preprocessing, training, evaluation."""

from pathlib import Path

from snakemake.utils import min_version

min_version("9.0")


configfile: Path(workflow.current_basedir) / "config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/scans.smk"
include: "workflow/rules/selection.smk"
include: "workflow/rules/planning.smk"
include: "workflow/rules/lineage.smk"
include: "workflow/rules/check.smk"
include: "workflow/rules/preprocess.smk"
include: "workflow/rules/model_space.smk"
include: "workflow/rules/cohort.smk"
include: "workflow/rules/quality.smk"
include: "workflow/rules/parts.smk"
include: "workflow/rules/folds.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/shortcuts.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/robustness.smk"
include: "workflow/rules/bundle.smk"
include: "workflow/rules/apply.smk"
include: "workflow/rules/report.smk"


localrules:
    all,
    tables,
    check,
    figures,
    preprocess,
    apply,
    evaluate_bundle,
    bundle,
    report,
    shortcuts,
    robustness,


# The whole sentence: every table and figure, a picture of every scan to check its brain mask by, and
# the report that shows all of it.
rule all:
    # not of a workflow that has this one as a module
    default_target: IS_MAIN
    input:
        rules.tables.input,
        rules.figures.input,
        rules.preprocess.input,
        rules.report.input,
        after_check(f"{RESULTS}/metrics/all.tsv"),
