# Pictures to check the preprocessing by.


rule draw_mosaic:
    input:
        image=of_scan("flair"),
        mask=rules.strip_skull.output.mask,
        sidecar=rules.strip_skull.output.sidecar,
    output:
        f"{RESULTS}/figures/mosaic/{{folder}}/{{scan}}.png",
    log:
        f"{LOGS}/draw_mosaic/{{folder}}/{{scan}}.log",
    benchmark:
        f"{BENCHMARKS}/draw_mosaic/{{folder}}/{{scan}}.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        code=code("mosaic"),
    shell:
        "python -m msnmo.mosaic --image {input.image:q} --mask {input.mask:q}"
        " --sidecar {input.sidecar:q} --out {output:q} > {log:q} 2>&1"


rule preprocess:
    input:
        rules.list_manifest.output,
        per_scan(f"{RESULTS}/figures/mosaic/{{folder}}/{{scan}}.png"),
