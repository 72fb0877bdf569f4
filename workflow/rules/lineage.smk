# Params of a job that say what its inputs were made from. If a job fails, Snakemake removes its
# outputs. Files that were made from older outputs would then look current without these params.


class Of(SimpleNamespace):
    """Wildcards of a job that is not planned."""

    def get(self, name):
        return vars(self).get(name)


@cache
def image_follows_from(scan, before=None):
    """Return a digest of all that a scan's image is made from, or its image before a step."""
    steps = list(STEPS)[: list(STEPS).index(before) if before else None]
    made = [(options(step)(Of(scan=scan)), code(STEPS[step].module)) for step in steps]
    return digest_of(repr([contents("flair", "brain_mask")(Of(scan=scan)), made]))


@cache
def lesion_follows_from(scan):
    """Return a digest of all that a scan's lesion mask on its own grid is made from."""
    masks = contents("flair", "lesion_mask")(Of(scan=scan))
    return digest_of(repr([masks, config["lesion_masks"], code("preprocess.raters")]))


def follows_from(before=None, lesion=False):
    """Return a params function: what a scan's image and its lesion mask are made from."""

    def told(wildcards):
        image = image_follows_from(wildcards.scan, before)
        return [image, lesion_follows_from(wildcards.scan)] if lesion else image

    return told


def part_follows_from(wildcards):
    """Return a digest of a part's rows and of all that the files of its scans are made from."""
    scans = tuple(accepted()["scan"])
    return of_part_among(
        scans, wildcards.fold, wildcards.part, seed_of_folds(wildcards)
    )


@cache
def of_part_among(scans, fold, part, seed):
    """Return the digest among the scans that go on. It is cached: all methods need the same few."""
    rows = rows_among(scans, fold, part, seed)
    files = set(PARTS[part][1].values())
    # the order of the labels gives the numbers of the classes
    told = [rows.to_csv(index=False), *LABELS]
    if files & {MODEL_IMAGE, MODEL_LESION}:
        told += [image_follows_from(scan) for scan in rows["scan"]]
    if files & {MODEL_LESION, LESIONS}:
        how = (config["resize"]["mask"], code("preprocess.lesion_mask"))
        told += [(lesion_follows_from(scan), how) for scan in rows["scan"]]
    return digest_of(repr(told))


def of_part(part):
    """Return a params function: what a part of the job's fold is made from."""
    return lambda job: part_follows_from(
        Of(fold=job.fold, part=name_of(part, job), seed=place_of_folds(job))
    )
