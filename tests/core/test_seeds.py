"""A seed depends on what is computed and on nothing else."""

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from msnmo.core.seeds import derive_seed

KNOWN = 2968175051


def test_seed_is_the_same_in_every_process():
    # a fixed value: a change would silently change every user's results
    assert derive_seed(0, "folds", "grouped", 5) == KNOWN
    code = "from msnmo.core.seeds import derive_seed; print(derive_seed(0, 'folds', 'grouped', 5))"
    for hash_seed in ("1", "2"):
        result = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": hash_seed},
        )
        assert int(result.stdout) == KNOWN


def test_no_two_pieces_of_work_share_a_seed():
    works = [
        (seed, method, fold, epoch)
        for seed in range(3)
        for method in ("joint", "only_seg")
        for fold in range(5)
        for epoch in range(100)
    ]
    assert len({derive_seed(*work) for work in works}) == len(works)
    assert derive_seed(1, 23) != derive_seed(12, 3)
    assert derive_seed(1, "2") != derive_seed(1, 2)
    assert derive_seed(1, "a", "b") != derive_seed(1, "ab")


@given(st.integers(), st.lists(st.one_of(st.integers(), st.text()), max_size=4))
def test_seed_fits_32_bits(seed, parts):
    assert 0 <= derive_seed(seed, *parts) < 2**32


def test_seeds_are_spread_over_all_32_bits():
    seeds = [derive_seed(0, number) for number in range(2000)]
    for bit in range(32):
        assert 800 < sum(seed >> bit & 1 for seed in seeds) < 1200
