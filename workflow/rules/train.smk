# Jobs of a GPU: train a method on the other folds, predict the scans of this fold, make Grad-CAM.
# A training runs again if its data, folds or settings change, but not for new code: it takes hours.

# only one job at a time uses a GPU; on a CPU, jobs run at the same time if there are enough cores
GPU = 0 if config["compute"]["device"] == "cpu" else 1
TORCH_ENV = f"../../envs/torch-{'gpu' if GPU else 'cpu'}.yaml"


rule train_fold:
    input:
        scans=parts_of_training,
    output:
        weights=f"{MODEL}/weights.safetensors",
        history=f"{MODEL}/history.tsv",
        run=f"{MODEL}/run.json",
    log:
        f"{LOGS}/train_fold/{{method}}/fold-{{fold}}{{seed}}.log",
    benchmark:
        f"{BENCHMARKS}/train_fold/{{method}}/fold-{{fold}}{{seed}}.tsv"
    conda:
        TORCH_ENV
    threads: config["compute"]["threads"]
    resources:
        gpu=GPU,
    params:
        follows_from=of_part(training_part),
        settings=settings_of_training,
        seed=lambda wildcards: SEED_OF[wildcards.seed],
        command=training,
    shell:
        "{params.command}"


rule predict_fold:
    input:
        scans=part_of_fold("test"),
        weights=rules.train_fold.output.weights,
        run=rules.train_fold.output.run,
    output:
        directory(f"{RESULTS}/predictions/{{method}}/fold-{{fold}}{{seed}}"),
    log:
        f"{LOGS}/predict_fold/{{method}}/fold-{{fold}}{{seed}}.log",
    benchmark:
        f"{BENCHMARKS}/predict_fold/{{method}}/fold-{{fold}}{{seed}}.tsv"
    conda:
        TORCH_ENV
    threads: config["compute"]["threads"]
    resources:
        gpu=GPU,
    params:
        follows_from=of_part("test"),
        trained_from=of_part(training_part),
        settings=settings_of_method,
        seed=lambda wildcards: SEED_OF[wildcards.seed],
        threshold=config["predict"]["threshold"],
        device=uncompared(config["compute"]["device"]),
        cpu_threads=uncompared(config["compute"]["threads"]),
        code=lambda wildcards: code("predict.fold", *networks_of(wildcards.method)),
    shell:
        "python -m msnmo.predict.fold --scans {input.scans:q} --method {wildcards.method}"
        " --fold {wildcards.fold} --weights {input.weights:q} --run {input.run:q}"
        " --threshold {params.threshold} --device {params.device}"
        " --threads {params.cpu_threads} --out {output:q} > {log:q} 2>&1"


# for the joint model and the scans that its network did not see in training
rule map_gradcam:
    input:
        scans=part_of_fold("test"),
        weights=of_first_seed(rules.train_fold.output.weights, method=JOINT),
        run=of_first_seed(rules.train_fold.output.run, method=JOINT),
    output:
        directory(f"{RESULTS}/gradcam/fold-{{fold}}"),
    log:
        f"{LOGS}/map_gradcam/fold-{{fold}}.log",
    benchmark:
        f"{BENCHMARKS}/map_gradcam/fold-{{fold}}.tsv"
    conda:
        TORCH_ENV
    threads: config["compute"]["threads"]
    resources:
        gpu=GPU,
    params:
        follows_from=of_part("test"),
        trained_from=of_part("train"),
        method=JOINT,
        device=uncompared(config["compute"]["device"]),
        cpu_threads=uncompared(config["compute"]["threads"]),
        code=code("predict.gradcam", *networks_of(JOINT)),
    shell:
        "python -m msnmo.predict.gradcam --scans {input.scans:q} --method {params.method}"
        " --fold {wildcards.fold} --weights {input.weights:q} --run {input.run:q}"
        " --device {params.device} --threads {params.cpu_threads} --out {output:q}"
        " > {log:q} 2>&1"
