# Pictures to check a run by.


rule draw_mosaic:
    input:
        image=of_scan("flair"),
        mask=rules.strip_skull.output.mask,
        sidecar=rules.strip_skull.output.sidecar,
    output:
        f"{RESULTS}/figures/mosaic/{{folder}}/{{scan}}.png",
    log:
        f"{LOGS}/draw_mosaic/{{folder}}/{{scan}}.log",
    benchmark:
        f"{BENCHMARKS}/draw_mosaic/{{folder}}/{{scan}}.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        code=code("mosaic"),
    shell:
        "python -m msnmo.mosaic --image {input.image:q} --mask {input.mask:q}"
        " --sidecar {input.sidecar:q} --out {output:q} > {log:q} 2>&1"


rule preprocess:
    input:
        rules.list_manifest.output,
        per_scan(f"{RESULTS}/figures/mosaic/{{folder}}/{{scan}}.png"),


rule draw_pathway:
    input:
        metrics=rules.aggregate_metrics.output,
        manifest=rules.list_manifest.output,
        cohort=rules.read_cohort.output,
        folds=rules.split_folds.output,
    output:
        f"{RESULTS}/figures/pathway.png",
    log:
        f"{LOGS}/draw_pathway.log",
    benchmark:
        f"{BENCHMARKS}/draw_pathway.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        method=METHODS[0],
        n4=pattern(rules.correct_bias.output.image),
        predictions=pattern(rules.predict_fold.output[0]),
        code=code("figures.pathway"),
    shell:
        "python -m msnmo.figures.pathway --metrics {input.metrics:q} --manifest {input.manifest:q}"
        " --cohort {input.cohort:q} --folds {input.folds:q} --method {params.method}"
        " --n4 {params.n4:q} --predictions {params.predictions:q} --out {output:q} > {log:q} 2>&1"
