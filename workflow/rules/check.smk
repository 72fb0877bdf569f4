# The check: every scan and mask is read completely once, before anything is computed from them.


REPORT_OF_SCAN = f"{RESULTS}/check/{{folder}}/{{scan}}.json"


rule check_scan:
    input:
        flair=sources("flair", REPORT_OF_SCAN),
        lesion_masks=sources("lesion_mask", REPORT_OF_SCAN),
        brain_mask=sources("brain_mask", REPORT_OF_SCAN),
    output:
        REPORT_OF_SCAN,
    log:
        f"{LOGS}/check_scan/{{folder}}/{{scan}}.log",
    benchmark:
        f"{BENCHMARKS}/check_scan/{{folder}}/{{scan}}.tsv"
    conda:
        "../../envs/image.yaml"
    params:
        contents=contents("flair", "lesion_mask", "brain_mask"),
        stripped=of_scan("stripped"),
        other_grid=config["lesion_masks"]["other_grid"],
        labels=LESION_LABELS,
        brain_mask=option("--brain-mask", "brain_mask"),
        code=code("check.check_scan"),
    shell:
        "python -m msnmo.check.check_scan --scan {wildcards.scan} --flair {input.flair:q}"
        " --lesion-masks {input.lesion_masks:q} {params.brain_mask}"
        " --stripped {params.stripped} --other-grid {params.other_grid}"
        " --lesion-labels {params.labels} --out {output:q} > {log:q} 2>&1"


rule list_findings:
    input:
        scans=config["scans"],
        reports=[
            f"{RESULTS}/check/{scan.replace('_', '/')}/{scan}.json"
            for scan in OPENED["scan"]
        ],
        decisions=DECISIONS,
    output:
        table=f"{RESULTS}/check/findings.tsv",
        page=f"{RESULTS}/check/findings.html",
    log:
        f"{LOGS}/list_findings.log",
    benchmark:
        f"{BENCHMARKS}/list_findings.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        reports=pattern(REPORT_OF_SCAN),
        decisions=[f"--decisions={path}" for path in DECISIONS],
        diagnosis_alone=DIAGNOSIS_ALONE,
        code=code("check"),
    shell:
        "python -m msnmo.check --scans {input.scans:q} {params.decisions:q}"
        " {params.diagnosis_alone}"
        " --reports {params.reports:q} --out-table {output.table:q} --out-page {output.page:q}"
        " > {log:q} 2>&1"


# When every scan has been read it is known which scans go on. Later jobs are planned then.
checkpoint accept_cohort:
    input:
        scans=config["scans"],
        findings=findings_to_judge,
        decisions=DECISIONS,
    output:
        cohort=f"{RESULTS}/cohort.tsv",
        excluded=f"{RESULTS}/excluded.tsv",
    log:
        f"{LOGS}/accept_cohort.log",
    benchmark:
        f"{BENCHMARKS}/accept_cohort.tsv"
    conda:
        "../../envs/image.yaml"
    params:
        on_bad_scan=config["on_bad_scan"],
        decisions=[f"--decisions={path}" for path in DECISIONS],
        diagnosis_alone=DIAGNOSIS_ALONE,
        code=code("check.accept"),
    shell:
        "python -m msnmo.check.accept --scans {input.scans:q} --findings {input.findings:q}"
        " {params.decisions:q} --on-bad-scan {params.on_bad_scan} {params.diagnosis_alone}"
        " --out-cohort {output.cohort:q} --out-excluded {output.excluded:q} > {log:q} 2>&1"


# whether a run of everything would finish; if a bundle is evaluated, nothing is trained
rule judge_cohort:
    input:
        cohort=rules.accept_cohort.output.cohort,
        page=rules.list_findings.output.page,
    output:
        f"{RESULTS}/check/verdict.txt",
    log:
        f"{LOGS}/judge_cohort.log",
    benchmark:
        f"{BENCHMARKS}/judge_cohort.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        config=json.dumps(config, sort_keys=True),
        code=code("check.verdict"),
    shell:
        "python -m msnmo.check.verdict --cohort {input.cohort:q} --config {params.config:q}"
        " --page {input.page:q} --out {output:q} > {log:q} 2>&1"


rule check:
    input:
        rules.list_findings.output,
        rules.accept_cohort.output,
        [] if config["apply"]["bundle"] else rules.judge_cohort.output,
