# Pack trained folds into a bundle. It is applied to new scans without the data they learned from.

BUNDLED = config["bundle"]["method"]
if ONE_CLASS:
    BUNDLED = packed(BUNDLED, METHODS, CLASSES)
CLASSIFIES = "classification" in REGISTRY[BUNDLED].tasks


rule make_bundle:
    input:
        weights=lambda wildcards: trainings(rules.train_fold.output.weights, BUNDLED),
        runs=lambda wildcards: trainings(rules.train_fold.output.run, BUNDLED),
        metrics=lambda wildcards: trainings(rules.evaluate_fold.output, BUNDLED),
        predictions=lambda wildcards: (
            trainings(rules.predict_fold.output, BUNDLED)
            if config["calibration"]["temperature_scaling"] and CLASSIFIES
            else []
        ),
        localisation=(
            of_first_seed(rules.judge_maps.output, method=BUNDLED)
            if REGISTRY[BUNDLED].has_maps
            else []
        ),
        cohort=rules.accept_cohort.output.cohort,
        sidecars=per_scan(rules.strip_skull.output.sidecar, labelled=True),
        reports=per_scan(rules.check_scan.output[0], labelled=True),
    output:
        directory(f"{RESULTS}/bundle"),
    log:
        f"{LOGS}/make_bundle.log",
    benchmark:
        f"{BENCHMARKS}/make_bundle.tsv"
    conda:
        "../../envs/torch-cpu.yaml"
    params:
        method=BUNDLED,
        certain_from=config["bundle"]["certain_from"],
        config=json.dumps(shareable(config)),
        sidecar=pattern(rules.strip_skull.output.sidecar),
        reports=pattern(REPORT_OF_SCAN),
        predictions=lambda wildcards, input: (
            ["--predictions", *input.predictions] if input.predictions else []
        ),
        localisation=lambda wildcards, input: (
            [f"--localisation={input.localisation}"] if input.localisation else []
        ),
        code=code("bundle", *networks_of(BUNDLED)),
    shell:
        "python -m msnmo.bundle --method {params.method} --weights {input.weights:q}"
        " --runs {input.runs:q} --metrics {input.metrics:q} {params.predictions:q}"
        " {params.localisation:q} --cohort {input.cohort:q} --brain-sidecar {params.sidecar:q}"
        " --check-reports {params.reports:q}"
        " --config {params.config:q} --certain-from {params.certain_from} --out {output:q}"
        " > {log:q} 2>&1"


rule bundle:
    input:
        after_check(rules.make_bundle.output),
