"""The objects of an overlay as kustomize renders them, and what rules ask of them."""

from __future__ import annotations

import copy
import functools
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from tests.missing import without

ROOT: Final = Path(__file__).resolve().parents[2]
MANIFESTS: Final = ROOT / "k8s"
OVERLAYS: Final = ("dev", "prod-cpu", "prod-gpu")
NAMESPACE: Final = "cityzones"
WORKLOADS: Final = ("Deployment", "StatefulSet", "Job", "CronJob")
SERVERS: Final = ("Deployment", "StatefulSet")

Thing = dict[str, Any]


def tool(name: str) -> str:
    """Return the path of a program that .ci/cluster-tools unpacks, or that is installed."""
    found = shutil.which(name, path=os.pathsep.join([str(ROOT / ".cluster-tools/usr/bin"), os.environ["PATH"]]))
    return found or without(f"{name} is not here: run .ci/cluster-tools")


@functools.cache
def _rendered(overlay: str) -> str:
    command = [tool("kustomize"), "build", str(MANIFESTS / "overlays" / overlay)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@dataclass(frozen=True, slots=True)
class Pod:
    """What a workload makes pods of."""

    owner: Thing
    template: Thing

    @property
    def name(self) -> str:
        return str(self.owner["metadata"]["name"])

    @property
    def spec(self) -> Thing:
        return self.template["spec"]

    @property
    def labels(self) -> dict[str, str]:
        return self.template["metadata"]["labels"]

    @property
    def containers(self) -> list[Thing]:
        """All of them, those that run before the others too."""
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    @property
    def secrets(self) -> set[str]:
        """The secrets whose keys are variables of a container."""
        return {s["secretRef"]["name"] for c in self.containers for s in c.get("envFrom", []) if "secretRef" in s}

    def container(self, name: str) -> Thing:
        return next(c for c in self.containers if c["name"] == name)


class Cluster:
    """The objects of an overlay, and the secrets that it expects to find."""

    def __init__(self, objects: list[Thing], secrets: list[Thing]) -> None:
        self.objects = objects
        self.secrets = secrets

    def of(self, *kinds: str) -> list[Thing]:
        return [thing for thing in self.objects if thing["kind"] in kinds]

    def get(self, kind: str, name: str) -> Thing:
        """Return an object by its name, without the hash of a generated one; a KeyError if there is none."""
        for thing in self.of(kind):
            told = thing["metadata"]["name"]
            if told == name or (kind == "ConfigMap" and told.rpartition("-")[0] == name):
                return thing
        raise KeyError(f"{kind}/{name}")

    def pods(self, *kinds: str) -> list[Pod]:
        found = [(thing, thing["spec"]) for thing in self.of(*(kinds or WORKLOADS))]
        return [Pod(thing, spec.get("jobTemplate", {"spec": spec})["spec"]["template"]) for thing, spec in found]

    def pod(self, name: str) -> Pod:
        return next(pod for pod in self.pods() if pod.name == name)

    @property
    def settings(self) -> dict[str, str]:
        return self.get("ConfigMap", "cityzones-settings")["data"]

    def secret(self, name: str) -> dict[str, str]:
        """Return the keys of a secret with their example values; a KeyError if there is none."""
        for thing in self.secrets:
            if thing["metadata"]["name"] == name:
                return thing["stringData"]
        raise KeyError(f"Secret/{name}")

    @property
    def autoscaled(self) -> dict[str, Thing]:
        """What follows the load, by the name of its target."""
        return {s["spec"]["scaleTargetRef"]["name"]: s for s in self.of("HorizontalPodAutoscaler", "ScaledObject")}


Rule = Callable[[Cluster], Iterator[str]]
Fault = Callable[[Cluster], None]


def render(overlay: str) -> Cluster:
    """Return an overlay as a cluster of its own, which a test may spoil."""
    secrets = yaml.safe_load_all((MANIFESTS / "secrets.example.yaml").read_text(encoding="utf-8"))
    return Cluster(copy.deepcopy(_objects(overlay)), list(secrets))


@functools.cache
def _objects(overlay: str) -> list[Thing]:
    return list(yaml.load_all(_rendered(overlay), getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


def matches(selector: Thing, labels: dict[str, str]) -> bool:
    """Say whether a selector by labels takes these; an empty one takes all."""
    assert set(selector) <= {"matchLabels"}, "rules know matchLabels only"
    return selector.get("matchLabels", {}).items() <= labels.items()


def variables(container: Thing) -> dict[str, str]:
    """Return the variables of a container that are written out."""
    return {e["name"]: e["value"] for e in container.get("env", []) if "value" in e}


def mebibytes(quantity: str) -> float:
    """Return a quantity of memory in MiB."""
    for unit, size in {"Ki": 1 / 1024, "Mi": 1, "Gi": 1024}.items():
        if quantity.endswith(unit):
            return float(quantity.removesuffix(unit)) * size
    return float(quantity) / 1024**2
