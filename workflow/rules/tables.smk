# Every table of the paper, each of our numbers beside the reported one, and what reviewers ask for.

# complexity is shown at the size of the config and at the paper's
SIZES = dict.fromkeys([tuple(config["resize"]["size"]), (160, 160, 160)])


rule write_table:
    input:
        metrics=f"{RESULTS}/metrics/table-{{table}}.tsv",
        statistics=rules.compare_methods.output,
        shortcuts=judged_shortcuts,
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
        code=code("tables"),
    shell:
        "python -m msnmo.tables --table {wildcards.table} --metrics {input.metrics:q}"
        " --excluded {input.excluded:q} --statistics {input.statistics:q}"
        " --shortcuts {input.shortcuts:q}"
        " --confidence {params.confidence} --out-tsv {output.tsv:q} --out-json {output.json:q}"
        " --out-md {output.md:q}"
        " --out-tex {output.tex:q} --out-html {output.html:q} > {log:q} 2>&1"


# Table S2, of maps
rule write_map_table:
    input:
        judged=judged_maps,
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
        code=code("tables"),
    shell:
        "python -m msnmo.tables --table {params.table} --localisation {input.judged:q}"
        " --excluded {input.excluded:q} --out-tsv {output.tsv:q} --out-json {output.json:q}"
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


# `snakemake table_7` trains and evaluates what Table 7 shows, and no more
for number in TABLES:

    rule:
        name:
            f"table_{number}"
        input:
            after_check(table_files(number), weights_of(f"table-{number}")),
