# What each fold's jobs read, and how a training is started.


# if there are several repeats, each has its own folder
NAME_OF_PART = f"fold-{{fold}}{'{seed}' if REPEATS > 1 else ''}/{{part}}"
PART = f"{RESULTS}/folds/{NAME_OF_PART}.tsv"
# what jobs of a fold read: the side of the fold (training or test), and the files of its scans
PARTS = {
    "train_images": ("train", {"image": MODEL_IMAGE}),
    "train": ("train", {"image": MODEL_IMAGE, "lesion": MODEL_LESION}),
    "test": (
        "test",
        {"image": MODEL_IMAGE, "sidecar": MODEL_SIDECAR, "brain": MODEL_BRAIN},
    ),
    "truth": ("test", {"lesion": MODEL_LESION, "native_lesion": LESIONS}),
}


def place_of_folds(job):
    """Return the repeat that a job belongs to; a job without a seed belongs to the first."""
    return job.get("seed") or FIRST_SEED


def seed_of_folds(job):
    """Return the seed of the folds of a job."""
    return config["seed"] if REPEATS == 1 else SEED_OF[place_of_folds(job)]


@cache
def fold_of_each(scans, seed):
    """Return the cohort's scans that are in a fold, and in which."""
    cohort = SCANS.loc[list(scans)].reset_index(drop=True)
    settings = config["folds"]
    try:
        return split_folds(cohort, settings["k"], settings["split"], seed)
    except MsnmoError:
        # the rule split_folds reports why there are no folds; the plan then has all scans
        return learned(cohort).assign(fold=-1)


def rows_of(scans, job, part):
    """Return the rows of those of the scans that a part of a job's fold lists."""
    return rows_among(scans, job.fold, part, seed_of_folds(job))


def rows_among(scans, fold, part, seed):
    """Return the rows of those of the scans that a part of a fold lists."""
    side, _ = PARTS[part]
    folds = fold_of_each(scans, seed)
    tested = folds["fold"] == int(fold)
    return folds[(tested == (side == "test")) | (folds["fold"] < 0)]


def files_of_part(wildcards):
    """Return the files of the scans that a part lists."""
    _, columns = PARTS[wildcards.part]
    rows = rows_of(tuple(accepted()["scan"]), wildcards, wildcards.part)
    scans = SCANS.loc[rows["scan"]]
    return [
        str(path_of_scan(str(path), scan.scan))
        for scan in scans.itertuples()
        for path in columns.values()
        if scan.lesion_mask or path not in (MODEL_LESION, LESIONS)
    ]


def part_of_fold(part):
    """Return an input function: a list of what a fold's job reads, planned after the check."""
    return after_check(
        lambda job: PART.format(
            fold=job.fold, part=name_of(part, job), seed=place_of_folds(job)
        )
    )


def name_of(part, wildcards):
    """Return a part's name, which may depend on the job."""
    return part(wildcards) if callable(part) else part


def training_part(wildcards):
    """Return the name of the part that a method is trained on."""
    if wildcards.method in LEFT_OUT:
        raise WorkflowError(left_out_note([wildcards.method], CLASSES))
    segments = "segmentation" in REGISTRY[wildcards.method].tasks
    return "train" if segments else "train_images"


def simulated_scans(wildcards):
    """Return how many of a training's scans are simulated."""
    rows = rows_of(tuple(accepted()["scan"]), wildcards, training_part(wildcards))
    return Simulated.among(SCANS.loc[rows["scan"]]).scans


@cache
def digest_of_start(path):
    """Return the digest of weights that trainings start from, or of a bundle's description."""
    description = Path(path) / "bundle.json"
    return sha256(description if Path(path).is_dir() else path)


def parts_of_training(wildcards):
    """Return the list of what a training reads, unless what it starts from knows a tested scan."""
    listed = part_of_fold(training_part)(wildcards)
    start = start_of(config, wildcards.method)
    if runs_jobs() and start and Path(start).is_dir():
        refuse_known_start(start, tuple(accepted()["scan"]))
    return listed


def settings_of_training(wildcards):
    """Return the settings of a training, and the digest of weights that it starts from."""
    settings, start = settings_of_method(wildcards), start_of(config, wildcards.method)
    if not start:
        return settings
    try:
        return f"{settings} from {digest_of_start(start)}"
    except (MsnmoError, OSError):
        # the training reports what is wrong with it
        return f"{settings} from {start}, which cannot be read"


def training(wildcards, input, output):
    """Return the command of a training.

    It is not in the text of the rule, which Snakemake compares: weights do not depend on device,
    threads, paths or the form of the command. They depend on the rule's input and params.
    """
    folder = Path(output.weights).parent
    options = {
        "scans": input.scans,
        "method": wildcards.method,
        "fold": wildcards.fold,
        "settings": settings_of_method(wildcards),
        "seed": SEED_OF[wildcards.seed],
        "device": config["compute"]["device"],
        "threads": config["compute"]["threads"],
        "checkpoint-minutes": config["compute"]["checkpoint_minutes"],
        "held-scans": config["compute"]["held_scans"],
        "simulated-scans": simulated_scans(wildcards),
        # not declared, because Snakemake removes the outputs of a failed job; a killed training
        # continues from this file
        "checkpoint": folder / "checkpoint.pt",
        "out-weights": output.weights,
        "out-history": output.history,
        "out-run": output.run,
    }
    words = [
        word for name, value in options.items() for word in (f"--{name}", str(value))
    ]
    if start := start_of(config, wildcards.method):
        words += ["--start-from", start]
    switches = ("compile", "gradient_checkpointing", "keep_state")
    words += [
        f"--{each.replace('_', '-')}" for each in switches if config["compute"][each]
    ]
    log = rules.train_fold.log[0].format(**wildcards)
    # a stop signal of a scheduler must reach the training, which saves its state, and not the shell
    return (
        f"trap '' TERM; python -m msnmo.train {shlex.join(words)}"
        f" >> {shlex.quote(log)} 2>&1"
    )
