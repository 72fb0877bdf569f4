# Perturb held-out scans with graded severity and test the trained networks on them. This is not
# part of `all`.

ROBUSTNESS = f"{RESULTS}/robustness"
PERTURBED = f"{ROBUSTNESS}/perturbed/{{folder}}/{{scan}}"
TESTED = config["robustness"]["methods"] or METHODS
CONDITIONS = {
    name: severities
    for name, severities in config["robustness"].items()
    if name != "methods"
}
PERTURBED_BY = json.dumps(
    {
        "robustness": CONDITIONS,
        **{name: config[name] for name in ("skull_strip", "n4", "resize", "zscore")},
    },
    sort_keys=True,
)
# the steps that follow skull stripping run within its process
PERTURBING = code(
    "robustness.perturb",
    *[step.module for name, step in STEPS.items() if name != "skullstrip"],
)


# one scan in every condition; this takes the space of 24 scans, and is kept until it is predicted
rule perturb_scan:
    input:
        flair=sources("flair", PERTURBED),
        brain=rules.strip_skull.output.mask,
        sidecar=rules.strip_skull.output.sidecar,
    output:
        temp(directory(PERTURBED)),
    log:
        f"{LOGS}/perturb_scan/{{folder}}/{{scan}}.log",
    benchmark:
        f"{BENCHMARKS}/perturb_scan/{{folder}}/{{scan}}.tsv"
    conda:
        "../../envs/robustness.yaml"
    params:
        contents=contents("flair"),
        follows_from=follows_from("n4"),
        stripped=of_scan("stripped"),
        bias_corrected=of_scan("bias_corrected"),
        settings=PERTURBED_BY,
        seed=config["seed"],
        code=PERTURBING,
    shell:
        "NO_ET=1 python -m msnmo.robustness.perturb --scan {wildcards.scan} --flair {input.flair:q}"
        " --brain {input.brain:q} --sidecar {input.sidecar:q} --stripped {params.stripped}"
        " --bias-corrected {params.bias_corrected} --settings {params.settings:q}"
        " --seed {params.seed} --out {output:q} > {log:q} 2>&1"


# predicted by the networks of the first seed
rule predict_perturbed:
    input:
        scans=part_of_fold("test"),
        truth=part_of_fold("truth"),
        perturbed=perturbed_of_fold,
        weights=of_first_seed(rules.train_fold.output.weights),
        run=of_first_seed(rules.train_fold.output.run),
    output:
        f"{ROBUSTNESS}/{{method}}/fold-{{fold}}.tsv",
    log:
        f"{LOGS}/predict_perturbed/{{method}}/fold-{{fold}}.log",
    benchmark:
        f"{BENCHMARKS}/predict_perturbed/{{method}}/fold-{{fold}}.tsv"
    conda:
        TORCH_ENV
    threads: config["compute"]["threads"]
    resources:
        gpu=GPU,
    params:
        follows_from=lambda job: [of_part(part)(job) for part in ("test", "truth")],
        # the perturbed scans themselves are not kept
        perturbed_by=[PERTURBED_BY, config["seed"], PERTURBING],
        trained_from=of_part(training_part),
        settings=settings_of_method,
        seed=SEEDS[0],
        perturbed=pattern(PERTURBED),
        threshold=config["predict"]["threshold"],
        device=uncompared(config["compute"]["device"]),
        cpu_threads=uncompared(config["compute"]["threads"]),
        code=lambda wildcards: code(
            "robustness.predict", *networks_of(wildcards.method)
        ),
    shell:
        "python -m msnmo.robustness.predict --scans {input.scans:q} --truth {input.truth:q}"
        " --perturbed {params.perturbed:q} --method {wildcards.method} --fold {wildcards.fold}"
        " --seed {params.seed} --weights {input.weights:q} --run {input.run:q}"
        " --threshold {params.threshold} --device {params.device}"
        " --threads {params.cpu_threads} --out {output:q} > {log:q} 2>&1"


rule judge_robustness:
    input:
        measured=lambda wildcards: expand(
            rules.predict_perturbed.output,
            method=wildcards.method,
            fold=tested_folds(),
        ),
        metrics=lambda wildcards: trainings(
            rules.evaluate_fold.output, wildcards.method
        ),
        folds=rules.split_folds.output,
    output:
        f"{ROBUSTNESS}/{{method}}.tsv",
    log:
        f"{LOGS}/judge_robustness/{{method}}.log",
    benchmark:
        f"{BENCHMARKS}/judge_robustness/{{method}}.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        settings=config["statistics"],
        seed=config["seed"],
        code=code("robustness.statistics"),
    shell:
        "python -m msnmo.robustness.statistics --measured {input.measured:q}"
        " --metrics {input.metrics:q} --folds {input.folds:q} --seed {params.seed}"
        " --replicates {params.settings[replicates]}"
        " --confidence {params.settings[confidence]} --out {output:q} > {log:q} 2>&1"


# Table S7
rule write_robustness_table:
    input:
        judged=expand(rules.judge_robustness.output, method=TESTED),
        cohort=rules.accept_cohort.output.cohort,
        excluded=rules.accept_cohort.output.excluded,
    output:
        tsv=f"{RESULTS}/tables/table-{layout.ROBUSTNESS}.tsv",
        json=f"{RESULTS}/tables/table-{layout.ROBUSTNESS}.json",
        md=f"{RESULTS}/tables/table-{layout.ROBUSTNESS}.md",
        tex=f"{RESULTS}/tables/table-{layout.ROBUSTNESS}.tex",
        html=report(
            f"{RESULTS}/tables/table-{layout.ROBUSTNESS}.html",
            caption="../report/table.rst",
            category="Tables",
            labels={"table": layout.ROBUSTNESS},
        ),
    log:
        f"{LOGS}/write_robustness_table.log",
    benchmark:
        f"{BENCHMARKS}/write_robustness_table.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        table=layout.ROBUSTNESS,
        folds=HOW_SPLIT,
        code=code("tables"),
    shell:
        "python -m msnmo.tables --table {params.table} --robustness {input.judged:q}"
        " --cohort {input.cohort:q} {params.folds}"
        " --excluded {input.excluded:q} --out-tsv {output.tsv:q} --out-json {output.json:q}"
        " --out-md {output.md:q}"
        " --out-tex {output.tex:q} --out-html {output.html:q} > {log:q} 2>&1"


rule draw_robustness:
    input:
        judged=expand(rules.judge_robustness.output, method=TESTED),
        cohort=rules.accept_cohort.output.cohort,
    output:
        png=report(
            f"{RESULTS}/figures/robustness.png",
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "robustness", "format": "png"},
        ),
        svg=report(
            f"{RESULTS}/figures/robustness.svg",
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "robustness", "format": "svg"},
        ),
    log:
        f"{LOGS}/draw_robustness.log",
    benchmark:
        f"{BENCHMARKS}/draw_robustness.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        code=code("figures.robustness"),
    shell:
        "python -m msnmo.figures.robustness --robustness {input.judged:q} --cohort {input.cohort:q}"
        " --out-png {output.png:q}"
        " --out-svg {output.svg:q} > {log:q} 2>&1"


rule robustness:
    input:
        after_check(
            rules.write_robustness_table.output,
            rules.draw_robustness.output,
            lambda wildcards: trainings(rules.train_fold.output.weights, TESTED),
        ),
