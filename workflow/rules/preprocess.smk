# One scan from head to model space: skull strip, N4, crop, resize, z-score; its lesion mask along.

# FSL's licence is to be chosen, not met with: its packages come with its engine alone
SKULLSTRIP_ENV = "../../envs/skullstrip{}.yaml".format(
    "-fsl" if config["skull_strip"]["engine"] == "fsl" else ""
)


rule combine_raters:
    input:
        flair=of_scan("flair"),
        masks=paths_of_scan("lesion_mask"),
        accepted=ACCEPTED,
    output:
        f"{ANAT}_desc-lesion_mask.nii.gz",
    log:
        f"{LOGS}/combine_raters/{{folder}}/{{scan}}.log",
    benchmark:
        f"{BENCHMARKS}/combine_raters/{{folder}}/{{scan}}.tsv"
    conda:
        "../../envs/image.yaml"
    params:
        how=config["lesion_masks"]["combine"],
        other_grid=config["lesion_masks"]["other_grid"],
        code=code("raters"),
    shell:
        "python -m msnmo.raters --flair {input.flair:q} --masks {input.masks:q}"
        " --how {params.how} --other-grid {params.other_grid} --out {output:q} > {log:q} 2>&1"


rule strip_skull:
    input:
        flair=of_scan("flair"),
        brain=paths_of_scan("brain_mask"),
        accepted=ACCEPTED,
    output:
        image=f"{ANAT}_desc-brain_FLAIR.nii.gz",
        mask=f"{ANAT}_desc-brain_mask.nii.gz",
        sidecar=f"{ANAT}_desc-brain_FLAIR.json",
    log:
        f"{LOGS}/strip_skull/{{folder}}/{{scan}}.log",
    benchmark:
        f"{BENCHMARKS}/strip_skull/{{folder}}/{{scan}}.tsv"
    conda:
        SKULLSTRIP_ENV
    params:
        stripped=of_scan("stripped"),
        settings=config["skull_strip"],
        robust="--robust" if config["skull_strip"]["robust"] else "",
        brain=option("--brain", "brain_mask"),
        code=code("skullstrip"),
    shell:
        "NO_ET=1 python -m msnmo.skullstrip --flair {input.flair:q} {params.brain}"
        " --stripped {params.stripped}"
        " --engine {params.settings[engine]} --frac {params.settings[frac]} {params.robust}"
        " --implausible {params.settings[implausible]} --out-image {output.image:q}"
        " --out-mask {output.mask:q} --out-sidecar {output.sidecar:q} > {log:q} 2>&1"


rule correct_bias:
    input:
        image=rules.strip_skull.output.image,
        brain=rules.strip_skull.output.mask,
    output:
        image=f"{ANAT}_desc-n4_FLAIR.nii.gz",
        sidecar=f"{ANAT}_desc-n4_FLAIR.json",
    log:
        f"{LOGS}/correct_bias/{{folder}}/{{scan}}.log",
    benchmark:
        f"{BENCHMARKS}/correct_bias/{{folder}}/{{scan}}.tsv"
    conda:
        "../../envs/n4.yaml"
    params:
        bias_corrected=of_scan("bias_corrected"),
        settings=config["n4"],
        code=code("n4"),
    shell:
        "python -m msnmo.n4 --image {input.image:q} --brain {input.brain:q}"
        " --bias-corrected {params.bias_corrected} --shrink {params.settings[shrink]}"
        " --iterations {params.settings[iterations]} --tolerance {params.settings[tolerance]}"
        " --out-image {output.image:q} --out-sidecar {output.sidecar:q} > {log:q} 2>&1"


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
        code=code("crop"),
    shell:
        "python -m msnmo.crop --image {input.image:q} --brain {input.brain:q}"
        " --out-image {output.image:q} --out-brain {output.brain:q}"
        " --out-sidecar {output.sidecar:q} > {log:q} 2>&1"


rule resize_scan:
    input:
        image=rules.crop_background.output.image,
        brain=rules.crop_background.output.brain,
        sidecar=rules.crop_background.output.sidecar,
    output:
        image=temp(f"{ANAT}_space-model_desc-resize_FLAIR.nii.gz"),
        brain=f"{ANAT}_space-model_desc-brain_mask.nii.gz",
        sidecar=temp(f"{ANAT}_space-model_desc-resize_FLAIR.json"),
    log:
        f"{LOGS}/resize_scan/{{folder}}/{{scan}}.log",
    benchmark:
        f"{BENCHMARKS}/resize_scan/{{folder}}/{{scan}}.tsv"
    conda:
        "../../envs/image.yaml"
    params:
        settings=config["resize"],
        code=code("resize"),
    shell:
        "python -m msnmo.resize --image {input.image:q} --brain {input.brain:q}"
        " --sidecar {input.sidecar:q} --size {params.settings[size]}"
        " --mode {params.settings[mode]} --order {params.settings[image_order]}"
        " --mask {params.settings[mask]} --out-image {output.image:q}"
        " --out-brain {output.brain:q} --out-sidecar {output.sidecar:q} > {log:q} 2>&1"


rule zscore_scan:
    input:
        image=rules.resize_scan.output.image,
        brain=rules.resize_scan.output.brain,
        sidecar=rules.resize_scan.output.sidecar,
    output:
        image=f"{ANAT}_space-model_desc-zscore_FLAIR.nii.gz",
        sidecar=f"{ANAT}_space-model_desc-zscore_FLAIR.json",
    log:
        f"{LOGS}/zscore_scan/{{folder}}/{{scan}}.log",
    benchmark:
        f"{BENCHMARKS}/zscore_scan/{{folder}}/{{scan}}.tsv"
    conda:
        "../../envs/image.yaml"
    params:
        over=config["zscore"]["over"],
        code=code("zscore"),
    shell:
        "python -m msnmo.zscore --image {input.image:q} --brain {input.brain:q}"
        " --sidecar {input.sidecar:q} --over {params.over} --out-image {output.image:q}"
        " --out-sidecar {output.sidecar:q} > {log:q} 2>&1"


rule resize_lesion:
    input:
        mask=rules.combine_raters.output,
        sidecar=rules.zscore_scan.output.sidecar,
    output:
        f"{ANAT}_space-model_desc-lesion_mask.nii.gz",
    log:
        f"{LOGS}/resize_lesion/{{folder}}/{{scan}}.log",
    benchmark:
        f"{BENCHMARKS}/resize_lesion/{{folder}}/{{scan}}.tsv"
    conda:
        "../../envs/image.yaml"
    params:
        how=config["resize"]["mask"],
        code=code("lesion"),
    shell:
        "python -m msnmo.lesion --mask {input.mask:q} --sidecar {input.sidecar:q}"
        " --how {params.how} --out {output:q} > {log:q} 2>&1"
