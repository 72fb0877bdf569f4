# Pictures and numbers to rate the preprocessing of each scan, before networks are trained on it.

QUALITY = f"{RESULTS}/quality"


rule draw_quality:
    input:
        unpack(lesions_of_scan),
        flair=sources("flair", f"{QUALITY}/{{folder}}/{{scan}}.png"),
        brain=rules.strip_skull.output.mask,
        stripped=rules.strip_skull.output.image,
        sidecar=rules.strip_skull.output.sidecar,
        n4=rules.correct_bias.output.image,
        model=rules.zscore_scan.output.image,
    output:
        picture=report(
            f"{QUALITY}/{{folder}}/{{scan}}.png",
            caption="../report/quality.rst",
            category="Quality",
            labels={"scan": "{scan}"},
        ),
        numbers=f"{QUALITY}/{{folder}}/{{scan}}.json",
    log:
        f"{LOGS}/draw_quality/{{folder}}/{{scan}}.log",
    benchmark:
        f"{BENCHMARKS}/draw_quality/{{folder}}/{{scan}}.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        follows_from=follows_from(lesion=True),
        lesions=lambda wildcards, input: [
            f"--{name.replace('_', '-')}={input.get(name)}"
            for name in ("lesion", "model_lesion")
            if input.get(name)
        ],
        deface=DEFACE,
        code=code("quality"),
    shell:
        "python -m msnmo.quality --scan {wildcards.scan} --flair {input.flair:q}"
        " --brain {input.brain:q} --stripped {input.stripped:q} --n4 {input.n4:q}"
        " --sidecar {input.sidecar:q} --model {input.model:q} {params.lesions:q}"
        " {params.deface} --out-picture {output.picture:q} --out-numbers {output.numbers:q} > {log:q} 2>&1"


rule list_quality:
    input:
        cohort=rules.accept_cohort.output.cohort,
        pictures=per_scan(rules.draw_quality.output.picture),
        numbers=per_scan(rules.draw_quality.output.numbers),
        decisions=DECISIONS,
    output:
        table=f"{QUALITY}/quality.tsv",
        page=report(
            f"{QUALITY}/index.html",
            caption="../report/quality.rst",
            category="Quality",
            labels={"scan": "all"},
        ),
    log:
        f"{LOGS}/list_quality.log",
    benchmark:
        f"{BENCHMARKS}/list_quality.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        pictures=pattern(f"{QUALITY}/{{folder}}/{{scan}}.png"),
        numbers=pattern(f"{QUALITY}/{{folder}}/{{scan}}.json"),
        # the path itself is no param, because `snakemake --report` shows params
        decisions="--decisions" if DECISIONS else "",
        code=code("quality.overview"),
    shell:
        "python -m msnmo.quality.overview --cohort {input.cohort:q}"
        " --numbers {params.numbers:q} --pictures {params.pictures:q} {params.decisions} {input.decisions:q}"
        " --out-table {output.table:q} --out-page {output.page:q} > {log:q} 2>&1"


rule preprocess:
    input:
        after_check(rules.list_manifest.output.table, rules.list_quality.output),
