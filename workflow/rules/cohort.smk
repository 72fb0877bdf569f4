# The cohort as the networks see it.


rule list_manifest:
    input:
        cohort=rules.accept_cohort.output.cohort,
        images=per_scan(MODEL_IMAGE),
        lesions=per_scan(MODEL_LESION, labelled=True),
    output:
        table=f"{RESULTS}/manifest.tsv",
        described=expand(f"{RESULTS}/derivatives/{{name}}", name=DESCRIBING_DERIVATIVES),
    log:
        f"{LOGS}/list_manifest.log",
    benchmark:
        f"{BENCHMARKS}/list_manifest.tsv"
    conda:
        "../../envs/image.yaml"
    params:
        image=pattern(MODEL_IMAGE),
        lesion=pattern(MODEL_LESION),
        sidecar=pattern(MODEL_SIDECAR),
        native_lesion=pattern(LESIONS),
        native_brain=pattern(f"{ANAT}_desc-brain_mask.nii.gz"),
        derivatives=lambda wildcards, output: Path(output.described[0]).parent,
        code=code("cohort.manifest"),
    shell:
        "python -m msnmo.cohort.manifest --cohort {input.cohort:q} --out {output.table:q}"
        " --derivatives {params.derivatives:q}"
        " --pattern image={params.image:q} --pattern lesion={params.lesion:q}"
        " --pattern sidecar={params.sidecar:q} --pattern native_lesion={params.native_lesion:q}"
        " --pattern native_brain={params.native_brain:q} > {log:q} 2>&1"


# Tables 1 and 2, of the cohort itself
rule describe_cohort:
    input:
        cohort=rules.accept_cohort.output.cohort,
        excluded=rules.accept_cohort.output.excluded,
    output:
        tsv=f"{RESULTS}/tables/table-{{described}}.tsv",
        json=f"{RESULTS}/tables/table-{{described}}.json",
        md=f"{RESULTS}/tables/table-{{described}}.md",
        tex=f"{RESULTS}/tables/table-{{described}}.tex",
        html=report(
            f"{RESULTS}/tables/table-{{described}}.html",
            caption="../report/table.rst",
            category="Tables",
            labels={"table": "{described}"},
        ),
    log:
        f"{LOGS}/describe_cohort/{{described}}.log",
    benchmark:
        f"{BENCHMARKS}/describe_cohort/{{described}}.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        code=code("tables"),
    shell:
        "python -m msnmo.tables --table {wildcards.described} --cohort {input.cohort:q}"
        " --excluded {input.excluded:q} --out-tsv {output.tsv:q} --out-json {output.json:q}"
        " --out-md {output.md:q}"
        " --out-tex {output.tex:q} --out-html {output.html:q} > {log:q} 2>&1"
