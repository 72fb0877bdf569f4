# From predictions to long tables of every metric, to the tests between methods and to calibration.


rule evaluate_fold:
    input:
        predictions=rules.predict_fold.output,
        scans=part_of_fold("truth"),
    output:
        f"{RESULTS}/metrics/{{method}}/fold-{{fold}}{{seed}}.tsv",
    log:
        f"{LOGS}/evaluate_fold/{{method}}/fold-{{fold}}{{seed}}.log",
    benchmark:
        f"{BENCHMARKS}/evaluate_fold/{{method}}/fold-{{fold}}{{seed}}.tsv"
    conda:
        "../../envs/torch-cpu.yaml"
    params:
        follows_from=of_part("truth"),
        seed=lambda wildcards: SEED_OF[wildcards.seed],
        code=code("evaluate"),
    shell:
        "python -m msnmo.evaluate --predictions {input.predictions:q} --scans {input.scans:q}"
        " --method {wildcards.method} --fold {wildcards.fold} --seed {params.seed}"
        " --out {output:q} > {log:q} 2>&1"


# a selection is a table, a figure or all: each waits for the methods that it shows, and no other
rule aggregate_metrics:
    input:
        fold_metrics,
    output:
        f"{RESULTS}/metrics/{{selection}}.tsv",
    log:
        f"{LOGS}/aggregate_metrics/{{selection}}.log",
    benchmark:
        f"{BENCHMARKS}/aggregate_metrics/{{selection}}.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        methods=lambda wildcards: methods_of(wildcards.selection),
        folds=FOLDS,
        seeds=lambda wildcards: seeds_of(wildcards.selection),
        code=code("evaluate.aggregate"),
    shell:
        "python -m msnmo.evaluate.aggregate --methods {params.methods} --folds {params.folds}"
        " --seeds {params.seeds} --metrics {input:q} --out {output:q} > {log:q} 2>&1"


rule compare_methods:
    input:
        metrics=f"{RESULTS}/metrics/table-{{table}}.tsv",
        folds=rules.split_folds.output,
    output:
        f"{RESULTS}/statistics/table-{{table}}.tsv",
    log:
        f"{LOGS}/compare_methods/{{table}}.log",
    benchmark:
        f"{BENCHMARKS}/compare_methods/{{table}}.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        settings=config["statistics"],
        seed=config["seed"],
        code=code("evaluate.statistics"),
    shell:
        "python -m msnmo.evaluate.statistics --metrics {input.metrics:q} --folds {input.folds:q}"
        " --tables {wildcards.table} --seed {params.seed}"
        " --replicates {params.settings[replicates]}"
        " --confidence {params.settings[confidence]} --out {output:q} > {log:q} 2>&1"


# one job for all folds: each is scaled by what the held-out scans of the others say
rule calibrate_classes:
    input:
        predictions=trainings(rules.predict_fold.output, CLASSIFYING),
        folds=rules.split_folds.output,
    output:
        f"{RESULTS}/tables/calibration.tsv",
    log:
        f"{LOGS}/calibrate_classes.log",
    benchmark:
        f"{BENCHMARKS}/calibrate_classes.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        methods=CLASSIFYING,
        tested=FOLDS,
        predictions=of_training(rules.predict_fold.output[0]),
        code=code("evaluate.calibration"),
    shell:
        "python -m msnmo.evaluate.calibration --methods {params.methods} --folds {input.folds:q}"
        " --tested {params.tested} --predictions {params.predictions:q} --out {output:q}"
        " > {log:q} 2>&1"


# the scans of Figure 12, whose Grad-CAM a GPU makes
rule choose_scans:
    input:
        metrics=f"{RESULTS}/metrics/figure-12.tsv",
        scans=after_check(expand(PART, part="test", fold=FOLDS)),
    output:
        f"{RESULTS}/figures/figure-12-scans.tsv",
    log:
        f"{LOGS}/choose_scans.log",
    benchmark:
        f"{BENCHMARKS}/choose_scans.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        method=JOINT,
        code=code("evaluate.choose"),
    shell:
        "python -m msnmo.evaluate.choose --metrics {input.metrics:q} --scans {input.scans:q}"
        " --method {params.method} --out {output:q} > {log:q} 2>&1"
