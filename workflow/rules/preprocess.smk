# Process one scan on its own grid: lesion mask of the raters, skull strip, N4.

# FSL has its own licence, which users must choose: its packages come only with its engine
SKULLSTRIP_ENV = "../../envs/skullstrip{}.yaml".format(
    "-fsl" if config["skull_strip"]["engine"] == "fsl" else ""
)
LESIONS = f"{ANAT}_desc-lesion_mask.nii.gz"
BRAIN = f"{ANAT}_desc-brain_FLAIR.nii.gz"


rule combine_raters:
    input:
        flair=sources("flair", LESIONS),
        masks=sources("lesion_mask", LESIONS),
    output:
        LESIONS,
    log:
        f"{LOGS}/combine_raters/{{folder}}/{{scan}}.log",
    benchmark:
        f"{BENCHMARKS}/combine_raters/{{folder}}/{{scan}}.tsv"
    conda:
        "../../envs/image.yaml"
    params:
        contents=contents("flair", "lesion_mask"),
        how=config["lesion_masks"]["combine"],
        other_grid=config["lesion_masks"]["other_grid"],
        labels=LESION_LABELS,
        code=code("preprocess.raters"),
    shell:
        "python -m msnmo.preprocess.raters --flair {input.flair:q} --masks {input.masks:q}"
        " --how {params.how} --other-grid {params.other_grid} --lesion-labels {params.labels}"
        " --out {output:q} > {log:q} 2>&1"


rule strip_skull:
    input:
        flair=sources("flair", BRAIN),
        brain=sources("brain_mask", BRAIN),
    output:
        image=BRAIN,
        mask=f"{ANAT}_desc-brain_mask.nii.gz",
        sidecar=f"{ANAT}_desc-brain_FLAIR.json",
    log:
        f"{LOGS}/strip_skull/{{folder}}/{{scan}}.log",
    benchmark:
        f"{BENCHMARKS}/strip_skull/{{folder}}/{{scan}}.tsv"
    conda:
        SKULLSTRIP_ENV
    params:
        contents=contents("flair", "brain_mask"),
        options=options("skullstrip"),
        code=code("preprocess.skullstrip"),
    shell:
        command("skullstrip")


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
        follows_from=follows_from("n4"),
        options=options("n4"),
        code=code("preprocess.n4"),
    shell:
        command("n4")
