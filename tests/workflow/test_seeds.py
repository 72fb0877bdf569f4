"""Several trainings of each fold: which are planned, where they lie, and what waits for them."""

import re

import pytest

from tests.workflow.dag import jobs, run, seeds_trained, trained, write_config

BRIEF = {"methods": ["unet"], "folds": {"k": 2}}
WITH_MAPS = {"methods": ["only_cls"], "bundle": {"method": "only_cls"}}
FOLDS = [("unet", "0"), ("unet", "1")]


@pytest.fixture(scope="module")
def plan(clone, cohort):
    """A function: the dry run of targets with seeds."""

    def make(seeds, *targets, **changed):
        config = write_config(clone, cohort, "of_seeds", seeds=seeds, **BRIEF | changed)
        return run(clone, config, "--dry-run", "--printshellcmds", *targets)

    return make


def seeds_of(output, module):
    """The seeds that the commands of a module are given, in the order of the folds' folders."""
    commands = re.findall(rf"python -m {module} ([^\n]*)", output)
    return sorted(re.search(r"--seeds? ([\d ]*\d)", command)[1] for command in commands)


def test_each_seed_of_each_fold_is_trained_in_a_folder_of_its_own(plan, clone):
    code, output = plan([1, 2], "table_3")
    assert code == 0, output
    assert trained(output) == [FOLDS[0], FOLDS[0], FOLDS[1], FOLDS[1]]
    assert seeds_trained(output) == ["/seed-1", "/seed-2"]
    for fold in (0, 1):
        for seed in (1, 2):
            place = f"unet/fold-{fold}/seed-{seed}"
            assert f"{clone}/of_seeds/models/{place}/weights.safetensors" in output
            assert f"{clone}/of_seeds/predictions/{place}\n" in output
            assert f"{clone}/of_seeds/metrics/{place}.tsv" in output
    assert seeds_of(output, "msnmo.train") == ["1", "1", "2", "2"]
    assert seeds_of(output, "msnmo.evaluate") == ["1", "1", "2", "2"]
    # the table is of all of them
    assert seeds_of(output, "msnmo.evaluate.aggregate") == ["1 2"]
    counts = jobs(output)
    assert counts["predict_fold"] == counts["evaluate_fold"] == counts["train_fold"] == 4


@pytest.mark.parametrize(("target", "changed"), [("figure_8", {}), ("bundle", WITH_MAPS)])
def test_what_shows_or_packs_one_training_a_fold_waits_for_the_first_seed_alone(
    plan, clone, target, changed
):
    """What a bundle says of its maps is of the networks it packs."""
    code, output = plan([2, 1], target, **changed)
    assert code == 0, output
    assert len(trained(output)) == len(FOLDS)
    if changed:
        assert f"{clone}/of_seeds/localisation/only_cls/seed-2.tsv\n" in output
    assert seeds_trained(output) == ["/seed-2"]
    assert seeds_of(output, "msnmo.train") == ["2", "2"]
    assert "seed-1" not in output


def test_the_table_of_maps_is_of_all_seeds(plan, clone):
    code, output = plan([2, 1], "table_S2", **WITH_MAPS)
    assert code == 0, output
    assert seeds_trained(output) == ["/seed-1", "/seed-2"]
    assert f"{clone}/of_seeds/localisation/only_cls.tsv\n" in output
    counts = jobs(output)
    assert (counts["measure_maps"], counts["measure_untrained_maps"]) == (4, 2)
    assert counts["judge_maps"] == 1


def test_each_repeat_of_the_cross_validation_has_folds_and_a_seed_of_its_own(plan, clone):
    code, output = plan([], "tables", folds={"k": 2, "repeats": 3}, seed=7)
    assert code == 0, output
    assert seeds_trained(output) == ["/seed-7", "/seed-8", "/seed-9"]
    assert len(trained(output)) == 6
    commands = re.findall(r"python -m msnmo.cohort.parts ([^\n]*)", output)
    lists = {
        re.search(r"--seed (\d+) --fold (\d) --side (\w+)", each).groups() for each in commands
    }
    assert lists == {(s, k, side) for s in "789" for k in "01" for side in ("train", "test")}
    for command in re.findall(r"python -m (?:msnmo.train|msnmo.predict.fold) ([^\n]*)", output):
        # it reads its own repeat's lists
        place = re.search(r"/folds/(fold-\d/seed-\d)/", command)[1]
        assert command.count(place) >= 2
    notes = re.findall(r"python -m msnmo.tables ([^\n]*)", output)
    assert all("--repeats=3" in each for each in notes if "--metrics" in each)


def test_the_bundle_and_the_folds_shown_are_of_the_first_repeat(plan):
    code, output = plan(
        [], "bundle", folds={"k": 2, "repeats": 2}, seed=7, bundle={"method": "unet"}
    )
    assert code == 0, output
    assert seeds_trained(output) == ["/seed-7"]
    (split,) = re.findall(r"python -m msnmo.cohort.folds ([^\n]*)", output) or ["--seed 7 "]
    assert "--seed 7 " in split


@pytest.mark.parametrize(("seeds", "seed"), [([7], "7"), ([], "2024")])
def test_one_seed_has_no_folder(plan, clone, seeds, seed):
    code, output = plan(seeds, "table_3")
    assert code == 0, output
    assert trained(output) == FOLDS
    assert seeds_trained(output) == [""]
    assert f"{clone}/of_seeds/models/unet/fold-0/weights.safetensors" in output
    assert "seed-" not in output.replace("--seed-", "")
    assert seeds_of(output, "msnmo.train") == [seed] * 2
    assert seeds_of(output, "msnmo.evaluate") == [seed] * 2
    assert seeds_of(output, "msnmo.evaluate.aggregate") == [seed]


def test_seeds_that_cannot_be_are_refused_with_their_key(plan):
    code, output = plan([3, -1, "x"], "table_3")
    assert code == 1
    assert "config: seeds.1" in output
    assert "config: seeds.2" in output
    code, output = plan([3, 3], "table_3")
    assert code == 1
    assert "config: seeds\n" in output
    assert "3 more than once" in output
