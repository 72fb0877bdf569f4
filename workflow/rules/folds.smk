# Cross-validation: which scan is tested in which fold.


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
        settings=config["folds"],
        seed=config["seed"],
        code=code("cohort.folds"),
    shell:
        "python -m msnmo.cohort.folds --cohort {input:q} --k {params.settings[k]}"
        " --split {params.settings[split]} --seed {params.seed} --out {output:q} 2>&1 | tee {log:q}"
