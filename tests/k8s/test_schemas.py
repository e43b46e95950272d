"""Every object is one that the API server takes: of three versions of Kubernetes, of KEDA, of Prometheus' operator."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from tests.k8s.cluster import OVERLAYS, Cluster, Thing, render

VERSIONS: Final = ("1.32", "1.35", "1.37")
OWN: Final = {file.stem: file for file in (Path(__file__).parent / "schemas").glob("*.json")}


@functools.cache
def _kubernetes(version: str, name: str) -> Any:
    """Return one of kubernetes-validate's strict schemas; the package itself reads 4 MB anew for every object."""
    folder = files("kubernetes_validate") / "kubernetes-json-schema" / f"v{version}.0-local-strict"
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))


@functools.cache
def _definitions(version: str) -> Registry[Any]:
    definitions: Resource[Any] = Resource.from_contents(_kubernetes(version, "_definitions"))
    return (definitions @ Registry()).crawl()


@functools.cache
def _validator(kind: str, api: str, version: str) -> Draft202012Validator:
    if kind in OWN:
        return Draft202012Validator(json.loads(OWN[kind].read_text(encoding="utf-8")))
    group, _, last = api.rpartition("/")
    name = "-".join(filter(None, [kind.lower(), group.partition(".")[0], last]))
    return Draft202012Validator(_kubernetes(version, name), registry=_definitions(version))


def faults(cluster: Cluster, version: str) -> list[str]:
    """Return what is wrong with each object, in words."""
    return [
        f"{thing['kind']}/{thing['metadata']['name']} {error.json_path}: {error.message[:200]}"
        for thing in cluster.objects
        for error in _validator(thing["kind"], thing["apiVersion"], version).iter_errors(thing)
    ]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_objects_are_valid(overlay: str, version: str) -> None:
    assert faults(render(overlay), version) == []


def test_own_schemas_are_schemas() -> None:
    assert set(OWN) == {"ScaledObject", "TriggerAuthentication", "ServiceMonitor", "PodMonitor", "PrometheusRule"}
    for file in OWN.values():
        Draft202012Validator.check_schema(json.loads(file.read_text(encoding="utf-8")))


def _spec(cluster: Cluster, kind: str, name: str) -> Thing:
    spec: Thing = cluster.get(kind, name)["spec"]
    return spec


def _template(cluster: Cluster) -> Thing:
    return cluster.pod("api").spec


PLANTED: Final[dict[str, Callable[[Cluster], Any]]] = {
    "misspelt": lambda c: _spec(c, "Deployment", "api").update(replica=2),
    "text_for_number": lambda c: _template(c).update(terminationGracePeriodSeconds="90"),
    "unknown_probe": lambda c: _template(c)["containers"][0]["livenessProbe"].update(every=5),
    "policy_types": lambda c: _spec(c, "NetworkPolicy", "to-dns").update(policyType=["Egress"]),
    "hpa": lambda c: _spec(c, "HorizontalPodAutoscaler", "api").pop("maxReplicas"),
    "keda_misspelt": lambda c: _spec(c, "ScaledObject", "triton").update(minReplicas=0),
    "keda_number": lambda c: _spec(c, "ScaledObject", "worker-jobs")["triggers"][0]["metadata"].update(listLength=1),
    "keda_trigger": lambda c: _spec(c, "ScaledObject", "triton")["triggers"][0].update(type="prometeus"),
    "keda_authentication": lambda c: _spec(c, "TriggerAuthentication", "redis")["secretTargetRef"][0].pop("key"),
    "monitor": lambda c: _spec(c, "ServiceMonitor", "api")["endpoints"][0].update(bearerToken="x"),
    "pod_monitor": lambda c: _spec(c, "PodMonitor", "triton").update(endpoints=[]),
    "alert_without_runbook": lambda c: _rule(c)["annotations"].pop("runbook"),
    "alert_for": lambda c: _rule(c).update({"for": "5 minutes"}),
}


def _rule(cluster: Cluster) -> Thing:
    rule: Thing = _spec(cluster, "PrometheusRule", "cityzones")["groups"][0]["rules"][0]
    return rule


@pytest.mark.parametrize("plant", PLANTED.values(), ids=PLANTED)
def test_schemas_catch(plant: Callable[[Cluster], Any]) -> None:
    spoilt = render("prod-gpu")
    plant(spoilt)
    assert all(faults(spoilt, version) for version in VERSIONS)
