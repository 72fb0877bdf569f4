"""Fresh weights follow from the seed and the name of the part."""

import torch
from torch import nn

from msnmo.networks.draw import draw_apart


def linear():
    return nn.Linear(3, 4)


def test_parts_of_one_name_start_alike_wherever_they_are_drawn():
    first = draw_apart("stem", linear)
    torch.rand(5)
    assert torch.equal(draw_apart("stem", linear).weight, first.weight)


def test_parts_of_another_name_or_seed_start_otherwise():
    first = draw_apart("stem", linear).weight
    assert not torch.equal(draw_apart("branch", linear).weight, first)
    torch.manual_seed(1)
    assert not torch.equal(draw_apart("stem", linear).weight, first)


def test_what_is_drawn_apart_takes_nothing_from_what_comes_after():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    draw_apart("stem", linear)
    assert torch.equal(torch.rand(3), expected)
    assert torch.initial_seed() == 7


def test_a_part_within_a_part_has_a_name_within_it():
    """So it starts otherwise than a part of that name alone, and as itself in the same part."""

    def within(outer):
        return draw_apart(outer, lambda: draw_apart("inner", linear)).weight

    assert torch.equal(within("one"), within("one"))
    assert not torch.equal(within("one"), within("other"))
    assert not torch.equal(within("one"), draw_apart("inner", linear).weight)
