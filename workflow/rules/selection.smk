# Which methods of the config each table and figure shows, and so which files it waits for.

from msnmo.figures import catalogue
from msnmo.settings.methods import BOTH_TASKS, JOINT, get_method
from msnmo.settings.methods import METHODS as REGISTRY
from msnmo.tables import layout

# notes under tables of results: what folds balance, and what a cohort of one class leaves out
HOW_SPLIT = [f"--{name}={config['folds'][name]}" for name in ("split", "k", "repeats")]
HOW_SPLIT += [f"--left-out={name}" for name in LEFT_OUT]
FORMATS = ["tsv", "md", "tex", "html"]
COMPARED = [table for table in layout.CAPTIONS if layout.methods_of(table, METHODS)]
# the methods whose localisation maps are measured
WITH_MAPS = layout.methods_of(layout.MAPS, METHODS)
# the methods whose lesions are counted by size
SEGMENTING = layout.methods_of(layout.LESIONS, METHODS)
# classifiers are tested for shortcuts where there is a joint model
TESTED_FOR_SHORTCUTS = layout.methods_of(layout.SHORTCUTS, METHODS) * (JOINT in METHODS)
TABLES = [
    *(*layout.DESCRIBED, *COMPARED),
    *([layout.MAPS] if WITH_MAPS else []),
    layout.SITES,
    *([layout.LESIONS] if SEGMENTING else []),
    *([layout.SHORTCUTS] if TESTED_FOR_SHORTCUTS else []),
]
FIGURES = catalogue.drawable(METHODS)
# the methods that both segment and classify: the pathway shows the first
OF_BOTH_TASKS = [name for name in METHODS if REGISTRY[name].tasks == BOTH_TASKS]
# the methods whose class probabilities are evaluated
CLASSIFYING = [name for name in METHODS if "classification" in REGISTRY[name].tasks]


wildcard_constraints:
    described="|".join(layout.DESCRIBED),
    table="|".join(layout.CAPTIONS),
    figure="|".join(catalogue.FIGURES),


def methods_of(selection):
    """Return the methods of the config that a table, a figure or `all` shows."""
    if selection == "all":
        return METHODS
    if selection.startswith("table-"):
        return layout.methods_of(selection.removeprefix("table-"), METHODS)
    return catalogue.methods_of(selection, METHODS)


def networks_of(*methods):
    """Return the modules that build the networks of methods."""
    return sorted({f"networks.{get_method(name).module}" for name in methods})


def fold_metrics(wildcards):
    """Return the metrics of the trainings that a table or figure shows."""
    methods = methods_of(wildcards.selection)
    if not methods:
        raise WorkflowError(f"{wildcards.selection} shows none of the config's methods")
    return trainings(rules.evaluate_fold.output, methods, seeds_of(wildcards.selection))


def seeds_of(selection):
    """Return the seeds that a table or figure shows: a figure the first, a table all."""
    return SEEDS[:1] if selection.startswith("figure-") else SEEDS


def judged_maps(wildcards):
    """Return whether the maps of each method find lesions: what the table of maps shows."""
    if not WITH_MAPS:
        raise WorkflowError(f"table-{layout.MAPS} shows none of the config's methods")
    return expand(rules.judge_maps.output, method=WITH_MAPS, seed="")


def measured_lesions(wildcards):
    """Return the counts of lesions by size for every training of every method."""
    if not SEGMENTING:
        raise WorkflowError(
            f"table-{layout.LESIONS} shows none of the config's methods"
        )
    return trainings(rules.measure_lesions.output, SEGMENTING, SEEDS)


def filled_of_fold(wildcards):
    """Return the images with lesions filled of the test scans of a fold that have a mask."""
    rows = rows_of(tuple(accepted()["scan"]), wildcards, "test")
    masks = SCANS.loc[rows["scan"], "lesion_mask"]
    image = rules.fill_lesions.output[0]
    return [str(path_of_scan(image, scan)) for scan in masks[masks != ""].index]


def judged_shortcuts(wildcards):
    """Return whether each method tells classes without lesions: what Table S6 shows.

    For another table these are its methods that were tested: its notes say which ones do.
    """
    if "table" not in wildcards.keys():
        methods = layout.methods_of(layout.SHORTCUTS, METHODS)
        if not methods:
            raise WorkflowError(
                f"table-{layout.SHORTCUTS} shows none of the config's methods"
            )
    elif wildcards.table == layout.TOLD_OF_SHORTCUTS and TESTED_FOR_SHORTCUTS:
        methods = layout.methods_of(wildcards.table, METHODS)
    else:
        methods = []
    return expand(rules.judge_shortcuts.output, method=methods)


def perturbed_of_fold(wildcards):
    """Return the perturbed test scans of a fold."""
    if not any(CONDITIONS.values()):
        raise WorkflowError("config: robustness names no severity: give at least one")
    rows = rows_of(tuple(accepted()["scan"]), wildcards, "test")
    return [str(path_of_scan(PERTURBED, scan)) for scan in rows["scan"]]


def table_files(*tables):
    """Return the files of tables."""
    return expand(
        f"{RESULTS}/tables/table-{{table}}.{{format}}", table=tables, format=FORMATS
    )


def weights_of(selection):
    """Return an input function: the weights of the methods that a table or figure shows.

    Deleted weights are trained again.
    """
    return lambda wildcards: trainings(
        rules.train_fold.output.weights, methods_of(selection), seeds_of(selection)
    )


def figure_inputs(wildcards):
    """Return what a figure is drawn from, by the catalogue."""
    figure = catalogue.get_figure(wildcards.figure)
    methods = methods_of(wildcards.figure)
    sources = {
        "metrics": f"{RESULTS}/metrics/{wildcards.figure}.tsv",
        "predictions": trainings(rules.predict_fold.output, methods),
        "history": trainings(rules.train_fold.output.history, methods),
        "gradcam": expand(rules.map_gradcam.output, fold=tested_folds()),
        "localisation": of_first_seed(rules.judge_maps.output, method=methods),
    }
    return {name: sources[name] for name in figure.reads}


def figure_options(wildcards):
    """Return the options of a figure's command that depend on the figure."""
    figure = catalogue.get_figure(wildcards.figure)
    sources = {
        "metrics": [f"{RESULTS}/metrics/{wildcards.figure}.tsv"],
        "predictions": [of_training(rules.predict_fold.output[0])(wildcards)],
        "history": [of_training(rules.train_fold.output.history)(wildcards)],
        "gradcam": rules.map_gradcam.output,
        "localisation": of_first_seed(rules.judge_maps.output, method=JOINT),
    }
    options = [f"--{name}={sources[name][0]}" for name in sorted(figure.reads)]
    methods = methods_of(wildcards.figure)
    return [*options, *(["--methods", *methods] if methods else [])]


def where_made(*files):
    """Return an input function: those of the files that their own target has made before.

    A report does not make them. But if they exist, it updates them, because it shows them.
    """
    return lambda wildcards: [file for file in files if Path(file).exists()]


def evaluated(wildcards):
    """Return the files of an evaluation, planned if no overlap was found or it is left out."""
    if not config["apply"]["bundle"]:
        raise WorkflowError(
            "evaluate_bundle: the folds trained here learned from this very cohort. Name a bundle "
            "that never saw it in the config (apply.bundle)."
        )
    accepted()
    if runs_jobs():
        checkpoints.refuse_overlap.get()
    return [*rules.refuse_overlap.output, *rules.evaluate_applied.output]
