# All tables: those of the paper, with our numbers beside the reported ones, and further ones.

# complexity is shown for the size of the config and for the paper's
SIZES = dict.fromkeys([tuple(config["resize"]["size"]), (160, 160, 160)])


rule write_table:
    input:
        metrics=f"{RESULTS}/metrics/table-{{table}}.tsv",
        statistics=rules.compare_methods.output,
        site_alone=lambda wildcards: (
            rules.judge_site_alone.output[0]
            if wildcards.table in layout.WITH_SITE_ALONE
            else []
        ),
        shortcuts=judged_shortcuts,
        cohort=rules.accept_cohort.output.cohort,
        excluded=rules.accept_cohort.output.excluded,
    output:
        tsv=f"{RESULTS}/tables/table-{{table}}.tsv",
        json=f"{RESULTS}/tables/table-{{table}}.json",
        md=f"{RESULTS}/tables/table-{{table}}.md",
        tex=f"{RESULTS}/tables/table-{{table}}.tex",
        html=report(
            f"{RESULTS}/tables/table-{{table}}.html",
            caption="../report/table.rst",
            category="Tables",
            labels={"table": "{table}"},
        ),
    log:
        f"{LOGS}/write_table/{{table}}.log",
    benchmark:
        f"{BENCHMARKS}/write_table/{{table}}.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        confidence=config["statistics"]["confidence"],
        smallest_mm3=config["metrics"]["smallest_lesion_mm3"],
        site_alone=lambda wildcards, input: (
            [f"--site-alone={input.site_alone}"] if input.site_alone else []
        ),
        folds=HOW_SPLIT,
        code=code("tables"),
    shell:
        "python -m msnmo.tables --table {wildcards.table} --metrics {input.metrics:q}"
        " --cohort {input.cohort:q} {params.folds}"
        " --excluded {input.excluded:q} --statistics {input.statistics:q} {params.site_alone:q}"
        " --shortcuts {input.shortcuts:q}"
        " --confidence {params.confidence} --smallest-lesion-mm3 {params.smallest_mm3}"
        " --out-tsv {output.tsv:q} --out-json {output.json:q}"
        " --out-md {output.md:q}"
        " --out-tex {output.tex:q} --out-html {output.html:q} > {log:q} 2>&1"


# Table S2: maps
rule write_map_table:
    input:
        judged=judged_maps,
        cohort=rules.accept_cohort.output.cohort,
        excluded=rules.accept_cohort.output.excluded,
    output:
        tsv=f"{RESULTS}/tables/table-{layout.MAPS}.tsv",
        json=f"{RESULTS}/tables/table-{layout.MAPS}.json",
        md=f"{RESULTS}/tables/table-{layout.MAPS}.md",
        tex=f"{RESULTS}/tables/table-{layout.MAPS}.tex",
        html=report(
            f"{RESULTS}/tables/table-{layout.MAPS}.html",
            caption="../report/table.rst",
            category="Tables",
            labels={"table": layout.MAPS},
        ),
    log:
        f"{LOGS}/write_map_table.log",
    benchmark:
        f"{BENCHMARKS}/write_map_table.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        table=layout.MAPS,
        folds=HOW_SPLIT,
        code=code("tables"),
    shell:
        "python -m msnmo.tables --table {params.table} --localisation {input.judged:q}"
        " --cohort {input.cohort:q} {params.folds}"
        " --excluded {input.excluded:q} --out-tsv {output.tsv:q} --out-json {output.json:q}"
        " --out-md {output.md:q}"
        " --out-tex {output.tex:q} --out-html {output.html:q} > {log:q} 2>&1"


# Table S3: sites
rule write_site_table:
    input:
        sites=rules.compare_sites.output,
        cohort=rules.accept_cohort.output.cohort,
        excluded=rules.accept_cohort.output.excluded,
    output:
        tsv=f"{RESULTS}/tables/table-{layout.SITES}.tsv",
        json=f"{RESULTS}/tables/table-{layout.SITES}.json",
        md=f"{RESULTS}/tables/table-{layout.SITES}.md",
        tex=f"{RESULTS}/tables/table-{layout.SITES}.tex",
        html=report(
            f"{RESULTS}/tables/table-{layout.SITES}.html",
            caption="../report/table.rst",
            category="Tables",
            labels={"table": layout.SITES},
        ),
    log:
        f"{LOGS}/write_site_table.log",
    benchmark:
        f"{BENCHMARKS}/write_site_table.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        table=layout.SITES,
        folds=HOW_SPLIT,
        code=code("tables"),
    shell:
        "python -m msnmo.tables --table {params.table} --sites {input.sites:q}"
        " --cohort {input.cohort:q} {params.folds}"
        " --excluded {input.excluded:q} --out-tsv {output.tsv:q} --out-json {output.json:q}"
        " --out-md {output.md:q}"
        " --out-tex {output.tex:q} --out-html {output.html:q} > {log:q} 2>&1"


# Table S5: lesions by size and load
rule write_lesion_table:
    input:
        lesions=rules.describe_lesions.output,
        cohort=rules.accept_cohort.output.cohort,
        excluded=rules.accept_cohort.output.excluded,
    output:
        tsv=f"{RESULTS}/tables/table-{layout.LESIONS}.tsv",
        json=f"{RESULTS}/tables/table-{layout.LESIONS}.json",
        md=f"{RESULTS}/tables/table-{layout.LESIONS}.md",
        tex=f"{RESULTS}/tables/table-{layout.LESIONS}.tex",
        html=report(
            f"{RESULTS}/tables/table-{layout.LESIONS}.html",
            caption="../report/table.rst",
            category="Tables",
            labels={"table": layout.LESIONS},
        ),
    log:
        f"{LOGS}/write_lesion_table.log",
    benchmark:
        f"{BENCHMARKS}/write_lesion_table.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        table=layout.LESIONS,
        folds=HOW_SPLIT,
        smallest_mm3=config["metrics"]["smallest_lesion_mm3"],
        code=code("tables"),
    shell:
        "python -m msnmo.tables --table {params.table} --lesions {input.lesions:q}"
        " --cohort {input.cohort:q} {params.folds}"
        " --smallest-lesion-mm3 {params.smallest_mm3} --excluded {input.excluded:q}"
        " --out-tsv {output.tsv:q} --out-json {output.json:q}"
        " --out-md {output.md:q}"
        " --out-tex {output.tex:q} --out-html {output.html:q} > {log:q} 2>&1"


rule list_statistics:
    input:
        expand(rules.compare_methods.output, table=COMPARED),
    output:
        f"{RESULTS}/tables/statistics.tsv",
    log:
        f"{LOGS}/list_statistics.log",
    benchmark:
        f"{BENCHMARKS}/list_statistics.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        code=code("evaluate.statistics"),
    shell:
        "python -m msnmo.evaluate.statistics --combine {input:q} --out {output:q} > {log:q} 2>&1"


rule list_complexity:
    output:
        f"{RESULTS}/tables/complexity.tsv",
    log:
        f"{LOGS}/list_complexity.log",
    benchmark:
        f"{BENCHMARKS}/list_complexity.tsv"
    conda:
        "../../envs/torch-cpu.yaml"
    params:
        settings=json.dumps({m: method_settings(config, m)["model"] for m in METHODS}),
        sizes=["x".join(map(str, size)) for size in SIZES],
        code=code("evaluate.complexity", *networks_of(*METHODS)),
    shell:
        "python -m msnmo.evaluate.complexity --settings {params.settings:q} --sizes {params.sizes}"
        " --out {output:q} > {log:q} 2>&1"


rule tables:
    input:
        after_check(
            table_files(*TABLES),
            rules.list_statistics.output,
            rules.list_complexity.output,
            rules.calibrate_classes.output if CLASSIFYING else [],
            weights_of("all"),
        ),


# `snakemake table_7` trains and evaluates only what Table 7 shows
for number in TABLES:

    rule:
        name:
            f"table_{number}"
        input:
            after_check(table_files(number), weights_of(f"table-{number}")),
