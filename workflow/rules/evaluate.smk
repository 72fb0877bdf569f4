# Evaluate predictions: long tables of every metric, tests between methods, and calibration.


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
        smallest_mm3=config["metrics"]["smallest_lesion_mm3"],
        code=code("evaluate"),
    shell:
        "python -m msnmo.evaluate --predictions {input.predictions:q} --scans {input.scans:q}"
        " --method {wildcards.method} --fold {wildcards.fold} --seed {params.seed}"
        " --smallest-lesion-mm3 {params.smallest_mm3} --out {output:q} > {log:q} 2>&1"


# a selection is a table, a figure or all; each waits only for the methods that it shows
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
        folds=lambda wildcards: tested_folds(),
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


# Table S3: each metric at each site, for all methods
rule compare_sites:
    input:
        metrics=f"{RESULTS}/metrics/all.tsv",
        folds=rules.split_folds.output,
        cohort=rules.accept_cohort.output.cohort,
    output:
        f"{RESULTS}/statistics/sites.tsv",
    log:
        f"{LOGS}/compare_sites.log",
    benchmark:
        f"{BENCHMARKS}/compare_sites.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        settings=config["statistics"],
        seed=config["seed"],
        code=code("evaluate.statistics.sites"),
    shell:
        "python -m msnmo.evaluate.statistics.sites --metrics {input.metrics:q}"
        " --folds {input.folds:q} --cohort {input.cohort:q} --seed {params.seed}"
        " --replicates {params.settings[replicates]}"
        " --confidence {params.settings[confidence]} --out {output:q} > {log:q} 2>&1"


# how well the site of a scan alone predicts its class, without a network
rule judge_site_alone:
    input:
        folds=rules.split_folds.output,
        cohort=rules.accept_cohort.output.cohort,
    output:
        f"{RESULTS}/statistics/site-alone.tsv",
    log:
        f"{LOGS}/judge_site_alone.log",
    benchmark:
        f"{BENCHMARKS}/judge_site_alone.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        tested=lambda wildcards: tested_folds(),
        settings=config["statistics"],
        seed=config["seed"],
        code=code("evaluate.statistics.site_alone"),
    shell:
        "python -m msnmo.evaluate.statistics.site_alone --folds {input.folds:q}"
        " --cohort {input.cohort:q} --tested {params.tested} --seed {params.seed}"
        " --replicates {params.settings[replicates]}"
        " --confidence {params.settings[confidence]} --out {output:q} > {log:q} 2>&1"


# one job for all folds: each fold is scaled by the held-out scans of the other folds
rule calibrate_classes:
    input:
        predictions=lambda wildcards: trainings(rules.predict_fold.output, CLASSIFYING),
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
        tested=lambda wildcards: tested_folds(),
        predictions=of_training(rules.predict_fold.output[0]),
        code=code("evaluate.calibration"),
    shell:
        "python -m msnmo.evaluate.calibration --methods {params.methods} --folds {input.folds:q}"
        " --tested {params.tested} --predictions {params.predictions:q} --out {output:q}"
        " > {log:q} 2>&1"


# where the maps of a training are stored; Grad-CAM is made for the first seed of the joint model
rule measure_maps:
    input:
        scans=part_of_fold("test"),
        truth=part_of_fold("truth"),
        predictions=rules.predict_fold.output,
        gradcam=lambda wildcards: (
            rules.map_gradcam.output[0]
            if (wildcards.method, wildcards.seed) == (JOINT, FIRST_SEED)
            else []
        ),
    output:
        f"{RESULTS}/localisation/{{method}}/fold-{{fold}}{{seed}}.tsv",
    log:
        f"{LOGS}/measure_maps/{{method}}/fold-{{fold}}{{seed}}.log",
    benchmark:
        f"{BENCHMARKS}/measure_maps/{{method}}/fold-{{fold}}{{seed}}.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        follows_from=lambda job: [of_part(part)(job) for part in ("test", "truth")],
        gradcam=lambda wildcards, input: (
            [f"--gradcam={input.gradcam}"] if input.gradcam else []
        ),
        seed=lambda wildcards: SEED_OF[wildcards.seed],
        code=code("evaluate.localisation"),
    shell:
        "python -m msnmo.evaluate.localisation --scans {input.scans:q} --truth {input.truth:q}"
        " --predictions {input.predictions:q} {params.gradcam:q} --method {wildcards.method}"
        " --seed {params.seed} --fold {wildcards.fold} --out {output:q} > {log:q} 2>&1"


# maps of intensity and of noise, which do not depend on training
rule measure_untrained_maps:
    input:
        scans=part_of_fold("test"),
        truth=part_of_fold("truth"),
    output:
        f"{RESULTS}/localisation/untrained-fold-{{fold}}.tsv",
    log:
        f"{LOGS}/measure_untrained_maps/fold-{{fold}}.log",
    benchmark:
        f"{BENCHMARKS}/measure_untrained_maps/fold-{{fold}}.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        follows_from=lambda job: [of_part(part)(job) for part in ("test", "truth")],
        code=code("evaluate.localisation"),
    shell:
        "python -m msnmo.evaluate.localisation --scans {input.scans:q} --truth {input.truth:q}"
        " --fold {wildcards.fold} --out {output:q} > {log:q} 2>&1"


# whether maps find lesions better than chance: for all seeds (the table), or for the first seed,
# whose maps are shown with this verdict
rule judge_maps:
    input:
        measured=lambda wildcards: expand(
            rules.measure_maps.output,
            method=wildcards.method,
            fold=tested_folds(),
            seed=[wildcards.seed] if wildcards.seed else SEED_OF,
        ),
        untrained=lambda wildcards: expand(
            rules.measure_untrained_maps.output, fold=tested_folds()
        ),
        folds=rules.split_folds.output,
    output:
        f"{RESULTS}/localisation/{{method}}{{seed}}.tsv",
    log:
        f"{LOGS}/judge_maps/{{method}}{{seed}}.log",
    benchmark:
        f"{BENCHMARKS}/judge_maps/{{method}}{{seed}}.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        settings=config["statistics"],
        seed=config["seed"],
        code=code("evaluate.statistics.maps"),
    shell:
        "python -m msnmo.evaluate.statistics.maps --measured {input.measured:q}"
        " --untrained {input.untrained:q}"
        " --folds {input.folds:q} --seed {params.seed}"
        " --replicates {params.settings[replicates]}"
        " --confidence {params.settings[confidence]} --out {output:q} > {log:q} 2>&1"


# how many small and large lesions one training finds
rule measure_lesions:
    input:
        predictions=rules.predict_fold.output,
        scans=part_of_fold("truth"),
    output:
        f"{RESULTS}/lesions/{{method}}/fold-{{fold}}{{seed}}.tsv",
    log:
        f"{LOGS}/measure_lesions/{{method}}/fold-{{fold}}{{seed}}.log",
    benchmark:
        f"{BENCHMARKS}/measure_lesions/{{method}}/fold-{{fold}}{{seed}}.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        follows_from=of_part("truth"),
        seed=lambda wildcards: SEED_OF[wildcards.seed],
        smallest_mm3=config["metrics"]["smallest_lesion_mm3"],
        sizes_ml=config["metrics"]["lesion_sizes_ml"],
        code=code("evaluate.lesion_sizes"),
    shell:
        "python -m msnmo.evaluate.lesion_sizes --predictions {input.predictions:q}"
        " --scans {input.scans:q} --method {wildcards.method} --fold {wildcards.fold}"
        " --seed {params.seed} --smallest-lesion-mm3 {params.smallest_mm3}"
        " --lesion-sizes-ml {params.sizes_ml} --out {output:q} > {log:q} 2>&1"


AGREEMENT = f"{RESULTS}/raters/{{folder}}/{{scan}}.tsv"


# agreement of the raters of a scan with several masks, which does not depend on training
rule compare_raters:
    input:
        flair=sources("flair", AGREEMENT),
        masks=sources("lesion_mask", AGREEMENT),
    output:
        AGREEMENT,
    log:
        f"{LOGS}/compare_raters/{{folder}}/{{scan}}.log",
    benchmark:
        f"{BENCHMARKS}/compare_raters/{{folder}}/{{scan}}.tsv"
    conda:
        "../../envs/image.yaml"
    params:
        contents=contents("flair", "lesion_mask"),
        other_grid=config["lesion_masks"]["other_grid"],
        labels=LESION_LABELS,
        smallest_mm3=config["metrics"]["smallest_lesion_mm3"],
        code=code("evaluate.raters"),
    shell:
        "python -m msnmo.evaluate.raters --scan {wildcards.scan} --flair {input.flair:q}"
        " --masks {input.masks:q} --other-grid {params.other_grid}"
        " --lesion-labels {params.labels}"
        " --smallest-lesion-mm3 {params.smallest_mm3} --out {output:q} > {log:q} 2>&1"


# all methods at once: raters are compared with each method on the same scans
rule describe_lesions:
    input:
        measured=measured_lesions,
        raters=per_scan(rules.compare_raters.output, raters=2),
        folds=rules.split_folds.output,
    output:
        f"{RESULTS}/statistics/table-{layout.LESIONS}.tsv",
    log:
        f"{LOGS}/describe_lesions.log",
    benchmark:
        f"{BENCHMARKS}/describe_lesions.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        raters=lambda wildcards, input: (
            ["--raters", *input.raters] if input.raters else []
        ),
        settings=config["statistics"],
        seed=config["seed"],
        code=code("evaluate.statistics.lesions"),
    shell:
        "python -m msnmo.evaluate.statistics.lesions --measured {input.measured:q}"
        " {params.raters:q} --folds {input.folds:q} --seed {params.seed}"
        " --replicates {params.settings[replicates]}"
        " --confidence {params.settings[confidence]} --out {output:q} > {log:q} 2>&1"
