# Take one scan and its lesion mask from the scan's own grid to model space: crop, resize, z-score.

MODEL_IMAGE = f"{ANAT}_space-model_desc-zscore_FLAIR.nii.gz"
MODEL_SIDECAR = f"{ANAT}_space-model_desc-zscore_FLAIR.json"
MODEL_LESION = f"{ANAT}_space-model_desc-lesion_mask.nii.gz"
MODEL_BRAIN = f"{ANAT}_space-model_desc-brain_mask.nii.gz"


rule crop_background:
    input:
        image=rules.correct_bias.output.image,
        brain=rules.strip_skull.output.mask,
    output:
        image=temp(f"{ANAT}_desc-crop_FLAIR.nii.gz"),
        brain=temp(f"{ANAT}_desc-crop_mask.nii.gz"),
        sidecar=temp(f"{ANAT}_desc-crop_FLAIR.json"),
    log:
        f"{LOGS}/crop_background/{{folder}}/{{scan}}.log",
    benchmark:
        f"{BENCHMARKS}/crop_background/{{folder}}/{{scan}}.tsv"
    conda:
        "../../envs/image.yaml"
    params:
        follows_from=follows_from("crop"),
        code=code("preprocess.crop"),
    shell:
        command("crop")


rule resize_scan:
    input:
        image=rules.crop_background.output.image,
        brain=rules.crop_background.output.brain,
        sidecar=rules.crop_background.output.sidecar,
    output:
        image=temp(f"{ANAT}_space-model_desc-resize_FLAIR.nii.gz"),
        brain=MODEL_BRAIN,
        sidecar=temp(f"{ANAT}_space-model_desc-resize_FLAIR.json"),
    log:
        f"{LOGS}/resize_scan/{{folder}}/{{scan}}.log",
    benchmark:
        f"{BENCHMARKS}/resize_scan/{{folder}}/{{scan}}.tsv"
    conda:
        "../../envs/image.yaml"
    params:
        follows_from=follows_from("resize"),
        options=options("resize"),
        code=code("preprocess.resize"),
    shell:
        command("resize")


rule zscore_scan:
    input:
        image=rules.resize_scan.output.image,
        brain=rules.resize_scan.output.brain,
        sidecar=rules.resize_scan.output.sidecar,
    output:
        image=MODEL_IMAGE,
        sidecar=MODEL_SIDECAR,
    log:
        f"{LOGS}/zscore_scan/{{folder}}/{{scan}}.log",
    benchmark:
        f"{BENCHMARKS}/zscore_scan/{{folder}}/{{scan}}.tsv"
    conda:
        "../../envs/image.yaml"
    params:
        follows_from=follows_from("zscore"),
        options=options("zscore"),
        code=code("preprocess.zscore"),
    shell:
        command("zscore")


rule resize_lesion:
    input:
        mask=rules.combine_raters.output,
        sidecar=rules.zscore_scan.output.sidecar,
    output:
        MODEL_LESION,
    log:
        f"{LOGS}/resize_lesion/{{folder}}/{{scan}}.log",
    benchmark:
        f"{BENCHMARKS}/resize_lesion/{{folder}}/{{scan}}.tsv"
    conda:
        "../../envs/image.yaml"
    params:
        follows_from=follows_from(lesion=True),
        how=config["resize"]["mask"],
        code=code("preprocess.lesion_mask"),
    shell:
        "python -m msnmo.preprocess.lesion_mask --mask {input.mask:q} --sidecar {input.sidecar:q}"
        " --how {params.how} --out {output:q} > {log:q} 2>&1"
