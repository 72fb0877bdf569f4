# The cohort: the scan table in its checked form, and the cohort as the network meets it.


rule read_cohort:
    input:
        config["scans"],
    output:
        f"{RESULTS}/cohort.tsv",
    log:
        f"{LOGS}/read_cohort.log",
    benchmark:
        f"{BENCHMARKS}/read_cohort.tsv"
    conda:
        "../../envs/image.yaml"
    params:
        code=code("cohort.table"),
    shell:
        "python -m msnmo.cohort.table --scans {input:q} --out {output:q} > {log:q} 2>&1"


rule list_manifest:
    input:
        cohort=rules.read_cohort.output,
        images=per_scan(f"{ANAT}_space-model_desc-zscore_FLAIR.nii.gz"),
        lesions=per_scan(f"{ANAT}_space-model_desc-lesion_mask.nii.gz", LABELLED),
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
        code=code("manifest"),
    shell:
        "python -m msnmo.manifest --cohort {input.cohort:q} --out {output:q}"
        " --pattern image={params.image:q} --pattern lesion={params.lesion:q}"
        " --pattern sidecar={params.sidecar:q} --pattern native_lesion={params.native_lesion:q}"
        " --pattern native_brain={params.native_brain:q} > {log:q} 2>&1"
