# Test whether classifiers tell classes without lesions: fill lesions, or use image features only.

SHORTCUTS = f"{RESULTS}/shortcuts"


rule fill_lesions:
    input:
        image=rules.zscore_scan.output.image,
        lesion=rules.resize_lesion.output,
        brain=rules.resize_scan.output.brain,
    output:
        f"{SHORTCUTS}/filled/{{folder}}/{{scan}}_space-model_desc-filled_FLAIR.nii.gz",
    log:
        f"{LOGS}/fill_lesions/{{folder}}/{{scan}}.log",
    benchmark:
        f"{BENCHMARKS}/fill_lesions/{{folder}}/{{scan}}.tsv"
    conda:
        "../../envs/image.yaml"
    params:
        follows_from=follows_from(lesion=True),
        mask=config["resize"]["mask"],
        over=config["zscore"]["over"],
        code=code("predict.fill"),
    shell:
        "python -m msnmo.predict.fill --scan {wildcards.scan} --image {input.image:q}"
        " --lesion {input.lesion:q} --brain {input.brain:q} --over {params.over}"
        " --out {output:q} > {log:q} 2>&1"


rule predict_filled:
    input:
        scans=part_of_fold("test"),
        truth=part_of_fold("truth"),
        filled=filled_of_fold,
        weights=rules.train_fold.output.weights,
        run=rules.train_fold.output.run,
    output:
        f"{SHORTCUTS}/{{method}}/fold-{{fold}}{{seed}}.tsv",
    log:
        f"{LOGS}/predict_filled/{{method}}/fold-{{fold}}{{seed}}.log",
    benchmark:
        f"{BENCHMARKS}/predict_filled/{{method}}/fold-{{fold}}{{seed}}.tsv"
    conda:
        TORCH_ENV
    threads: config["compute"]["threads"]
    resources:
        gpu=GPU,
    params:
        follows_from=lambda job: [of_part(part)(job) for part in ("test", "truth")],
        filled_by=code("predict.fill"),
        trained_from=of_part(training_part),
        settings=settings_of_method,
        seed=lambda wildcards: SEED_OF[wildcards.seed],
        filled=pattern(rules.fill_lesions.output[0]),
        device=uncompared(config["compute"]["device"]),
        cpu_threads=uncompared(config["compute"]["threads"]),
        code=lambda wildcards: code("predict.filled", *networks_of(wildcards.method)),
    shell:
        "python -m msnmo.predict.filled --scans {input.scans:q} --truth {input.truth:q}"
        " --filled {params.filled:q} --method {wildcards.method} --fold {wildcards.fold}"
        " --seed {params.seed} --weights {input.weights:q} --run {input.run:q}"
        " --device {params.device} --threads {params.cpu_threads} --out {output:q}"
        " > {log:q} 2>&1"


rule measure_features:
    input:
        image=rules.correct_bias.output.image,
        brain=rules.strip_skull.output.mask,
        lesion=rules.combine_raters.output,
    output:
        f"{SHORTCUTS}/features/{{folder}}/{{scan}}.json",
    log:
        f"{LOGS}/measure_features/{{folder}}/{{scan}}.log",
    benchmark:
        f"{BENCHMARKS}/measure_features/{{folder}}/{{scan}}.tsv"
    conda:
        "../../envs/image.yaml"
    params:
        follows_from=follows_from("crop", lesion=True),
        code=code("evaluate.image_features"),
    shell:
        "python -m msnmo.evaluate.image_features --image {input.image:q} --brain {input.brain:q}"
        " --lesion {input.lesion:q} --out {output:q} > {log:q} 2>&1"


rule classify_features:
    input:
        features=per_scan(rules.measure_features.output[0], labelled=True),
        cohort=rules.accept_cohort.output.cohort,
        folds=rules.split_folds.output,
    output:
        f"{SHORTCUTS}/by-features.tsv",
    log:
        f"{LOGS}/classify_features.log",
    benchmark:
        f"{BENCHMARKS}/classify_features.tsv"
    conda:
        "../../envs/image.yaml"
    params:
        features=pattern(rules.measure_features.output[0]),
        tested=lambda wildcards: tested_folds(),
        code=code("evaluate.feature_classifier"),
    shell:
        "python -m msnmo.evaluate.feature_classifier --features {params.features:q}"
        " --cohort {input.cohort:q} --folds {input.folds:q} --tested {params.tested}"
        " --out {output:q} > {log:q} 2>&1"


rule judge_shortcuts:
    input:
        metrics=f"{RESULTS}/metrics/table-{layout.SHORTCUTS}.tsv",
        filled=lambda wildcards: trainings(
            rules.predict_filled.output, wildcards.method, SEEDS
        ),
        features=rules.classify_features.output,
        folds=rules.split_folds.output,
    output:
        f"{SHORTCUTS}/{{method}}.tsv",
    log:
        f"{LOGS}/judge_shortcuts/{{method}}.log",
    benchmark:
        f"{BENCHMARKS}/judge_shortcuts/{{method}}.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        settings=config["statistics"],
        seed=config["seed"],
        code=code("evaluate.statistics.shortcuts"),
    shell:
        "python -m msnmo.evaluate.statistics.shortcuts --method {wildcards.method}"
        " --metrics {input.metrics:q} --filled {input.filled:q} --features {input.features:q}"
        " --folds {input.folds:q} --seed {params.seed}"
        " --replicates {params.settings[replicates]}"
        " --confidence {params.settings[confidence]} --out {output:q} > {log:q} 2>&1"


# Table S6
rule write_shortcut_table:
    input:
        judged=judged_shortcuts,
        cohort=rules.accept_cohort.output.cohort,
        excluded=rules.accept_cohort.output.excluded,
    output:
        tsv=f"{RESULTS}/tables/table-{layout.SHORTCUTS}.tsv",
        json=f"{RESULTS}/tables/table-{layout.SHORTCUTS}.json",
        md=f"{RESULTS}/tables/table-{layout.SHORTCUTS}.md",
        tex=f"{RESULTS}/tables/table-{layout.SHORTCUTS}.tex",
        html=report(
            f"{RESULTS}/tables/table-{layout.SHORTCUTS}.html",
            caption="../report/table.rst",
            category="Tables",
            labels={"table": layout.SHORTCUTS},
        ),
    log:
        f"{LOGS}/write_shortcut_table.log",
    benchmark:
        f"{BENCHMARKS}/write_shortcut_table.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        table=layout.SHORTCUTS,
        folds=HOW_SPLIT,
        code=code("tables"),
    shell:
        "python -m msnmo.tables --table {params.table} --shortcuts {input.judged:q}"
        " --cohort {input.cohort:q} {params.folds}"
        " --excluded {input.excluded:q} --out-tsv {output.tsv:q} --out-json {output.json:q}"
        " --out-md {output.md:q}"
        " --out-tex {output.tex:q} --out-html {output.html:q} > {log:q} 2>&1"


# this target also works without a joint model, in which case `all` leaves it out
rule shortcuts:
    input:
        after_check(
            table_files(layout.SHORTCUTS), weights_of(f"table-{layout.SHORTCUTS}")
        ),
