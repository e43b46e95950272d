"""Every overlay keeps every rule, and every rule catches a planted fault."""

from __future__ import annotations

import subprocess

import pytest
import yaml

from tests.k8s import rules_load, rules_names, rules_network, rules_pods
from tests.k8s.cluster import MANIFESTS, OVERLAYS, Fault, Rule, render
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


def test_trial_secrets_are_those_of_the_example() -> None:
    script = MANIFESTS / "overlays/dev/secrets.sh"
    first, second = (subprocess.run([script], capture_output=True, text=True, check=True).stdout for _ in range(2))
    made = {thing["metadata"]["name"]: thing["stringData"] for thing in yaml.safe_load_all(first)}
    dev = render("dev")
    told = {thing["metadata"]["name"]: thing["stringData"] for thing in dev.secrets}
    assert {name: set(keys) for name, keys in made.items()} == {
        name: set(keys) for name, keys in told.items() if name != "cityzones-tls"
    }
    assert first != second
    dev.secrets = [{"metadata": {"name": name}, "stringData": keys} for name, keys in made.items()]
    assert list(rules_names.settings_agree(dev)) == []
    assert made["cityzones-redis-keda"]["password"] in made["cityzones-redis"]["CITYZONES_BROKER_URL"]
