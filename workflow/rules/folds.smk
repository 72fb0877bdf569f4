# Cross-validation: which scan is tested in which fold, and what each fold's jobs read.


rule split_folds:
    input:
        rules.accept_cohort.output.cohort,
    output:
        f"{RESULTS}/folds.tsv",
    log:
        f"{LOGS}/split_folds.log",
    benchmark:
        f"{BENCHMARKS}/split_folds.tsv"
    # it is reported at once if folds cannot be made, and not after hours of preprocessing
    priority: 100
    conda:
        "../../envs/image.yaml"
    params:
        k=config["folds"]["k"],
        split=config["folds"]["split"],
        seed=config["seed"],
        code=code("cohort.folds"),
    shell:
        "python -m msnmo.cohort.folds --cohort {input:q} --k {params.k}"
        " --split {params.split} --seed {params.seed} --out {output:q} > {log:q} 2>&1"


# The cohort's table is no input, as it changes with a site's name. Its rows are compared instead.
rule list_part:
    input:
        files_of_part,
    output:
        PART,
    log:
        f"{LOGS}/list_part/{NAME_OF_PART}.log",
    benchmark:
        f"{BENCHMARKS}/list_part/{NAME_OF_PART}.tsv"
    conda:
        "../../envs/image.yaml"
    params:
        follows_from=part_follows_from,
        cohort=rules.accept_cohort.output.cohort,
        k=config["folds"]["k"],
        split=config["folds"]["split"],
        seed=seed_of_folds,
        side=lambda wildcards: PARTS[wildcards.part][0],
        leak="--allow-leak" if config["folds"]["split"] == "random" else "",
        # the other sites may have scans of only one class
        classes=(
            "--classify" if CLASSIFYING and config["folds"]["split"] == "site" else ""
        ),
        patterns=lambda wildcards: [
            f"--pattern={name}={path}"
            for name, path in PARTS[wildcards.part][1].items()
        ],
        code=code("cohort.parts"),
    shell:
        "python -m msnmo.cohort.parts --cohort {params.cohort:q} --k {params.k}"
        " --split {params.split} --seed {params.seed} --fold {wildcards.fold}"
        " --side {params.side} {params.patterns:q} {params.leak} {params.classes}"
        " --out {output:q} > {log:q} 2>&1"
