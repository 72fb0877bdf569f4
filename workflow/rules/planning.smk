# What is planned when: first the check, then the jobs of the scans that go on.


def runs_jobs():
    """Return whether this process runs jobs: no dry run, no graph, no job of another run."""
    executor = workflow.executor_plugin is not None
    return (
        workflow.is_main_process
        and executor
        and not workflow.dryrun
        and not workflow.touch
    )


def accepted():
    """Return the rows of the scans that go on.

    When jobs are run, the check comes first. Until it has ended, Snakemake plans nothing else. What
    follows is then planned by what has changed. A dry run plans everything at once.
    """
    if runs_jobs():
        checkpoints.accept_cohort.get()
    excluded = Path(RESULTS) / "excluded.tsv"
    if config["on_bad_scan"] == "stop" or not excluded.exists():
        return SCANS
    return SCANS[~SCANS["scan"].isin(read_tsv(excluded, {"scan": str})["scan"])]


def tested_folds():
    """Return the folds that are trained and tested: those that the config names, or all.

    With one fold for each site, their number is that of the sites of the scans that go on.
    """
    refuse_lost(tuple(accepted()["scan"]))
    return folds_among(tuple(accepted()["scan"]))


@cache
def refuse_lost(scans):
    """Stop if the check left no scan of one of the two classes of the methods.

    Jobs that need no training, such as preprocessing, go on.
    """
    excluded = Path(RESULTS) / "excluded.tsv"
    if not CLASSIFYING or config["on_bad_scan"] == "stop" or not excluded.exists():
        return
    try:
        refuse_lost_class(survey, SCANS.loc[list(scans)], read_excluded(excluded))
    except MsnmoError as error:
        raise WorkflowError(str(error)) from error


@cache
def refuse_known_start(bundle, scans):
    """Stop if a bundle to start from has learned from a subject that is tested here.

    It is no job. If trainings read what a job writes, they would run again each time it runs.
    Snakemake's `ancient` does not help: it then plans no training for other weights to start from
    if that job runs as well.
    """
    try:
        unknown = refuse_start(
            read_bundle(bundle), SCANS.loc[list(scans)], REPORT_OF_SCAN
        )
    except MsnmoError as error:
        raise WorkflowError(str(error)) from error
    if unknown:
        logger.warning(unknown)


@cache
def folds_among(scans):
    """Return the folds that are trained and tested, for the scans that go on."""
    chosen, split = config["folds"]["only"], config["folds"]["split"]
    count = count_folds(SCANS.loc[list(scans)], config["folds"]["k"], split)
    # if there is no site, a job of the first fold reports it
    return chosen or list(range(max(1, count)))


def findings_to_judge(wildcards):
    """Return the table of findings. A cohort that was refused is checked again for every target.

    Snakemake records a failed job like a finished one. It does not make a missing file if the files
    that depend on it exist. Results of the earlier cohort would then look current.
    """
    for path in map(IOFile, rules.accept_cohort.output):
        if workflow.persistence.metadata(path) and not Path(path).exists():
            workflow.persistence.cleanup_metadata(path)
    return rules.list_findings.output.table


def after_check(*files):
    """Return an input function: files that are planned after the check."""

    def planned(wildcards):
        accepted()
        given = (each(wildcards) if callable(each) else each for each in files)
        return [
            path
            for each in given
            for path in ([each] if isinstance(each, str) else each)
        ]

    return planned


def per_scan(pattern, labelled=None, raters=0):
    """Return an input function: a per-scan file of every scan that goes on.

    These are all scans, or those with (`labelled`) or without a lesion mask, or those with masks of
    at least that many `raters`.
    """

    def files(wildcards):
        cohort = accepted()
        has_mask = cohort["lesion_mask"] != ""
        chosen = cohort if labelled is None else cohort[has_mask == labelled]
        chosen = chosen[chosen["lesion_mask"].str.count(";") + 1 >= raters]
        return [str(path_of_scan(str(pattern), scan)) for scan in chosen["scan"]]

    return files
