"""Every overlay keeps every rule, and every rule catches a planted fault."""

from __future__ import annotations

import pytest

from tests.k8s import rules_load, rules_names, rules_network, rules_pods
from tests.k8s.cluster import OVERLAYS, Fault, Rule, render
from tests.k8s.faults import FAULTS

RULES = (*rules_pods.RULES, *rules_names.RULES, *rules_load.RULES, *rules_network.RULES)


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule_is_kept(rule: Rule, overlay: str) -> None:
    assert list(rule(render(overlay))) == []


@pytest.mark.parametrize(("rule", "overlay", "plant"), FAULTS, ids=[f"{r.__name__}-{f.__name__}" for r, _, f in FAULTS])
def test_rule_catches(rule: Rule, overlay: str, plant: Fault) -> None:
    spoilt = render(overlay)
    plant(spoilt)
    assert list(rule(spoilt))


def test_every_rule_is_shown_to_catch() -> None:
    assert {rule for rule, _, _ in FAULTS} == set(RULES)
