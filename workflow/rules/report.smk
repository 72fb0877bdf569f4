# The report: one folder that opens from disk, with all results and a viewer of every scan.

REPORT = f"{RESULTS}/report"
# the tables that the page shows, and the files to download
SHOWN_AND_KEPT = ["json", "tsv", "tex"]


# what every page reads, with one edge each. For each edge to a job Snakemake goes through all
# inputs of the job, and the manifest reads every scan
rule list_tables_of_pages:
    input:
        cohort=rules.accept_cohort.output.cohort,
        manifest=rules.list_manifest.output.table,
        quality=rules.list_quality.output.table,
        folds=rules.split_folds.output,
        # it waits for all predictions; as inputs they would be a hundred edges for each scan
        metrics=f"{RESULTS}/metrics/all.tsv",
        localisation=of_first_seed(rules.judge_maps.output, method=WITH_MAPS),
    output:
        f"{REPORT}/made_of.json",
    log:
        f"{LOGS}/list_tables_of_pages.log",
    benchmark:
        f"{BENCHMARKS}/list_tables_of_pages.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        code=code("report.made_of"),
    shell:
        "python -m msnmo.report.made_of --tables {input:q} --out {output:q} > {log:q} 2>&1"


rule write_scan_page:
    input:
        rules.list_tables_of_pages.output,
    output:
        page=f"{REPORT}/scans/{{scan}}.html",
        volumes=f"{REPORT}/scans/{{scan}}.js",
    log:
        f"{LOGS}/write_scan_page/{{scan}}.log",
    benchmark:
        f"{BENCHMARKS}/write_scan_page/{{scan}}.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        cohort=rules.accept_cohort.output.cohort,
        manifest=rules.list_manifest.output.table,
        quality=rules.list_quality.output.table,
        folds=rules.split_folds.output,
        metrics=f"{RESULTS}/metrics/all.tsv",
        localisation=of_first_seed(rules.judge_maps.output, method=WITH_MAPS),
        predictions=of_training(rules.predict_fold.output[0]),
        methods=METHODS,
        site=lambda wildcards, output: Path(output.page).parents[1],
        deface=DEFACE,
        quality_page=rules.list_quality.output.page,
        check_page=rules.list_findings.output.page,
        code=code("report.scan_page"),
    shell:
        "python -m msnmo.report.scan_page --scan {wildcards.scan}"
        " --predictions {params.predictions:q} {params.deface}"
        " --cohort {params.cohort:q} --manifest {params.manifest:q} --quality {params.quality:q}"
        " --folds {params.folds:q} --metrics {params.metrics:q} --methods {params.methods}"
        " --localisation {params.localisation:q}"
        " --quality-page {params.quality_page:q} --check-page {params.check_page:q}"
        " --site {params.site:q} > {log:q} 2>&1"


rule write_report:
    input:
        cohort=rules.accept_cohort.output.cohort,
        excluded=rules.accept_cohort.output.excluded,
        manifest=rules.list_manifest.output.table,
        quality=rules.list_quality.output.table,
        folds=rules.split_folds.output,
        metrics=f"{RESULTS}/metrics/all.tsv",
        localisation=of_first_seed(rules.judge_maps.output, method=WITH_MAPS),
        scans=per_scan(rules.write_scan_page.output.page),
        volumes=per_scan(rules.write_scan_page.output.volumes),
        sidecars=per_scan(rules.strip_skull.output.sidecar),
        bias_sidecars=per_scan(rules.correct_bias.output.sidecar),
        runs=lambda wildcards: trainings(rules.train_fold.output.run, METHODS),
        histories=lambda wildcards: trainings(rules.train_fold.output.history, METHODS),
        tables=expand(
            f"{RESULTS}/tables/table-{{table}}.{{ending}}",
            table=TABLES,
            ending=SHOWN_AND_KEPT,
        ),
        figures=expand(rules.draw_figure.output, figure=FIGURES),
        robustness_table=where_made(
            *(rules.write_robustness_table.output[ending] for ending in SHOWN_AND_KEPT)
        ),
        robustness_figure=where_made(*rules.draw_robustness.output),
        pathway=rules.draw_pathway.output if OF_BOTH_TASKS else [],
        # not shown, but an input, so that the costs are those of the whole run
        others=[
            rules.list_statistics.output,
            rules.list_complexity.output,
            rules.calibrate_classes.output if CLASSIFYING else [],
        ],
    output:
        index=report(
            f"{REPORT}/index.html",
            caption="../report/site.rst",
            category="Report",
        ),
        pages=expand(
            f"{REPORT}/{{page}}.html",
            page=["tables", "figures", "scans", "provenance"],
        ),
        methods=f"{REPORT}/methods.md",
        assets=directory(f"{REPORT}/assets"),
        figures=directory(f"{REPORT}/figures"),
        tables=directory(f"{REPORT}/tables"),
    log:
        f"{LOGS}/write_report.log",
    benchmark:
        f"{BENCHMARKS}/write_report.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        runs=of_training(rules.train_fold.output.run),
        histories=of_training(rules.train_fold.output.history),
        sidecars=pattern(rules.strip_skull.output.sidecar),
        bias_sidecars=pattern(rules.correct_bias.output.sidecar),
        snakemake=uncompared(snakemake.__version__),
        predictions=of_training(rules.predict_fold.output[0]),
        deface=DEFACE,
        folds=lambda wildcards: tested_folds(),
        left_out=[f"--left-out={name}" for name in LEFT_OUT],
        benchmarks=BENCHMARKS,
        config=lambda wildcards: json.dumps(nameless(config), sort_keys=True),
        methods=METHODS,
        site=lambda wildcards, output: Path(output.index).parent,
        code=code("report"),
    shell:
        "python -m msnmo.report --excluded {input.excluded:q} --tables {input.tables:q}"
        " {input.robustness_table:q}"
        " --figures {input.figures:q} {input.pathway:q} {input.robustness_figure:q}"
        " --runs {params.runs:q} --predictions {params.predictions:q} {params.deface}"
        " --histories {params.histories:q} --sidecars {params.sidecars:q}"
        " --bias-sidecars {params.bias_sidecars:q} --snakemake {params.snakemake:q}"
        " --evaluated {params.folds} {params.left_out} --benchmarks {params.benchmarks:q}"
        " --config {params.config:q}"
        " --cohort {input.cohort:q} --manifest {input.manifest:q} --quality {input.quality:q}"
        " --folds {input.folds:q} --metrics {input.metrics:q} --methods {params.methods}"
        " --localisation {input.localisation:q}"
        " --site {params.site:q} > {log:q} 2>&1"


rule report:
    input:
        after_check(
            rules.write_report.output,
            # deleted predictions are made again before the pages that show them
            lambda wildcards: trainings(rules.predict_fold.output, METHODS),
        ),
