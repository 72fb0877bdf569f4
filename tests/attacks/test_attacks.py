"""Every attack of the registry, each in folders of its own: `make test-attacks`."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.attacks.attack import Attack, Place
from tests.attacks.registry import ATTACKS

pytestmark = pytest.mark.attack
FEWEST = 3400


def _as_case(attack: Attack) -> object:
    marks = [pytest.mark.xfail(reason=attack.known, strict=True)] if attack.known else []
    marks += [pytest.mark.heavy] if attack.heavy else []
    return pytest.param(attack, id=f"{attack.kind}: {ascii(attack.name)[1:-1]}", marks=marks)


@pytest.mark.parametrize("attack", [_as_case(each) for each in ATTACKS])
def test_what_an_attacker_gives_does_no_harm(
    attack: Attack, tmp_path: object, request: pytest.FixtureRequest
) -> None:
    request.node.user_properties.append(("attack", attack.kind))
    folder = tmp_path / "place"
    folder.mkdir()
    attack.run(Place.make(folder, request.getfixturevalue))


def test_each_attack_is_another_and_they_are_many() -> None:
    named = Counter((each.kind, each.name) for each in ATTACKS)
    assert [each for each, count in named.items() if count > 1] == []
    assert len(named) >= FEWEST
