# Tables 3 to 9 of the paper, each of our numbers beside the reported one.

TABLES = range(3, 10)
FORMATS = ["tsv", "md", "tex", "html"]


rule write_table:
    input:
        rules.aggregate_metrics.output,
    output:
        tsv=f"{RESULTS}/tables/table-{{table}}.tsv",
        md=f"{RESULTS}/tables/table-{{table}}.md",
        tex=f"{RESULTS}/tables/table-{{table}}.tex",
        html=f"{RESULTS}/tables/table-{{table}}.html",
    log:
        f"{LOGS}/write_table/{{table}}.log",
    benchmark:
        f"{BENCHMARKS}/write_table/{{table}}.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        code=code("tables"),
    shell:
        "python -m msnmo.tables --table {wildcards.table} --metrics {input:q}"
        " --out-tsv {output.tsv:q} --out-md {output.md:q} --out-tex {output.tex:q}"
        " --out-html {output.html:q} > {log:q} 2>&1"


rule tables:
    input:
        expand(
            f"{RESULTS}/tables/table-{{table}}.{{format}}",
            table=TABLES,
            format=FORMATS,
        ),
