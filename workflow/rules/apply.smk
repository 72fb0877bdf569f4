# Apply bundles to new scans.

BUNDLE = config["apply"]["bundle"] or rules.make_bundle.output[0]
APPLIED_METHOD = bundle.method.name if config["apply"]["bundle"] else BUNDLED
APPLIED = f"{RESULTS}/applied"


rule map_regions:
    input:
        image=rules.correct_bias.output.image,
        brain=rules.strip_skull.output.mask,
    output:
        regions=f"{ANAT}_desc-regions_dseg.nii.gz",
        sidecar=f"{ANAT}_desc-regions_dseg.json",
    log:
        f"{LOGS}/map_regions/{{folder}}/{{scan}}.log",
    benchmark:
        f"{BENCHMARKS}/map_regions/{{folder}}/{{scan}}.tsv"
    conda:
        "../../envs/location.yaml"
    params:
        code=code("apply.location"),
    shell:
        "python -m msnmo.apply.location --image {input.image:q} --brain {input.brain:q}"
        " --out {output.regions:q} > {log:q} 2>&1"


rule apply_bundle:
    input:
        bundle=BUNDLE,
        flair=sources("flair", f"{APPLIED}/{{folder}}/anat"),
        brain=of_folder(rules.strip_skull.output.mask),
        model_brain=of_folder(rules.resize_scan.output.brain),
        brain_sidecar=of_folder(rules.strip_skull.output.sidecar),
        n4=of_folder(rules.correct_bias.output.image),
        image=of_folder(rules.zscore_scan.output.image),
        sidecar=of_folder(rules.zscore_scan.output.sidecar),
        regions=(
            of_folder(rules.map_regions.output.regions)
            if config["apply"]["locations"]
            else []
        ),
    output:
        directory(f"{APPLIED}/{{folder}}/anat"),
    log:
        f"{LOGS}/apply_bundle/{{folder}}.log",
    benchmark:
        f"{BENCHMARKS}/apply_bundle/{{folder}}.tsv"
    conda:
        TORCH_ENV
    threads: config["compute"]["threads"]
    resources:
        gpu=GPU,
    params:
        scan=of_folder("{scan}"),
        regions=lambda wildcards, input: (
            [f"--regions={input.regions}"] if input.regions else []
        ),
        device=uncompared(config["compute"]["device"]),
        cpu_threads=uncompared(config["compute"]["threads"]),
        code=code("apply.apply_bundle", *networks_of(APPLIED_METHOD)),
    shell:
        "python -m msnmo.apply.apply_bundle --bundle {input.bundle:q} --scan {params.scan}"
        " --flair {input.flair:q} --brain {input.brain:q}"
        " --model-brain {input.model_brain:q}"
        " --brain-sidecar {input.brain_sidecar:q} --n4 {input.n4:q} --image {input.image:q}"
        " --sidecar {input.sidecar:q} {params.regions:q} --device {params.device}"
        " --threads {params.cpu_threads} --out {output:q} > {log:q} 2>&1"


rule draw_applied:
    input:
        applied=folder_of_scan(rules.apply_bundle.output[0]),
        flair=sources("flair", f"{APPLIED}/report/scans/{{scan}}.html"),
    output:
        page=f"{APPLIED}/report/scans/{{scan}}.html",
        volumes=f"{APPLIED}/report/scans/{{scan}}.js",
    log:
        f"{LOGS}/draw_applied/{{scan}}.log",
    benchmark:
        f"{BENCHMARKS}/draw_applied/{{scan}}.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        site=lambda wildcards, output: Path(output.page).parents[1],
        deface=DEFACE,
        code=code("apply.pages"),
    shell:
        "python -m msnmo.apply.pages --site {params.site:q} --applied {input.applied:q}"
        " --scan {wildcards.scan} --flair {input.flair:q} {params.deface} > {log:q} 2>&1"


rule list_applied:
    input:
        pages=new_scans,
        cohort=rules.accept_cohort.output.cohort,
    output:
        table=f"{APPLIED}/predictions.tsv",
        description=f"{APPLIED}/dataset_description.json",
        index=f"{APPLIED}/report/index.html",
        methods=f"{APPLIED}/report/methods.md",
    log:
        f"{LOGS}/list_applied.log",
    benchmark:
        f"{BENCHMARKS}/list_applied.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        folder=lambda wildcards, output: Path(output.table).parent,
        code=code("apply.listing"),
    shell:
        "python -m msnmo.apply.listing --folder {params.folder:q} --cohort {input.cohort:q}"
        " > {log:q} 2>&1"


rule apply:
    input:
        after_check(rules.list_applied.output),


# Evaluate a bundle on a labelled cohort that it did not learn from.

EVALUATION = f"{APPLIED}/evaluation"


# the check's reports show whether the bundle learned from a subject: nothing is computed before
checkpoint refuse_overlap:
    input:
        bundle=BUNDLE,
        cohort=rules.accept_cohort.output.cohort,
        reports=per_scan(rules.check_scan.output[0]),
    output:
        f"{EVALUATION}/overlap.tsv",
    log:
        f"{LOGS}/refuse_overlap.log",
    benchmark:
        f"{BENCHMARKS}/refuse_overlap.tsv"
    conda:
        "../../envs/torch-cpu.yaml"
    params:
        reports=pattern(REPORT_OF_SCAN),
        leave_out="--leave-out" if config["apply"]["leave_out_overlap"] else "",
        code=code("apply.overlap"),
    shell:
        "python -m msnmo.apply.overlap --bundle {input.bundle:q} --cohort {input.cohort:q}"
        " --reports {params.reports:q} {params.leave_out} --out {output:q} > {log:q} 2>&1"


rule evaluate_applied:
    input:
        bundle=BUNDLE,
        cohort=rules.accept_cohort.output.cohort,
        excluded=rules.accept_cohort.output.excluded,
        overlap=rules.refuse_overlap.output,
        applied=per_scan(f"{APPLIED}/{{folder}}/anat", labelled=None),
        truths=per_scan(rules.combine_raters.output[0], labelled=True),
        # the page is added to this report
        listing=rules.list_applied.output,
    output:
        tables=expand(
            f"{EVALUATION}/{{name}}",
            name=[
                *["scans.tsv", "metrics.tsv", "table.tsv", "table.json", "table.md"],
                *["table.tex", "table.html", "figure.png", "figure.svg"],
            ],
        ),
        page=f"{APPLIED}/report/evaluation.html",
        picture=f"{APPLIED}/report/evaluation.png",
    log:
        f"{LOGS}/evaluate_applied.log",
    benchmark:
        f"{BENCHMARKS}/evaluate_applied.tsv"
    conda:
        "../../envs/torch-cpu.yaml"
    params:
        folder=pattern(APPLIED),
        truth=pattern(rules.combine_raters.output[0]),
        settings=config["statistics"],
        seed=config["seed"],
        combine=config["lesion_masks"]["combine"],
        smallest_mm3=config["metrics"]["smallest_lesion_mm3"],
        code=code("apply.evaluate_bundle"),
    shell:
        "python -m msnmo.apply.evaluate_bundle --bundle {input.bundle:q}"
        " --cohort {input.cohort:q} --excluded {input.excluded:q} --overlap {input.overlap:q}"
        " --applied {params.folder:q} --truth {params.truth:q} --seed {params.seed}"
        " --replicates {params.settings[replicates]} --confidence {params.settings[confidence]}"
        " --combine {params.combine} --smallest-lesion-mm3 {params.smallest_mm3}"
        " > {log:q} 2>&1"


rule evaluate_bundle:
    input:
        evaluated,
