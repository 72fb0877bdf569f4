# All figures: those of the paper, and further ones that readers of such papers ask for.


rule draw_figure:
    input:
        unpack(figure_inputs),
        manifest=rules.list_manifest.output.table,
        cohort=rules.accept_cohort.output.cohort,
        folds=rules.split_folds.output,
    output:
        png=report(
            f"{RESULTS}/figures/{{figure}}.png",
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}", "format": "png"},
        ),
        svg=report(
            f"{RESULTS}/figures/{{figure}}.svg",
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}", "format": "svg"},
        ),
    log:
        f"{LOGS}/draw_figure/{{figure}}.log",
    benchmark:
        f"{BENCHMARKS}/draw_figure/{{figure}}.tsv"
    conda:
        "../../envs/torch-cpu.yaml"
    params:
        options=figure_options,
        augment=json.dumps(config["augment"]),
        seed=config["seed"],
        code=lambda wildcards: code(
            "figures", f"figures.{catalogue.get_figure(wildcards.figure).module}"
        ),
    shell:
        "python -m msnmo.figures --figure {wildcards.figure} {params.options:q}"
        " --manifest {input.manifest:q} --cohort {input.cohort:q} --folds {input.folds:q}"
        " --augment {params.augment:q} --seed {params.seed} --out-png {output.png:q}"
        " --out-svg {output.svg:q} > {log:q} 2>&1"


rule draw_pathway:
    input:
        localisation=of_first_seed(rules.judge_maps.output, method=OF_BOTH_TASKS[:1]),
        metrics=f"{RESULTS}/metrics/all.tsv",
        manifest=rules.list_manifest.output.table,
        cohort=rules.accept_cohort.output.cohort,
        folds=rules.split_folds.output,
    output:
        report(
            f"{RESULTS}/figures/pathway.png",
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "pathway", "format": "png"},
        ),
    log:
        f"{LOGS}/draw_pathway.log",
    benchmark:
        f"{BENCHMARKS}/draw_pathway.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        method=lambda wildcards: OF_BOTH_TASKS[0],
        n4=pattern(rules.correct_bias.output.image),
        predictions=of_training(rules.predict_fold.output[0]),
        deface=DEFACE,
        code=code("figures.pathway"),
    shell:
        "python -m msnmo.figures.pathway --metrics {input.metrics:q} --manifest {input.manifest:q}"
        " --cohort {input.cohort:q} --folds {input.folds:q} --method {params.method}"
        " --localisation {input.localisation:q} {params.deface}"
        " --n4 {params.n4:q} --predictions {params.predictions:q} --out {output:q} > {log:q} 2>&1"


rule figures:
    input:
        after_check(
            expand(rules.draw_figure.output, figure=FIGURES),
            rules.draw_pathway.output if OF_BOTH_TASKS else [],
            weights_of("all"),
        ),


# `snakemake figure_8` trains and predicts only what Figure 8 shows
for name in FIGURES:

    rule:
        name:
            name.replace("-", "_")
        input:
            after_check(expand(rules.draw_figure.output, figure=name), weights_of(name)),
