# The cohort as the network meets it.


rule list_manifest:
    input:
        cohort=rules.accept_cohort.output.cohort,
        images=per_scan(f"{ANAT}_space-model_desc-zscore_FLAIR.nii.gz"),
        lesions=per_scan(f"{ANAT}_space-model_desc-lesion_mask.nii.gz", labelled=True),
    output:
        f"{RESULTS}/manifest.tsv",
    log:
        f"{LOGS}/list_manifest.log",
    benchmark:
        f"{BENCHMARKS}/list_manifest.tsv"
    conda:
        "../../envs/image.yaml"
    params:
        image=pattern(f"{ANAT}_space-model_desc-zscore_FLAIR.nii.gz"),
        lesion=pattern(f"{ANAT}_space-model_desc-lesion_mask.nii.gz"),
        sidecar=pattern(f"{ANAT}_space-model_desc-zscore_FLAIR.json"),
        native_lesion=pattern(f"{ANAT}_desc-lesion_mask.nii.gz"),
        native_brain=pattern(f"{ANAT}_desc-brain_mask.nii.gz"),
        code=code("cohort.manifest"),
    shell:
        "python -m msnmo.cohort.manifest --cohort {input.cohort:q} --out {output:q}"
        " --pattern image={params.image:q} --pattern lesion={params.lesion:q}"
        " --pattern sidecar={params.sidecar:q} --pattern native_lesion={params.native_lesion:q}"
        " --pattern native_brain={params.native_brain:q} > {log:q} 2>&1"
