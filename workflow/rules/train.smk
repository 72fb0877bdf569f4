# What a GPU does: train a method on the other folds, predict the scans of this one, Grad-CAM.
# A training reruns when its data, folds or settings change, not when our code does: nights are long.

# one job at a time holds a GPU; on the CPU alone, jobs run side by side as cores allow
GPU = 0 if config["compute"]["device"] == "cpu" else 1
TORCH_ENV = f"../../envs/torch-{'gpu' if GPU else 'cpu'}.yaml"
ALLOW_LEAK = "--allow-leak" if config["folds"]["split"] == "random" else ""


rule train_fold:
    input:
        manifest=rules.list_manifest.output,
        folds=rules.split_folds.output,
    output:
        weights=f"{MODEL}/weights.safetensors",
        history=f"{MODEL}/history.tsv",
        run=f"{MODEL}/run.json",
    log:
        f"{LOGS}/train_fold/{{method}}/fold-{{fold}}.log",
    benchmark:
        f"{BENCHMARKS}/train_fold/{{method}}/fold-{{fold}}.tsv"
    conda:
        TORCH_ENV
    threads: config["compute"]["threads"]
    resources:
        gpu=GPU,
    params:
        settings=settings_of_method,
        seed=config["seed"],
        leak=ALLOW_LEAK,
        device=config["compute"]["device"],
        cpu_threads=config["compute"]["threads"],
        # undeclared, because Snakemake removes the outputs of a failed job: a killed training
        # goes on from here
        checkpoint=f"{MODEL}/checkpoint.pt",
    shell:
        # a scheduler's request to stop is for the training, which keeps its state, not for the shell
        "trap '' TERM; python -m msnmo.train --manifest {input.manifest:q} --folds {input.folds:q}"
        " --method {wildcards.method} --fold {wildcards.fold} --settings {params.settings:q}"
        " --seed {params.seed} --device {params.device} --threads {params.cpu_threads} {params.leak}"
        " --checkpoint {params.checkpoint:q} --out-weights {output.weights:q}"
        " --out-history {output.history:q} --out-run {output.run:q} 2>&1 | tee -a {log:q}"


rule predict_fold:
    input:
        manifest=rules.list_manifest.output,
        folds=rules.split_folds.output,
        weights=rules.train_fold.output.weights,
        run=rules.train_fold.output.run,
    output:
        directory(f"{RESULTS}/predictions/{{method}}/fold-{{fold}}"),
    log:
        f"{LOGS}/predict_fold/{{method}}/fold-{{fold}}.log",
    benchmark:
        f"{BENCHMARKS}/predict_fold/{{method}}/fold-{{fold}}.tsv"
    conda:
        TORCH_ENV
    threads: config["compute"]["threads"]
    resources:
        gpu=GPU,
    params:
        threshold=config["predict"]["threshold"],
        device=config["compute"]["device"],
        cpu_threads=config["compute"]["threads"],
        code=lambda wildcards: code("predict.fold", *networks_of(wildcards.method)),
    shell:
        "python -m msnmo.predict.fold --manifest {input.manifest:q} --folds {input.folds:q}"
        " --method {wildcards.method} --fold {wildcards.fold} --weights {input.weights:q}"
        " --run {input.run:q} --threshold {params.threshold} --device {params.device}"
        " --threads {params.cpu_threads} --out {output:q} > {log:q} 2>&1"


# of the scans of Figure 12, by the networks that did not see them in training
rule map_gradcam:
    input:
        chosen=f"{RESULTS}/figures/figure-12-scans.tsv",
        manifest=rules.list_manifest.output,
        weights=expand(rules.train_fold.output.weights, method=JOINT, fold=FOLDS),
        runs=expand(rules.train_fold.output.run, method=JOINT, fold=FOLDS),
    output:
        directory(f"{RESULTS}/gradcam"),
    log:
        f"{LOGS}/map_gradcam.log",
    benchmark:
        f"{BENCHMARKS}/map_gradcam.tsv"
    conda:
        TORCH_ENV
    threads: config["compute"]["threads"]
    resources:
        gpu=GPU,
    params:
        weights=pattern(rules.train_fold.output.weights),
        run=pattern(rules.train_fold.output.run),
        method=JOINT,
        device=config["compute"]["device"],
        cpu_threads=config["compute"]["threads"],
        code=code("predict.gradcam", *networks_of(JOINT)),
    shell:
        "python -m msnmo.predict.gradcam --chosen {input.chosen:q} --manifest {input.manifest:q}"
        " --method {params.method} --weights {params.weights:q} --run {params.run:q}"
        " --device {params.device} --threads {params.cpu_threads} --out {output:q}"
        " > {log:q} 2>&1"
