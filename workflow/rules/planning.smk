# What is planned when: the check first, and what follows of the scans that it lets go on.


def runs_jobs():
    """Return whether this process is to run jobs: no dry run, no drawing, no job of another run."""
    executor = workflow.executor_plugin is not None
    return (
        workflow.is_main_process
        and executor
        and not workflow.dryrun
        and not workflow.touch
    )


def accepted():
    """Return the rows of the scans that go on.

    When jobs are run, the check comes first: until it has ended Snakemake plans no more than it,
    and what follows is then planned by what has changed. A dry run plans all at once.
    """
    if runs_jobs():
        checkpoints.accept_cohort.get()
    excluded = Path(RESULTS) / "excluded.tsv"
    if config["on_bad_scan"] == "stop" or not excluded.exists():
        return SCANS
    return SCANS[~SCANS["scan"].isin(read_tsv(excluded, {"scan": str})["scan"])]


def tested_folds():
    """Return the folds that are trained and tested: those that the config names, or all.

    With one fold a site there are as many as the scans that go on have sites.
    """
    refuse_lost(tuple(accepted()["scan"]))
    return folds_among(tuple(accepted()["scan"]))


@cache
def refuse_lost(scans):
    """Stop if the check left no scan of one of two classes that methods are to tell apart.

    What needs no training, such as preprocessing, goes on.
    """
    excluded = Path(RESULTS) / "excluded.tsv"
    if not CLASSIFYING or config["on_bad_scan"] == "stop" or not excluded.exists():
        return
    try:
        refuse_lost_class(survey, SCANS.loc[list(scans)], read_excluded(excluded))
    except MsnmoError as error:
        raise WorkflowError(str(error)) from error


@cache
def folds_among(scans):
    """Return those folds among the scans that go on."""
    chosen, split = config["folds"]["only"], config["folds"]["split"]
    count = count_folds(SCANS.loc[list(scans)], config["folds"]["k"], split)
    # where there is no site, a job of the first fold says so
    return chosen or list(range(max(1, count)))


def findings_to_judge(wildcards):
    """Return the table of findings; what was refused is judged again, whatever is asked for.

    Snakemake records a job that failed as it records one that ended, and makes no file that is
    missing between others that are there: results of the cohort before would pass for new.
    """
    for path in map(IOFile, rules.accept_cohort.output):
        if workflow.persistence.metadata(path) and not Path(path).exists():
            workflow.persistence.cleanup_metadata(path)
    return rules.list_findings.output.table


def after_check(*files):
    """Return an input function: files that are planned when the check has ended."""

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

    Of all scans, or of those with (`labelled`) or without a lesion mask, or with those of at least
    so many `raters`.
    """

    def files(wildcards):
        cohort = accepted()
        has_mask = cohort["lesion_mask"] != ""
        chosen = cohort if labelled is None else cohort[has_mask == labelled]
        chosen = chosen[chosen["lesion_mask"].str.count(";") + 1 >= raters]
        return [str(path_of_scan(str(pattern), scan)) for scan in chosen["scan"]]

    return files
