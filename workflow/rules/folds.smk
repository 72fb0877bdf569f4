# Cross-validation: which scan is tested in which fold, and what each fold's jobs read.

from functools import cache


rule split_folds:
    input:
        rules.accept_cohort.output.cohort,
    output:
        f"{RESULTS}/folds.tsv",
    log:
        f"{LOGS}/split_folds.log",
    benchmark:
        f"{BENCHMARKS}/split_folds.tsv"
    conda:
        "../../envs/image.yaml"
    params:
        k=config["folds"]["k"],
        split=config["folds"]["split"],
        seed=config["seed"],
        code=code("cohort.folds"),
    shell:
        "python -m msnmo.cohort.folds --cohort {input:q} --k {params.k}"
        " --split {params.split} --seed {params.seed} --out {output:q} 2>&1 | tee {log:q}"


PART = f"{RESULTS}/folds/fold-{{fold}}/{{part}}.tsv"
# what jobs of a fold read, and no more of: the side of the fold, and the files of its scans
PARTS = {
    "train_images": ("train", {"image": MODEL_IMAGE}),
    "train": ("train", {"image": MODEL_IMAGE, "lesion": MODEL_LESION}),
    "test": ("test", {"image": MODEL_IMAGE, "sidecar": MODEL_SIDECAR}),
    "truth": ("test", {"lesion": MODEL_LESION, "native_lesion": LESIONS}),
}


@cache
def fold_of_each(scans):
    """Return the cohort's scans that are in a fold, and in which."""
    # it imports scikit-learn, which a start without folds need not pay for
    from msnmo.cohort.folds import DIAGNOSES, split_folds

    cohort = SCANS.loc[list(scans)].reset_index(drop=True)
    settings = config["folds"]
    try:
        return split_folds(cohort, settings["k"], settings["split"], config["seed"])
    except MsnmoError:
        # the rule split_folds says why there are no folds; a plan without folds has all scans
        return cohort[cohort["diagnosis"].isin(DIAGNOSES)].assign(fold=-1)


def rows_of_part(wildcards):
    """Return the rows of the scans that a part lists."""
    side, _ = PARTS[wildcards.part]
    folds = fold_of_each(tuple(accepted()["scan"]))
    tested = folds["fold"] == int(wildcards.fold)
    return folds[(tested == (side == "test")) | (folds["fold"] < 0)]


def files_of_part(wildcards):
    """Return the files of the scans that a part lists."""
    _, columns = PARTS[wildcards.part]
    scans = SCANS.loc[rows_of_part(wildcards)["scan"]]
    return [
        str(path).format(scan=scan.scan, folder=scan.scan.replace("_", "/"))
        for scan in scans.itertuples()
        for path in columns.values()
        if scan.lesion_mask or path not in (MODEL_LESION, LESIONS)
    ]


# The cohort's table is no input, as it changes with a site's name: the rows themselves are compared.
rule list_part:
    input:
        files_of_part,
    output:
        PART,
    log:
        f"{LOGS}/list_part/fold-{{fold}}/{{part}}.log",
    benchmark:
        f"{BENCHMARKS}/list_part/fold-{{fold}}/{{part}}.tsv"
    conda:
        "../../envs/image.yaml"
    params:
        rows=lambda wildcards: digest_of(rows_of_part(wildcards).to_csv(index=False)),
        cohort=rules.accept_cohort.output.cohort,
        k=config["folds"]["k"],
        split=config["folds"]["split"],
        seed=config["seed"],
        side=lambda wildcards: PARTS[wildcards.part][0],
        leak="--allow-leak" if config["folds"]["split"] == "random" else "",
        patterns=lambda wildcards: [
            f"--pattern={name}={path}"
            for name, path in PARTS[wildcards.part][1].items()
        ],
        code=code("cohort.parts"),
    shell:
        "python -m msnmo.cohort.parts --cohort {params.cohort:q} --k {params.k}"
        " --split {params.split} --seed {params.seed} --fold {wildcards.fold}"
        " --side {params.side} {params.patterns:q} {params.leak} --out {output:q} > {log:q} 2>&1"
