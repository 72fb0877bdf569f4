# The check: every scan and mask opened whole once, before anything is computed from them.


# What preprocessing waits for. A scan that went on once is not done again when others come or go: its
# own files decide. (A path of its own, because the mark would stick to the rule's output.)
ACCEPTED = ancient(f"{RESULTS}/cohort.tsv")


rule check_scan:
    input:
        flair=of_scan("flair"),
        lesion_masks=paths_of_scan("lesion_mask"),
        brain_mask=paths_of_scan("brain_mask"),
    output:
        f"{RESULTS}/check/{{folder}}/{{scan}}.json",
    log:
        f"{LOGS}/check_scan/{{folder}}/{{scan}}.log",
    benchmark:
        f"{BENCHMARKS}/check_scan/{{folder}}/{{scan}}.tsv"
    conda:
        "../../envs/image.yaml"
    params:
        stripped=of_scan("stripped"),
        other_grid=config["lesion_masks"]["other_grid"],
        brain_mask=option("--brain-mask", "brain_mask"),
        code=code("check.check_scan"),
    shell:
        "python -m msnmo.check.check_scan --scan {wildcards.scan} --flair {input.flair:q}"
        " --lesion-masks {input.lesion_masks:q} {params.brain_mask}"
        " --stripped {params.stripped} --other-grid {params.other_grid} --out {output:q}"
        " > {log:q} 2>&1"


rule list_findings:
    input:
        scans=config["scans"],
        reports=[
            f"{RESULTS}/check/{scan.replace('_', '/')}/{scan}.json"
            for scan in SCANS["scan"]
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
        reports=pattern(f"{RESULTS}/check/{{folder}}/{{scan}}.json"),
        decisions=[f"--decisions={path}" for path in DECISIONS],
        code=code("check"),
    shell:
        "python -m msnmo.check --scans {input.scans:q} {params.decisions:q}"
        " --reports {params.reports:q} --out-table {output.table:q} --out-page {output.page:q}"
        " > {log:q} 2>&1"


rule accept_cohort:
    input:
        scans=config["scans"],
        findings=rules.list_findings.output.table,
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
        code=code("check.accept"),
    shell:
        "python -m msnmo.check.accept --scans {input.scans:q} --findings {input.findings:q}"
        " {params.decisions:q} --on-bad-scan {params.on_bad_scan}"
        " --out-cohort {output.cohort:q} --out-excluded {output.excluded:q} > {log:q} 2>&1"


# Where bad scans are left out, which jobs are to be run is known only when all have been opened.
checkpoint name_accepted:
    input:
        rules.accept_cohort.output.cohort,
    output:
        f"{RESULTS}/check/accepted.txt",
    log:
        f"{LOGS}/name_accepted.log",
    benchmark:
        f"{BENCHMARKS}/name_accepted.tsv"
    conda:
        "../../envs/image.yaml"
    shell:
        "tail -n +2 {input:q} | cut -f 1 > {output:q} 2> {log:q}"


rule check:
    input:
        rules.list_findings.output,
        rules.accept_cohort.output,
