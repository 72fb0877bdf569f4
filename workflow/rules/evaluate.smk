# From predictions to one long table of every metric.


rule evaluate_fold:
    input:
        predictions=rules.predict_fold.output,
        manifest=rules.list_manifest.output,
        folds=rules.split_folds.output,
    output:
        f"{RESULTS}/metrics/{{method}}/fold-{{fold}}.tsv",
    log:
        f"{LOGS}/evaluate_fold/{{method}}/fold-{{fold}}.log",
    benchmark:
        f"{BENCHMARKS}/evaluate_fold/{{method}}/fold-{{fold}}.tsv"
    conda:
        "../../envs/image.yaml"
    params:
        leak=ALLOW_LEAK,
        code=code("evaluate"),
    shell:
        "python -m msnmo.evaluate --predictions {input.predictions:q}"
        " --manifest {input.manifest:q} --folds {input.folds:q} --method {wildcards.method}"
        " --fold {wildcards.fold} {params.leak} --out {output:q} > {log:q} 2>&1"


rule aggregate_metrics:
    input:
        expand(rules.evaluate_fold.output, method=METHODS, fold=FOLDS),
    output:
        f"{RESULTS}/metrics/all.tsv",
    log:
        f"{LOGS}/aggregate_metrics.log",
    benchmark:
        f"{BENCHMARKS}/aggregate_metrics.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        methods=METHODS,
        k=len(FOLDS),
        code=code("aggregate"),
    shell:
        "python -m msnmo.aggregate --methods {params.methods} --folds-count {params.k}"
        " --metrics {input:q} --out {output:q} > {log:q} 2>&1"
