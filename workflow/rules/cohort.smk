# The cohort as the network meets it.


rule list_manifest:
    input:
        cohort=rules.accept_cohort.output.cohort,
        images=per_scan(MODEL_IMAGE),
        lesions=per_scan(MODEL_LESION, labelled=True),
    output:
        f"{RESULTS}/manifest.tsv",
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
        code=code("cohort.manifest"),
    shell:
        "python -m msnmo.cohort.manifest --cohort {input.cohort:q} --out {output:q}"
        " --pattern image={params.image:q} --pattern lesion={params.lesion:q}"
        " --pattern sidecar={params.sidecar:q} --pattern native_lesion={params.native_lesion:q}"
        " --pattern native_brain={params.native_brain:q} > {log:q} 2>&1"
