"""When a model server counts as ready and as live, by what its probes found and when."""

from __future__ import annotations

import pytest

from jobs.probing import ModelAnswer
from service.vitality import Vitality, alive, described

GOOD = [ModelAnswer("a", 0.1), ModelAnswer("b", 0.0, failure="is not found", absent=True)]
BAD = [ModelAnswer("a", 0.1), ModelAnswer("b", 9.0, failure="stub is not healthy")]


class Watched:
    def __init__(self) -> None:
        self.now = 0.0
        self.answers = GOOD
        self.vitality = Vitality(lambda: self.answers, stale=30.0, patience=60.0, clock=lambda: self.now)

    def at(self, now: float, answers: list[ModelAnswer] | None = None) -> tuple[bool, bool]:
        self.now = now
        if answers is not None:
            self.answers = answers
            self.vitality.look()
        return self.vitality.ready, self.vitality.live


def test_ready_with_the_first_good_probe_and_unready_with_the_first_bad_one() -> None:
    watched = Watched()
    assert watched.at(0) == (False, True)
    assert watched.at(1, GOOD) == (True, True)
    assert watched.at(11, BAD) == (False, True)
    assert watched.at(21, GOOD) == (True, True)


def test_live_until_patience_ends_and_again_after_a_good_probe() -> None:
    watched = Watched()
    watched.at(0, GOOD)
    assert watched.at(60, BAD) == (False, True)
    assert watched.at(61, BAD) == (False, False)
    assert watched.at(70, GOOD) == (True, True)


def test_what_never_was_ready_is_left_in_peace() -> None:
    assert Watched().at(10_000, BAD) == (False, True)


def test_a_probe_that_hangs_ends_readiness_and_then_life() -> None:
    watched = Watched()
    watched.at(0, GOOD)
    assert watched.at(30) == (True, True)
    assert watched.at(31) == (False, True)
    assert watched.at(61) == (False, False)


@pytest.mark.parametrize(("answers", "fit"), [(GOOD, True), (BAD, False), (GOOD[1:], False), ([], False)])
def test_a_server_without_any_model_is_not_alive(answers: list[ModelAnswer], fit: bool) -> None:
    assert alive(answers) is fit


def test_models_the_server_lacks_are_not_told_but_demanded_ones_fail() -> None:
    assert [told["model"] for told in described(GOOD)] == ["a"]
    demanded = [answer.demanded() for answer in GOOD]
    assert not alive(demanded)
    assert [told["ok"] for told in described(demanded)] == [True, False]
